"""Every error the gateway answers with: status, code and when, in one table (pure)."""

from dataclasses import dataclass
from typing import Final

from pinterest_pipeline.eventlog.base import RefusalCode


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of error: HTTP status, code in a Kafka body, type in a Kinesis body, and when it is given."""

    status: int
    kafka: int
    kinesis: str
    when: str


@dataclass(frozen=True, slots=True)
class Fault:
    """An error to answer with: its kind, what exactly is wrong, and further headers in lower case."""

    kind: Kind
    message: str
    headers: tuple[tuple[str, str], ...] = ()


INVALID_NAME: Final = Kind(400, 40002, "ValidationException", "a name breaks the rules for names")
MISSING_VALUE: Final = Kind(422, 422, "ValidationException", "a field is missing, empty or of a wrong type")
NOT_JSON: Final = Kind(422, 42203, "SerializationException", "the body is not valid JSON in UTF-8")
UNKNOWN_TOPIC: Final = Kind(404, 40401, "ResourceNotFoundException", "no such topic or stream")
UNKNOWN_PARTITION: Final = Kind(404, 40402, "ResourceNotFoundException", "no such partition or shard")
EXISTS: Final = Kind(400, 40002, "ResourceInUseException", "the topic or stream exists already")
INVALID_ITERATOR: Final = Kind(
    400, 400, "InvalidArgumentException", "a shard iterator that is not of this stream"
)
EXPIRED_ITERATOR: Final = Kind(
    400, 400, "ExpiredIteratorException", "a shard iterator that is older than five minutes"
)
EXPIRED_TOKEN: Final = Kind(
    400, 400, "ExpiredNextTokenException", "a token of a list that is older than five minutes"
)
INVALID_ARGUMENT: Final = Kind(
    400, 400, "InvalidArgumentException", "a value does not fit the stream or the shard as it is"
)
STREAM_IN_USE: Final = Kind(
    400, 400, "ResourceInUseException", "the stream is being made, changed or deleted"
)
LIMIT_EXCEEDED: Final = Kind(
    400, 400, "LimitExceededException", "more streams, shards or tags than there may be"
)
UNKNOWN_ACTION: Final = Kind(
    400, 400, "UnknownOperationException", "Kinesis has no operation of that name, or we do not answer it"
)
TOO_LARGE: Final = Kind(
    413, 413, "RequestEntityTooLargeException", "the body or the number of records is too large"
)
RECORD_TOO_LARGE: Final = Kind(413, 413, "ValidationException", "a record is larger than the log takes")
MEDIA_TYPE: Final = Kind(415, 415, "UnsupportedMediaTypeException", "the Content-Type is not one we read")
NOT_FOUND: Final = Kind(404, 404, "UnknownOperationException", "no such route")
WRONG_METHOD: Final = Kind(405, 405, "UnknownOperationException", "the route does not take this method")
INTERNAL: Final = Kind(500, 50002, "InternalFailure", "an error of ours; the log of the gateway says more")
UNAVAILABLE: Final = Kind(
    503, 50302, "ServiceUnavailable", "the event log does not answer or its disk is full"
)

UNAUTHENTICATED: Final = Kind(
    401, 40101, "MissingAuthenticationTokenException", "no API key was sent, or more than one"
)
UNKNOWN_KEY: Final = Kind(
    401, 40101, "UnrecognizedClientException", "the API key is unknown, revoked or out of date"
)
INCOMPLETE_SIGNATURE: Final = Kind(
    400,
    400,
    "IncompleteSignatureException",
    "an Authorization of AWS' kind lacks a part, or one is malformed",
)
INVALID_SIGNATURE: Final = Kind(
    400, 400, "InvalidSignatureException", "a signature does not fit the request, or is too old"
)
NOT_ALLOWED: Final = Kind(403, 40301, "AccessDeniedException", "the API key has no scope for this")
RATE_EXCEEDED: Final = Kind(
    429, 42901, "ThrottlingException", "the API key sends more requests a second than its plan has"
)
QUOTA_EXCEEDED: Final = Kind(
    429, 42901, "LimitExceededException", "the API key has used the requests of its period"
)
THROTTLED: Final = Kind(
    429, 42901, "ProvisionedThroughputExceededException", "the log takes no more of this caller for now"
)
FORBIDDEN: Final = Kind(403, 40301, "AccessDeniedException", "the log refuses this caller")
REJECTED: Final = Kind(422, 42207, "InvalidArgumentException", "the log refuses the record for good")
INVALID_TIMESTAMP: Final = Kind(
    422, 42206, "ValidationException", "the log does not take a record of that time"
)
NOT_ACKNOWLEDGED: Final = Kind(
    503, 50003, "InternalFailure", "the record may have landed: send it again with its Idempotency-Key"
)
KEY_REUSED: Final = Kind(
    422,
    42210,
    "IdempotentParameterMismatchException",
    "an Idempotency-Key came again with another request",
)
KEY_IN_FLIGHT: Final = Kind(
    409, 40910, "ResourceInUseException", "the first request of this Idempotency-Key is not over"
)
UNKNOWN_CLUSTER: Final = Kind(404, 404, "ResourceNotFoundException", "no such cluster or broker")
UNKNOWN_GROUP: Final = Kind(
    404, 40405, "ResourceNotFoundException", "no such group of consumers, or no such member of it"
)
INVALID_TOPIC: Final = Kind(400, 40002, "ValidationException", "the log cannot keep a topic of this kind")
INVALID_BATCH: Final = Kind(
    422, 42208, "ValidationException", "a batch is empty, too long, or has an id twice"
)

NOT_ACCEPTABLE: Final = Kind(
    406, 406, "ValidationException", "the Accept header takes none of the media types of the answer"
)
FORMAT_MISMATCH: Final = Kind(
    406, 40601, "ValidationException", "the Accept header does not fit the format of the consumer instance"
)
UNKNOWN_CONSUMER: Final = Kind(
    404, 40403, "ResourceNotFoundException", "no such consumer instance, or it was not used for too long"
)
CONSUMER_EXISTS: Final = Kind(
    409, 40902, "ResourceInUseException", "a consumer instance of that name exists already"
)
ILLEGAL_STATE: Final = Kind(
    409, 40903, "ResourceInUseException", "the request does not go with what the consumer instance does now"
)
INVALID_CONSUMER: Final = Kind(
    422, 42204, "ValidationException", "a setting of a consumer instance is unknown or has a wrong value"
)
UNREADABLE_RECORD: Final = Kind(
    422, 42203, "SerializationException", "a record in the log is not JSON: read it as binary, or go past it"
)
BAD_REQUEST: Final = Kind(400, 400, "ValidationException", "the request is not valid HTTP/1.1")
TIMEOUT: Final = Kind(408, 408, "RequestExpired", "the request did not come in in time")
URL_TOO_LONG: Final = Kind(414, 414, "ValidationException", "the address of the request is too long")
HEAD_TOO_LARGE: Final = Kind(431, 431, "ValidationException", "the head of the request is too large")
OVERLOADED: Final = Kind(
    503, 50303, "ServiceUnavailable", "the gateway has too much under way; nothing of the request was done"
)

KINDS: Final[dict[str, Kind]] = {
    name: kind for name, kind in globals().copy().items() if isinstance(kind, Kind)
}

REFUSED: Final[dict[RefusalCode, Kind]] = {
    "record_too_large": RECORD_TOO_LARGE,
    "unknown_partition": UNKNOWN_PARTITION,
    "invalid_timestamp": INVALID_TIMESTAMP,
    "throttled": THROTTLED,
    "forbidden": FORBIDDEN,
    "rejected": REJECTED,
    "not_acknowledged": NOT_ACKNOWLEDGED,
}

EVERYWHERE: Final = (INTERNAL, UNAVAILABLE, OVERLOADED)
"""What any operation may answer."""

OF_BODY: Final = (MEDIA_TYPE, NOT_JSON, MISSING_VALUE, TOO_LARGE)
"""What may be wrong with a body of JSON."""

OF_KEY: Final = (MISSING_VALUE, KEY_REUSED, KEY_IN_FLIGHT)
"""What may be wrong with an Idempotency-Key."""

OF_ACCESS: Final = (UNAUTHENTICATED, UNKNOWN_KEY, NOT_ALLOWED, RATE_EXCEEDED, QUOTA_EXCEEDED)
"""What a key may lack for an operation that is not public."""

OF_CALLER: Final = (*OF_ACCESS, INCOMPLETE_SIGNATURE, INVALID_SIGNATURE, FORBIDDEN)
"""Refused for who calls: each is a line of the audit log, and is counted."""

RETRIABLE: Final = (UNAVAILABLE, OVERLOADED, THROTTLED, NOT_ACKNOWLEDGED)
"""Answered with a Retry-After."""

RETRY_AFTER_SECONDS: Final = 1


def kinesis_status(kind: Kind) -> int:
    """Kinesis knows only 400 for what the caller did wrong; statuses of the HTTP layer stay."""
    return (
        400
        if kind in (MISSING_VALUE, NOT_JSON, UNKNOWN_TOPIC, UNKNOWN_PARTITION, RECORD_TOO_LARGE)
        else kind.status
    )


def kinesis_wire_status(kind: Kind) -> int:
    """Kinesis itself answers 400 to whatever the caller did wrong."""
    return kind.status if kind.status >= 500 else 400


def kafka_v3_code(kind: Kind) -> int:
    """REST v3 says of an unknown topic what a broker says of it; its other codes are those of v2."""
    return 40403 if kind is UNKNOWN_TOPIC else kind.kafka
