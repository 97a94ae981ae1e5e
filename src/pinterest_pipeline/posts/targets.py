"""How a request and its answer look on each branch (pure): Kafka REST Proxy v2, Kinesis behind HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import msgspec

from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.receipts import Outcome
from pinterest_pipeline.records.schemas import SOURCE_KEYS

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What goes over the wire; the path comes after the API's address."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record was not acknowledged, and what that means for it."""

    reason: str
    retry: bool = False
    """It may pass by itself."""
    doubtful: bool = False
    """The record may have been appended all the same."""
    hopeless: bool = False
    """It holds for every record that is sent there."""
    forbidden: bool = False
    """The key is missing, unknown or may not do this."""
    wait: float = 0.0
    """Seconds that the server asks to wait."""


Answer = list[Outcome | Refusal] | Refusal
"""One entry for each record in the order of the request, or one refusal for all of them."""


class Target(Protocol):
    """One branch's side of the wire."""

    max_records: int
    """Most records of one request."""

    def name(self, table: Table) -> str:
        """The topic or stream of a table."""
        ...

    def request(self, table: Table, rows: Sequence[Row]) -> Request: ...

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, count: int) -> Answer:
        """Read the answer to a request of `count` records."""
        ...


def target(branch: Branch, pipeline_id: str) -> Target:
    return KafkaTarget(pipeline_id) if branch == "batch" else KinesisTarget(pipeline_id)


class _Offset(msgspec.Struct):
    partition: int | None = None
    offset: int | None = None
    error_code: int | None = None
    error: str | None = None


class _Offsets(msgspec.Struct):
    offsets: list[_Offset]


_offsets: Final = msgspec.json.Decoder(_Offsets)
_encode: Final = msgspec.json.Encoder().encode


class KafkaTarget:
    """POST /topics/{topic}; a record's key is its `ind`."""

    max_records = 100_000
    _headers: Final = {
        "Content-Type": "application/vnd.kafka.json.v2+json",
        "Accept": "application/vnd.kafka.v2+json, application/json",
    }

    def __init__(self, pipeline_id: str) -> None:
        self._pipeline_id = pipeline_id

    def name(self, table: Table) -> str:
        return names.topic(self._pipeline_id, table)

    def request(self, table: Table, rows: Sequence[Row]) -> Request:
        key = SOURCE_KEYS[table]
        body = {"records": [{"key": row[key], "value": wire_row(row)} for row in rows]}
        return Request("POST", f"/topics/{self.name(table)}", self._headers, _encode(body))

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, count: int) -> Answer:
        if status != 200:
            return _refused(status, headers, body)
        try:
            offsets = _offsets.decode(body).offsets
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _unreadable(body)
        return [_kafka_outcome(offset) for offset in offsets] if len(offsets) == count else _unreadable(body)


def _kafka_outcome(found: _Offset) -> Outcome | Refusal:
    if found.error_code is not None or found.error is not None:
        retry = _kafka_retriable(found.error_code or 0)
        # 50003 covers a time-out of the broker's acknowledgement, after which the record may well be there.
        doubtful = retry and not _throttled(found.error_code or 0)
        return Refusal(f"{found.error_code} {found.error}", retry=retry, doubtful=doubtful)
    if found.partition is None or found.offset is None or found.offset < 0:
        return Refusal("acknowledged without partition and offset", doubtful=True)
    return Outcome(partition=found.partition, offset=found.offset)


def _kafka_retriable(code: int) -> bool:
    """2 is the retriable error of old proxies, 50002 the one error of 5… that does not pass by itself."""
    return code == 2 or _throttled(code) or (str(code).startswith("5") and code >= 500 and code != 50002)


def _throttled(code: int) -> bool:
    return str(code).startswith("429")


class _KinesisRecord(msgspec.Struct):
    sequence: str | None = msgspec.field(default=None, name="SequenceNumber")
    shard: str | None = msgspec.field(default=None, name="ShardId")
    code: str | None = msgspec.field(default=None, name="ErrorCode")
    message: str | None = msgspec.field(default=None, name="ErrorMessage")


class _KinesisAnswer(_KinesisRecord):
    records: list[_KinesisRecord] | None = msgspec.field(default=None, name="Records")


_kinesis_answers: Final = msgspec.json.Decoder(_KinesisAnswer)

