"""Bodies of Kinesis' own API, with the bounds of AWS' service model, or the fault to answer with (pure)."""

import re
from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from pinterest_pipeline.gateway.error_codes import INVALID_ARGUMENT, MISSING_VALUE, NOT_JSON, Fault

R = TypeVar("R")

_NAME: Final = r"^[a-zA-Z0-9_.-]+\Z"
_ARN: Final = re.compile(r"arn:aws[^:]*:kinesis:[^:]*:[0-9]{12}:stream/([a-zA-Z0-9_.-]{1,128})")

StreamName = Annotated[str, Meta(min_length=1, max_length=128, pattern=_NAME)]
StreamArn = Annotated[
    str, Meta(min_length=1, max_length=2_048, pattern=r"^arn:aws.*:kinesis:.*:[0-9]{12}:stream/\S+\Z")
]
ShardId = Annotated[str, Meta(min_length=1, max_length=128, pattern=_NAME)]
HashKey = Annotated[str, Meta(pattern=r"^(0|([1-9][0-9]{0,38}))\Z")]
SequenceNumber = Annotated[str, Meta(pattern=r"^(0|([1-9][0-9]{0,128}))\Z")]
PartitionKey = Annotated[str, Meta(min_length=1, max_length=256)]
Data = Annotated[bytes, Meta(max_length=10_485_760)]
Positive = Annotated[int, Meta(ge=1)]
Page = Annotated[int, Meta(ge=1, le=10_000)]
Token = Annotated[str, Meta(min_length=1, max_length=1_048_576)]
TagKey = Annotated[str, Meta(min_length=1, max_length=128)]
Tags = Annotated[dict[TagKey, Annotated[str, Meta(max_length=256)]], Meta(min_length=1, max_length=200)]
Timestamp = Annotated[float, Meta(ge=-1e12, le=1e12)]
"""Seconds since 1970; AWS' model has no bounds, its calendar has."""


class OfStream(Struct, rename="pascal", kw_only=True):
    """A request about one stream, by its name or its Amazon resource name."""

    stream_name: StreamName | None = None
    stream_arn: StreamArn | None = field(name="StreamARN", default=None)


class StreamMode(Struct, rename="pascal"):
    stream_mode: Literal["PROVISIONED", "ON_DEMAND"]


class CreateStream(Struct, rename="pascal", kw_only=True):
    stream_name: StreamName
    shard_count: Positive | None = None
    stream_mode_details: StreamMode | None = None
    tags: Tags | None = None
    warm_throughput: int | None = field(name="WarmThroughputMiBps", default=None)
    max_record_size: Annotated[int, Meta(ge=1_024, le=10_240)] | None = field(
        name="MaxRecordSizeInKiB", default=None
    )


class DeleteStream(OfStream, rename="pascal", kw_only=True):
    enforce_consumer_deletion: bool | None = None


class DescribeStream(OfStream, rename="pascal", kw_only=True):
    limit: Page | None = None
    exclusive_start_shard_id: ShardId | None = None


class ListStreams(Struct, rename="pascal", kw_only=True):
    limit: Page | None = None
    exclusive_start_stream_name: StreamName | None = None
    next_token: Token | None = None


FilterType = Literal[
    "AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"
]


class ShardFilter(Struct, rename="pascal", kw_only=True):
    type: FilterType
    shard_id: ShardId | None = None
    timestamp: Timestamp | None = None


class ListShards(OfStream, rename="pascal", kw_only=True):
    next_token: Token | None = None
    exclusive_start_shard_id: ShardId | None = None
    max_results: Page | None = None
    stream_creation_timestamp: Timestamp | None = None
    shard_filter: ShardFilter | None = None


class Entry(Struct, rename="pascal", kw_only=True):
    data: Data
    partition_key: PartitionKey
    explicit_hash_key: HashKey | None = None


class PutRecord(OfStream, rename="pascal", kw_only=True):
    data: Data
    partition_key: PartitionKey
    explicit_hash_key: HashKey | None = None
    sequence_number_for_ordering: SequenceNumber | None = None
    dry_run: bool | None = None


class PutRecords(OfStream, rename="pascal", kw_only=True):
    records: Annotated[list[Entry], Meta(min_length=1, max_length=500)]
    dry_run: bool | None = None


IteratorType = Literal[
    "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP", "TRIM_HORIZON", "LATEST"
]


