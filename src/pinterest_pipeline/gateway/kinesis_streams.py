"""What Kinesis' own API does to streams and shards; each method takes a request and the stream's name."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pinterest_pipeline.errors import BadInput, UnknownTopic
from pinterest_pipeline.eventlog.sequence import partition_of, shard_id, stream_arn
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import (
    DEFAULT_RETENTION_HOURS,
    FOREVER_HOURS,
    SHARD_LIMIT,
    Shard,
    Stream,
)
from pinterest_pipeline.gateway import kinesis_answers
from pinterest_pipeline.gateway import kinesis_requests as asked
from pinterest_pipeline.gateway.error_codes import INVALID_ARGUMENT, Fault
from pinterest_pipeline.gateway.page_tokens import Page, current_page, token

Json = dict[str, Any]

_DESCRIBED: Final = 100
_LISTED_SHARDS: Final = 1_000
_LISTED_TAGS: Final = 50
_RECORD_KIB: Final = 1_024


class StreamActions:
    """The control plane over one log. Errors of the log are left to who calls."""

    def __init__(self, log: SqliteStreamLog) -> None:
        self._log = log

    def create(self, request: asked.CreateStream, name: str) -> Fault | None:
        mode = request.stream_mode_details
        if mode is not None and mode.stream_mode == "ON_DEMAND":
            return Fault(INVALID_ARGUMENT, "Streams here are PROVISIONED: give a ShardCount.")
        if request.shard_count is None:
            return Fault(INVALID_ARGUMENT, "ShardCount is required for a stream in PROVISIONED mode.")
        if request.warm_throughput is not None or request.max_record_size not in (None, _RECORD_KIB):
            return Fault(
                INVALID_ARGUMENT, f"WarmThroughputMiBps and a MaxRecordSizeInKiB above {_RECORD_KIB} are not"
                " known here."
            )  # fmt: skip
        self._log.create_stream(name, request.shard_count, request.tags or {})
        return None

    def delete(self, _: asked.DeleteStream, name: str) -> None:
        self._log.delete_stream(name)

    def describe(self, request: asked.DescribeStream, name: str) -> kinesis_answers.DescribedStream:
        stream = self._log.stream(name)
        shards, more = _page(stream.shards, request.exclusive_start_shard_id, request.limit or _DESCRIBED)
        return kinesis_answers.stream(stream, shards, has_more=more)

    def summary(self, _: asked.OfStream, name: str) -> Json:
        stream = self._log.stream(name)
        return {
            "StreamDescriptionSummary": {
                "StreamName": name,
                "StreamARN": stream_arn(name),
                "StreamStatus": stream.status,
                "StreamModeDetails": {"StreamMode": "PROVISIONED"},
                "RetentionPeriodHours": stream.retention_hours,
                "StreamCreationTimestamp": stream.created_ms / 1000,
                "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
                "EncryptionType": "NONE",
                "OpenShardCount": len(stream.open_shards),
                "ConsumerCount": 0,
                "MaxRecordSizeInKiB": self._log.max_record_bytes // 1024,
            }
        }

    def list_shards(self, request: asked.ListShards, name: str) -> Json | Fault:
        now, stream = self._log.now(), self._log.stream(name)
        wanted, after = request.shard_filter, request.exclusive_start_shard_id
        if request.next_token is not None:
            page = current_page(request.next_token, now, of_shards=True)
            if isinstance(page, Fault):
                return page
            if page.created_ms != stream.created_ms:
                return Fault(INVALID_ARGUMENT, "NextToken is of an earlier stream of this name.")
            wanted, after = page.filter, page.after
        created = request.stream_creation_timestamp
        if created is not None and int(created) != stream.created_ms // 1000:
            raise UnknownTopic(name)
        chosen = _chosen(stream, wanted, now)
        if isinstance(chosen, Fault):
            return chosen
        shards, more = _page(chosen, after, request.max_results or _LISTED_SHARDS)
        listed: Json = {"Shards": [kinesis_answers.shard(shard) for shard in shards]}
        if more:
            last = shard_id(shards[-1].number)
            listed["NextToken"] = token(Page(now, last, name, stream.created_ms, wanted))
        return listed

    def update_count(self, request: asked.UpdateShardCount, name: str) -> Json:
        target = request.target_shard_count
        current = self._log.update_shard_count(name, target)
        return {
            "StreamName": name,
            "CurrentShardCount": current,
            "TargetShardCount": target,
            "StreamARN": stream_arn(name),
        }

    def split(self, request: asked.SplitShard, name: str) -> None:
        self._log.split(name, partition_of(request.shard_to_split), int(request.new_starting_hash_key))

    def merge(self, request: asked.MergeShards, name: str) -> None:
        adjacent = partition_of(request.adjacent_shard_to_merge)
        self._log.merge(name, partition_of(request.shard_to_merge), adjacent)

    def increase(self, request: asked.RetentionPeriod, name: str) -> None:
        self._retain(
            name, request.retention_period_hours, lambda now, hours: hours < now, "shorter", "Decrease"
        )

    def decrease(self, request: asked.RetentionPeriod, name: str) -> None:
        self._retain(
            name, request.retention_period_hours, lambda now, hours: hours > now, "longer", "Increase"
        )

    def _retain(
        self, name: str, hours: int, is_wrong: Callable[[int, int], bool], wrong: str, other: str
    ) -> None:
        def change(now: int) -> int:
            if hours < DEFAULT_RETENTION_HOURS:
                raise BadInput(
                    f"Minimum allowed retention period is {DEFAULT_RETENTION_HOURS} hours. Requested"
                    f" retention period ({hours} hours) is too short"
                )
            if hours > FOREVER_HOURS:
                raise BadInput(
                    f"Maximum allowed retention period is {FOREVER_HOURS} hours. Requested retention period"
                    f" ({hours} hours) is too long"
                )
            if is_wrong(now, hours):
                raise BadInput(
                    f"Requested retention period ({hours} hours) for stream {name} can not be {wrong} than"
                    f" existing retention period ({now} hours). Use {other}RetentionPeriod API"
                )
            return hours

        self._log.retain(name, change)

    def add_tags(self, request: asked.AddTags, name: str) -> None:
        self._log.tag(name, lambda tags: tags | request.tags)

    def remove_tags(self, request: asked.RemoveTags, name: str) -> None:
        gone = frozenset(request.tag_keys)
        self._log.tag(name, lambda tags: {key: tags[key] for key in tags if key not in gone})

    def list_tags(self, request: asked.ListTags, name: str) -> Json:
        tags = self._log.stream(name).tags
        keys = [key for key in sorted(tags) if key > (request.exclusive_start_tag_key or "")]
        most = request.limit or _LISTED_TAGS
        return {
            "Tags": [{"Key": key, "Value": tags[key]} for key in keys[:most]],
            "HasMoreTags": len(keys) > most,
        }

    def limits(self, _: asked.Nothing, __: str) -> Json:
        return {
            "ShardLimit": SHARD_LIMIT,
            "OpenShardCount": self._log.open_shard_count(),
            "OnDemandStreamCount": 0,
            "OnDemandStreamCountLimit": 0,
        }


def _page(shards: Sequence[Shard], after: str | None, most: int) -> tuple[Sequence[Shard], bool]:
    """At most so many of the shards behind one, and whether there are more; raises BadInput."""
    number = -1 if after is None else partition_of(after)
    behind = [shard for shard in shards if shard.number > number]
    return behind[:most], len(behind) > most


def _chosen(stream: Stream, wanted: asked.ShardFilter | None, now: int) -> Sequence[Shard] | Fault:
    """The shards that a filter leaves."""
    if wanted is None:
        return stream.shards
    if wanted.type == "AT_LATEST":
        return [shard for shard in stream.shards if shard.closed_ms is None]
    if wanted.type == "AFTER_SHARD_ID":
        if wanted.shard_id is None:
            return _needs(wanted, "ShardId")
        return _page(stream.shards, wanted.shard_id, len(stream.shards))[0]
    time = _time_of(stream, wanted, now)
    if isinstance(time, Fault):
        return time
    if wanted.type.startswith("FROM"):
        return [shard for shard in stream.shards if shard.closed_ms is None or shard.closed_ms > time]
    return [shard for shard in stream.shards if shard.is_open_at(time)]


def _time_of(stream: Stream, wanted: asked.ShardFilter, now: int) -> int | Fault:
    """The time (ms) that a filter speaks of; never before the first record that is kept."""
    time = stream.trim_horizon()
    if not wanted.type.endswith("TIMESTAMP"):
        return time
    if wanted.timestamp is None:
        return _needs(wanted, "Timestamp")
    if wanted.timestamp * 1000 > now:
        return Fault(INVALID_ARGUMENT, "The Timestamp of the ShardFilter is in the future.")
    return max(time, int(wanted.timestamp * 1000))


def _needs(wanted: asked.ShardFilter, name: str) -> Fault:
    return Fault(INVALID_ARGUMENT, f"The ShardFilter type {wanted.type} needs the parameter {name}.")