_THROTTLES: Final = {
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "KMSThrottlingException",
    "ThrottlingException",
}
_FAILURES: Final = {
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
}
_FORBIDDEN_TYPES: Final = {
    "AccessDeniedException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}


_KEY_REUSED: Final = 42210
_KEY_REUSED_TYPE: Final = "IdempotentParameterMismatchException"


class KinesisTarget:
    """PUT /streams/{stream}/record for one record, …/records for more; the partition key is the `ind`."""

    max_records = 500  # the most that Kinesis takes
    _headers: Final = {"Content-Type": "application/json"}

    def __init__(self, pipeline_id: str) -> None:
        self._pipeline_id = pipeline_id

    def name(self, table: Table) -> str:
        return names.stream(self._pipeline_id, table)

    def request(self, table: Table, rows: Sequence[Row]) -> Request:
        key, stream = SOURCE_KEYS[table], self.name(table)
        if len(rows) == 1:
            one = {"StreamName": stream, "Data": wire_row(rows[0]), "PartitionKey": str(rows[0][key])}
            return Request("PUT", f"/streams/{stream}/record", self._headers, _encode(one))
        many = {"records": [{"data": wire_row(row), "partition-key": str(row[key])} for row in rows]}
        return Request("PUT", f"/streams/{stream}/records", self._headers, _encode(many))

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, count: int) -> Answer:
        if status != 200 or _error_type(body):  # API Gateway may hand on an error of Kinesis as 200
            return _refused(status, headers, body)
        try:
            found = _kinesis_answers.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _unreadable(body)
        records = [found] if found.records is None else found.records
        return (
            [_kinesis_outcome(record) for record in records] if len(records) == count else _unreadable(body)
        )


def _kinesis_outcome(found: _KinesisRecord) -> Outcome | Refusal:
    if found.code is not None:
        return _kinesis_refusal(found.code, f"{found.code} {found.message}")
    if found.sequence is None or found.shard is None:
        return Refusal("acknowledged without shard and sequence number", doubtful=True)
    return Outcome(shard=found.shard, sequence=found.sequence)


def _kinesis_refusal(error_type: str, reason: str, wait: float = 0.0) -> Refusal:
    if error_type in _THROTTLES:
        return Refusal(reason, retry=True, wait=wait)
    if error_type in _FAILURES:
        return Refusal(reason, retry=True, doubtful=True, wait=wait)
    forbidden = error_type in _FORBIDDEN_TYPES
    return Refusal(
        reason, hopeless=forbidden or error_type == "ResourceNotFoundException", forbidden=forbidden
    )


class _Error(msgspec.Struct):
    """The error body of either half; of other servers at least the message."""

    type: str = msgspec.field(default="", name="__type")
    code: Any = msgspec.field(default=None, name="error_code")
    message: str = ""
    capital_message: str = msgspec.field(default="", name="Message")


_errors: Final = msgspec.json.Decoder(_Error)


def _error(body: bytes) -> _Error:
    try:
        return _errors.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Error()


def _error_type(body: bytes) -> str:
    return _error(body).type.rsplit("#", 1)[-1] if b"__type" in body else ""


def _refused(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """What an answer other than a receipt means: retry 408, 409, 425, 429 and 5xx, nothing else.

    409 is an Idempotency-Key whose first request is not over. A key that was taken for another request is a
    fault of ours, after which nobody knows what became of the records.
    """
    error, error_type = _error(body), _error_type(body)
    message = error.message or error.capital_message or body[:200].decode(errors="replace").strip()
    reason = " ".join(part for part in (str(status), error_type, message) if part)
    wait = _retry_after(headers.get("retry-after", ""))
    if error.code == _KEY_REUSED or error_type == _KEY_REUSED_TYPE:
        return Refusal(reason, doubtful=True)
    if status in (425, 429):
        return Refusal(reason, retry=True, wait=wait)
    if status in (408, 409) or status >= 500:
        return Refusal(reason, retry=True, doubtful=True, wait=wait)
    if error_type:
        return _kinesis_refusal(error_type, reason, wait)
    forbidden = status in (401, 403)
    hopeless = forbidden or status in (404, 405) or status < 400
    return Refusal(reason, hopeless=hopeless, doubtful=status < 300, forbidden=forbidden)


def _unreadable(body: bytes) -> Refusal:
    text = body[:100].decode(errors="replace")
    return Refusal(f"an answer that cannot be read: {text!r}", doubtful=True)


def _retry_after(text: str) -> float:
    """Seconds to wait, from seconds or an HTTP date; 0 when it says neither."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
