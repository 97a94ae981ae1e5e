"""What the client says went wrong, as one of our errors or as the refusal of one record.

The meaning of each code: https://kafka.apache.org/protocol (errors of brokers, from 1 on) and `rdkafka.h` of
librdkafka (its own, below 0).
"""

from typing import Final

from confluent_kafka import KafkaError

from pinterest_pipeline.errors import (
    BadInput,
    Fenced,
    Forbidden,
    PipelineError,
    TopicExists,
    Unavailable,
    UnknownGroup,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import Refusal, RefusalCode

UNKNOWN_TOPIC: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.INCONSISTENT_TOPIC_ID,
}
PASSING: Final = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_CONTROLLER,
}
"""What brokers say while they start, stop or share their work anew."""
_LOGIN_REFUSED: Final = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
}
_FORBIDDEN: Final = _LOGIN_REFUSED | {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
}
_FENCED: Final = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.FENCED_MEMBER_EPOCH,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._MAX_POLL_EXCEEDED,
}
_BAD_INPUT: Final = {
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_REPLICA_ASSIGNMENT,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_REQUEST,
    KafkaError.INVALID_GROUP_ID,
    KafkaError.POLICY_VIOLATION,
    KafkaError._INVALID_ARG,
}
_TOO_LARGE: Final = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_MSG_SIZE,
}
_REJECTED: Final = {
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
    KafkaError._INVALID_DIFFERENT_RECORD,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    KafkaError._INVALID_ARG,
}
_REFUSALS: Final[dict[int, RefusalCode]] = {
    **dict.fromkeys(_TOO_LARGE, "record_too_large"),
    **dict.fromkeys(_FORBIDDEN, "forbidden"),
    **dict.fromkeys(_REJECTED, "rejected"),
    KafkaError._UNKNOWN_PARTITION: "unknown_partition",
    KafkaError.INVALID_TIMESTAMP: "invalid_timestamp",
    KafkaError.THROTTLING_QUOTA_EXCEEDED: "throttled",
}


def is_login_refused(error: KafkaError) -> bool:
    """Whether the brokers do not let us in; one without a certificate hears it as a broken connection."""
    return error.code() in _LOGIN_REFUSED or ("SSL routines" in error.str() and " alert " in error.str())


def refusal(error: KafkaError) -> Refusal:
    """Why a record was not appended; what is not known to be refused may have landed."""
    return Refusal(_REFUSALS.get(error.code(), "not_acknowledged"), error.str())


def translated(error: KafkaError, what: str = "", kafka: str = "Kafka") -> PipelineError:
    """The error of a request; `what` is the topic or group that it asked for, `kafka` says whom."""
    code = error.code()
    if code in UNKNOWN_TOPIC:
        return UnknownTopic(what)
    if code == KafkaError.TOPIC_ALREADY_EXISTS:
        return TopicExists(what)
    if code == KafkaError.GROUP_ID_NOT_FOUND:
        return UnknownGroup(what)
    if code in _FORBIDDEN:
        return forbidden(error.str())
    if code in _FENCED:
        return Fenced(f"the group gave the partitions to others: {error.str()}", "read on; it gives new ones")
    if code in _BAD_INPUT:
        return BadInput(f"Kafka refuses '{what}': {error.str()}")
    return no_answer(kafka, error.str())


def no_answer(kafka: str, reason: str = "") -> Unavailable:
    said = f": {reason}" if reason else ""
    return Unavailable(f"{kafka} does not answer{said}", "see whether its brokers run; try again")


def forbidden(reason: str) -> Forbidden:
    return Forbidden(
        f"Kafka refuses us: {reason}",
        "see PINPIPE_KAFKA__SECURITY_PROTOCOL, __SASL_… and __SSL_…, and the permissions of that user",
    )