class GetShardIterator(OfStream, rename="pascal", kw_only=True):
    shard_id: ShardId
    shard_iterator_type: IteratorType
    starting_sequence_number: SequenceNumber | None = None
    timestamp: Timestamp | None = None
    dry_run: bool | None = None


class GetRecords(Struct, rename="pascal", kw_only=True):
    shard_iterator: Annotated[str, Meta(min_length=1, max_length=512)]
    limit: Page | None = None
    dry_run: bool | None = None


class UpdateShardCount(OfStream, rename="pascal", kw_only=True):
    target_shard_count: Positive
    scaling_type: Literal["UNIFORM_SCALING"]


class SplitShard(OfStream, rename="pascal", kw_only=True):
    shard_to_split: ShardId
    new_starting_hash_key: HashKey


class MergeShards(OfStream, rename="pascal", kw_only=True):
    shard_to_merge: ShardId
    adjacent_shard_to_merge: ShardId


class RetentionPeriod(OfStream, rename="pascal", kw_only=True):
    retention_period_hours: int


class AddTags(OfStream, rename="pascal", kw_only=True):
    tags: Tags


class RemoveTags(OfStream, rename="pascal", kw_only=True):
    tag_keys: Annotated[list[TagKey], Meta(min_length=1, max_length=50)]


class ListTags(OfStream, rename="pascal", kw_only=True):
    exclusive_start_tag_key: TagKey | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] | None = None


class Nothing(Struct):
    """A request that says nothing."""


def stream_of(request: OfStream) -> str | Fault:
    """The name of the stream that a request is about."""
    if request.stream_arn is None:
        if request.stream_name is not None:
            return request.stream_name
        return Fault(
            INVALID_ARGUMENT,
            "When invoking this API, you must provide either the StreamARN or StreamName parameter.",
        )
    match = _ARN.fullmatch(request.stream_arn)
    if match is None:
        return Fault(INVALID_ARGUMENT, f"StreamARN {request.stream_arn[:200]} names no stream.")
    if request.stream_name not in (None, match[1]):
        return Fault(
            INVALID_ARGUMENT, f"StreamName {request.stream_name} is not the stream that the StreamARN names."
        )
    return match[1]


def decoded(decode: Callable[[bytes], R], body: bytes, form: str) -> R | Fault:
    """What a decoder of a form (JSON, CBOR) makes of a body, or what is wrong with it in the words of AWS."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        return _violation(str(error))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Fault(NOT_JSON, f"the body is not valid {form}: {error}")


_COMPARED: Final = {">=": "greater", "<=": "less"}
_PLACE: Final = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_CONSTRAINTS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (
        re.compile(r"Expected `\w+` of length (>=|<=) (\d+)"),
        lambda found: f"Member must have length {_COMPARED[found[1]]} than or equal to {found[2]}",
    ),
    (
        re.compile(r"Expected `(?:int|float)` (>=|<=) (-?\d+)"),
        lambda found: f"Member must have value {_COMPARED[found[1]]} than or equal to {found[2]}",
    ),
    (
        re.compile(r"Expected `str` matching regex '\^?(.*?)(?:\\Z|\\\\Z)?'"),
        lambda found: f"Member must satisfy regular expression pattern: {found[1]}",
    ),
    (re.compile(r"Invalid enum value '.*'"), lambda _: "Member must satisfy enum value set"),
)


def _violation(said: str) -> Fault:
    """What msgspec said of a body, as AWS says it: a wrong type is one kind of error, a bound another."""
    place = _PLACE.search(said)
    steps = _STEP.findall(place["path"]) if place else []
    said = said[: place.start()] if place else said
    missing = _MISSING.fullmatch(said)
    if missing:
        at = _member([*steps, (missing[1], "")])
        return _constraint(f"null at '{at}'", "Member must not be null")
    for pattern, words in _CONSTRAINTS:
        if found := pattern.match(said):
            return _constraint(f"at '{_member(steps)}'", words(found))
    where = f" at '{_member(steps)}'" if steps else ""
    return Fault(NOT_JSON, f"{said}{where}")


def _constraint(value: str, words: str) -> Fault:
    return Fault(
        MISSING_VALUE, f"1 validation error detected: Value {value} failed to satisfy constraint: {words}"
    )


def _member(steps: list[tuple[str, str]]) -> str:
    """`Records`, `[0]`, `Data` as `records.1.member.data`."""
    return ".".join(
        name[0].lower() + name[1:] if name else f"{int(number) + 1 if number.isdecimal() else 'n'}.member"
        for name, number in steps
    )
