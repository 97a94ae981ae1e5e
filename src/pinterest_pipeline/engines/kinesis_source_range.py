"""What a task does: read the records of a shard from one sequence number to another, both included."""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from pinterest_pipeline.engines.kinesis_source_client import Expired, Gone, Kinesis
from pinterest_pipeline.engines.kinesis_source_offsets import ShardRange
from pinterest_pipeline.errors import Fatal

_TYPES: Final[dict[str, pa.DataType]] = {
    "partitionKey": pa.string(),
    "data": pa.binary(),
    "stream": pa.string(),
    "shardId": pa.string(),
    "sequenceNumber": pa.string(),
    "approximateArrivalTimestamp": pa.timestamp("us", tz="UTC"),
}
ROWS: Final = pa.schema(_TYPES)


def read_range(kinesis: Kinesis, wanted: ShardRange, most: int) -> Iterator[pa.RecordBatch]:
    """The rows of a range, a batch for each answer of at most `most` records.

    Raises Fatal unless these are the very records that the offset was made of: as many, from the first to
    the last. Throttling has been waited for by the client.
    """
    left, at, iterator = wanted.records, wanted.first, ""
    while left:
        try:
            iterator = iterator or _at(kinesis, wanted, at, left)
            answer = kinesis.get(iterator, min(most, left))
        except Expired:
            iterator = ""
            continue
        except Gone as error:
            raise _differs(wanted, error.problem) from error
        iterator, records = answer.next_iterator or "", answer.records
        if records:
            if left == wanted.records and records[0]["SequenceNumber"] != wanted.first:
                raise _differs(wanted, f"the first record is {records[0]['SequenceNumber']}")
            left, at = left - len(records), records[-1]["SequenceNumber"]
            yield _rows(wanted, records)
        if left and (not iterator or not answer.behind_ms):
            raise _differs(wanted, f"{left} of {wanted.records} records are not there")
    if at != wanted.last:
        raise _differs(wanted, f"the last record is {at}")


def _at(kinesis: Kinesis, wanted: ShardRange, at: str, left: int) -> str:
    kind = "AT_SEQUENCE_NUMBER" if left == wanted.records else "AFTER_SEQUENCE_NUMBER"
    return kinesis.iterator(wanted.stream, wanted.shard, kind, StartingSequenceNumber=at)


def _rows(wanted: ShardRange, records: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = {
        "partitionKey": [record["PartitionKey"] for record in records],
        "data": [record["Data"] for record in records],
        "stream": [wanted.stream] * len(records),
        "shardId": [wanted.shard] * len(records),
        "sequenceNumber": [record["SequenceNumber"] for record in records],
        "approximateArrivalTimestamp": [record["ApproximateArrivalTimestamp"] for record in records],
    }
    return pa.RecordBatch.from_pydict(columns, schema=ROWS)


def _differs(wanted: ShardRange, what: str) -> Fatal:
    return Fatal(
        f"{wanted.shard} of the stream '{wanted.stream}' does not hold any more what the checkpoint says was"
        f" read of it, {wanted.records} records from {wanted.first} to {wanted.last}: {what}",
        "they have expired, or the stream is another one; start with another checkpointLocation",
    )
