"""Records in and out by Kinesis' own API; each method takes a request and the stream's name."""

from collections.abc import Sequence
from typing import Final

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.partitioners import HASH_SPACE
from pinterest_pipeline.eventlog.sequence import ACCOUNT, offset_of
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import Shard, Stream, hexadecimal
from pinterest_pipeline.gateway import kinesis_answers
from pinterest_pipeline.gateway import kinesis_requests as asked
from pinterest_pipeline.gateway.completions import completed
from pinterest_pipeline.gateway.error_codes import INVALID_ARGUMENT, RECORD_TOO_LARGE, Fault
from pinterest_pipeline.gateway.kinesis_answers import Counted
from pinterest_pipeline.gateway.shard_reading import MAX_RECORDS, ShardReader, place_of, shard_named

_BY_SEQUENCE: Final = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")


class RecordActions:
    """The data plane over one log. Errors of the log are left to who calls."""

    def __init__(self, log: SqliteStreamLog) -> None:
        self._log = log
        self._reader = ShardReader(log)

    async def put_record(self, request: asked.PutRecord, name: str) -> Counted | Fault:
        entry = asked.Entry(
            data=request.data,
            partition_key=request.partition_key,
            explicit_hash_key=request.explicit_hash_key,
        )
        outcomes = await self._put(name, [entry])
        if isinstance(outcomes, Fault):
            return outcomes
        placed = kinesis_answers.record_placed(outcomes[0])
        return placed if isinstance(placed, Fault) else Counted(placed, 1)

    async def put_records(self, request: asked.PutRecords, name: str) -> Counted | Fault:
        outcomes = await self._put(name, request.records)
        if isinstance(outcomes, Fault):
            return outcomes
        placed = kinesis_answers.records_placed(outcomes)
        return Counted(placed, len(outcomes) - placed.failed_record_count)

    async def _put(self, name: str, entries: Sequence[asked.Entry]) -> list[Receipt | Refusal] | Fault:
        """Append all of them, unless one could never be; returns once they are durable."""
        records, most = [], self._log.max_record_bytes
        for number, entry in enumerate(entries, 1):
            partition_key = entry.partition_key.encode()
            records.append(Record(entry.data, partition_key))
            if len(entry.data) + len(partition_key) > most:
                where = "data" if len(entries) == 1 else f"records.{number}.member.data"
                return Fault(
                    RECORD_TOO_LARGE,
                    f"1 validation error detected: Value at '{where}' failed to satisfy constraint: Member"
                    f" must have length less than or equal to {most}, with its partition key",
                )
        explicit = [entry.explicit_hash_key for entry in entries]
        if not any(explicit):
            return await completed(self._log.put(name, records))
        for key in explicit:
            if key is not None and int(key) >= HASH_SPACE:
                return Fault(
                    INVALID_ARGUMENT,
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified"
                    f" value was {key}",
                )
        keys = [None if key is None else hexadecimal(int(key)) for key in explicit]
        return await completed(self._log.put(name, records, keys))

    def get_iterator(
        self, request: asked.GetShardIterator, name: str
    ) -> kinesis_answers.ShardIterator | Fault:
        stream = self._log.stream(name)
        shard = shard_named(stream, request.shard_id)
        offset = self._offset(request, stream, shard)
        if isinstance(offset, Fault):
            return offset
        return kinesis_answers.ShardIterator(self._reader.iterator(stream, shard, offset))

    def _offset(self, request: asked.GetShardIterator, stream: Stream, shard: Shard) -> int | Fault:
        """Where an iterator begins."""
        kind = request.shard_iterator_type
        if (kind in _BY_SEQUENCE) != (request.starting_sequence_number is not None):
            return _mismatch(request)
        if (kind == "AT_TIMESTAMP") != (request.timestamp is not None):
            return _mismatch(request)
        if kind == "LATEST":
            return shard.end
        if kind == "TRIM_HORIZON":
            return shard.beginning
        if request.timestamp is not None:
            return self._at_time(int(request.timestamp * 1000), stream, shard)
        return self._at_sequence(request, stream, shard)

    def _at_time(self, time: int, stream: Stream, shard: Shard) -> int | Fault:
        if time > (now := self._log.now()):
            return Fault(
                INVALID_ARGUMENT,
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis."
                f" timestampInMillis: {time}, currentTimestampInMillis: {now}",
            )
        return self._log.offset_at(stream.name, shard.number, time)

    def _at_sequence(self, request: asked.GetShardIterator, stream: Stream, shard: Shard) -> int | Fault:
        """The place of a sequence number of the shard: of a record, or where it begins or ends."""
        number = request.starting_sequence_number or ""
        after = request.shard_iterator_type == "AFTER_SEQUENCE_NUMBER"
        try:
            offset = offset_of(number)
        except BadInput:
            offset = -1
        last = shard.end - 1 if after and shard.closed_ms is None else shard.end
        if not shard.start <= offset <= last:
            return Fault(
                INVALID_ARGUMENT,
                f"StartingSequenceNumber {number} used in GetShardIterator on shard {request.shard_id} in"
                f" stream {stream.name} under account {ACCOUNT} is invalid.",
            )
        return min(offset + after, shard.end)

    def get_records(self, request: asked.GetRecords, _: str) -> Counted | Fault:
        place = place_of(request.shard_iterator)
        if isinstance(place, Fault):
            return place
        found = self._reader.records(place, request.limit or MAX_RECORDS)
        return found if isinstance(found, Fault) else Counted(*found)


def _mismatch(request: asked.GetShardIterator) -> Fault:
    given = [
        name
        for name, value in (
            ("StartingSequenceNumber", request.starting_sequence_number),
            ("Timestamp", request.timestamp),
        )
        if value is not None
    ]
    return Fault(
        INVALID_ARGUMENT,
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or"
        " (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber or (3) AT_TIMESTAMP and Timestamp. Request"
        f" specified {request.shard_iterator_type} and {' and '.join(given) or 'neither of them'}.",
    )
