"""The source `kinesis` against a real gateway: each record once and in order, through whatever happens."""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx
import pytest

from pinterest_pipeline.errors import Fatal, Forbidden
from pinterest_pipeline.eventlog.sequence import shard_id
from tests.services.kinesis_process import KinesisGateway, kinesis_gateway
from tests.services.kinesis_query import Query, reader_of

pytestmark = pytest.mark.services

HALF = str(2**127)
SHARDS = [shard_id(number) for number in range(8)]
DAY_SECONDS = 24 * 3_600


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KinesisGateway]:
    with kinesis_gateway(tmp_path_factory.mktemp("kinesis")) as found:
        yield found


@pytest.fixture
def stream(gateway: KinesisGateway, request: pytest.FixtureRequest) -> str:
    """A stream of two shards, of this test alone."""
    return make(gateway, request.node.name[:100])


def make(gateway: KinesisGateway, name: str, shards: int = 2) -> str:
    gateway.client().create_stream(StreamName=name, ShardCount=shards)
    gateway.advance(1)
    return name


def put(gateway: KinesisGateway, stream: str, numbers: range, key: str | None = None) -> None:
    entries = [{"Data": b"%d" % number, "PartitionKey": key or str(number)} for number in numbers]
    for first in range(0, len(entries), 500):
        answer = gateway.client().put_records(StreamName=stream, Records=entries[first : first + 500])
        assert answer["FailedRecordCount"] == 0


def test_each_record_comes_once_with_databricks_columns(gateway: KinesisGateway, stream: str) -> None:
    put(gateway, stream, range(300))
    query = Query(gateway, stream, maxRecordsPerFetch="40", maxFetchDuration="1ms")
    query.finish()
    assert sorted(query.numbers) == list(range(300))
    assert len(query.batches) >= 4
    row = next(row for row in query.rows if row["data"] == b"7")
    token = gateway.client().get_shard_iterator(
        StreamName=stream,
        ShardId=row["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=row["sequenceNumber"],
    )["ShardIterator"]
    record = gateway.client().get_records(ShardIterator=token, Limit=1)["Records"][0]
    assert (row["partitionKey"], row["stream"]) == ("7", stream)
    assert row["approximateArrivalTimestamp"] == record["ApproximateArrivalTimestamp"]
    put(gateway, stream, range(300, 310))
    query.finish()
    assert sorted(query.numbers) == list(range(310))
    query.finish()
    assert not query.step()


def test_a_batch_that_is_run_again_holds_the_same_rows_though_more_was_put(
    gateway: KinesisGateway, stream: str
) -> None:
    query = Query(gateway, stream)
    for first in (0, 50):
        put(gateway, stream, range(first, first + 50))
        assert query.plan()
        put(gateway, stream, range(first + 1_000, first + 1_020))
        query.start()
    assert sorted(query.numbers) == [*range(100), *range(1_000, 1_020)]
    query.finish()
    assert sorted(query.numbers) == [*range(100), *range(1_000, 1_020), *range(1_050, 1_070)]


def test_latest_begins_with_the_query_and_is_written_down_though_nothing_came(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path) as gateway:  # whose clock is the machine's
        assert httpx.post(f"{gateway.url}/streams/s", json={"ShardCount": 2}).status_code == 200
        put(gateway, "s", range(5))
        wait_for_the_next_second(gateway)
        query = Query(gateway, "s", initialPosition="latest")
        assert query.step()
        assert query.rows == []
        put(gateway, "s", range(5, 9))
        query.start()
        query.finish()
        assert sorted(query.numbers) == list(range(5, 9))


def wait_for_the_next_second(gateway: KinesisGateway) -> None:
    """By the clock of its answers, which counts whole seconds and lags: one change may be of this second."""
    seen = {clock(gateway)}
    while len(seen) < 3:
        seen.add(clock(gateway))


def clock(gateway: KinesisGateway) -> str:
    headers: dict[str, str] = gateway.client().list_streams()["ResponseMetadata"]["HTTPHeaders"]
    return headers["date"]


def test_a_query_begins_at_a_time(gateway: KinesisGateway, stream: str) -> None:
    put(gateway, stream, range(5))
    gateway.advance(0.3)
    put(gateway, stream, range(5, 9))
    found = Query(gateway, stream)
    found.finish()
    begun = min(row["approximateArrivalTimestamp"] for row in found.rows if int(row["data"]) >= 5)
    written = begun.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    position = f'{{"at_timestamp": "{written}", "format": "yyyy-MM-dd HH:mm:ss.SSSSSS"}}'
    query = Query(gateway, stream, initialPosition=position)
    query.finish()
    assert sorted(query.numbers) == list(range(5, 9))


def test_parents_come_before_children_and_closed_shards_leave_the_offset(
    gateway: KinesisGateway, stream: str
) -> None:
    client, query = gateway.client(), Query(gateway, stream)
    put(gateway, stream, range(50), key="one")
    assert query.step()
    put(gateway, stream, range(50, 60), key="one")
    client.merge_shards(StreamName=stream, ShardToMerge=SHARDS[0], AdjacentShardToMerge=SHARDS[1])
    gateway.advance(1)
    put(gateway, stream, range(60, 70), key="one")
    query.plan()
    query.start()  # a crash amid the reshard
    query.finish()
    client.split_shard(StreamName=stream, ShardToSplit=SHARDS[2], NewStartingHashKey=HALF)
    gateway.advance(1)
    put(gateway, stream, range(70, 80), key="one")
    query.finish()
    assert query.numbers == list(range(80)), "in the order of the key"
    assert set(query.shards()) == {SHARDS[3], SHARDS[4]}


def test_reshards_while_records_come_lose_and_repeat_nothing(gateway: KinesisGateway, stream: str) -> None:
    query, client = Query(gateway, stream, maxRecordsPerFetch="25"), gateway.client()
    for round_, target in enumerate((4, 3, 2)):
        put(gateway, stream, range(round_ * 100, round_ * 100 + 100))
        client.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        gateway.advance(1)
        query.step()
        query.start()
    query.finish()
    assert sorted(query.numbers) == list(range(300))


def test_an_iterator_that_expired_is_renewed(gateway: KinesisGateway, stream: str) -> None:
    query = Query(gateway, stream)
    put(gateway, stream, range(10))
    query.finish()
    gateway.advance(301)
    put(gateway, stream, range(10, 20))
    query.finish()
    assert sorted(query.numbers) == list(range(20))


def test_throttling_is_waited_for(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path, limits="limits") as gateway:
        stream = make(gateway, "s", shards=1)
        for first in range(0, 60, 10):
            put(gateway, stream, range(first, first + 10))
        query = Query(gateway, stream, maxRecordsPerFetch="10", maxFetchDuration="1ms")
        token = gateway.client().get_shard_iterator(
            StreamName=stream, ShardId=SHARDS[0], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        with pytest.raises(gateway.client().exceptions.ProvisionedThroughputExceededException):
            read_again_and_again(gateway.client(), token)
        query.finish()
        assert query.numbers == list(range(60))


def read_again_and_again(client: Any, token: str) -> None:
    for _ in range(100):
        client.get_records(ShardIterator=token, Limit=1)


def test_a_stream_that_was_made_anew_is_refused(gateway: KinesisGateway, stream: str) -> None:
    query = Query(gateway, stream)
    put(gateway, stream, range(10))
    assert query.step()
    put(gateway, stream, range(10, 20))
    assert query.plan()
    gateway.client().delete_stream(StreamName=stream)
    gateway.advance(1)
    with pytest.raises(Fatal, match=r"is not there any more\. start with another checkpointLocation"):
        query.plan()
    make(gateway, stream)
    put(gateway, stream, range(100, 130))
    with pytest.raises(Fatal, match="was deleted and made anew"):
        query.plan()
    with pytest.raises(Fatal, match="was deleted and made anew"):
        query.start()


def test_records_that_may_have_expired_unread_are_refused(gateway: KinesisGateway, stream: str) -> None:
    query = Query(gateway, stream)
    put(gateway, stream, range(10))
    query.finish()
    gateway.advance(DAY_SECONDS + 60)
    put(gateway, stream, range(10, 20))
    query.change_seen(-DAY_SECONDS * 1000)
    query.start()
    with pytest.raises(Fatal, match=r"may have expired unread.*keeps records for 24 hours"):
        query.finish()


def test_an_old_place_is_no_gap_when_all_that_came_was_seen(gateway: KinesisGateway, stream: str) -> None:
    query = Query(gateway, stream)
    put(gateway, stream, range(10))
    query.finish()
    gateway.advance(DAY_SECONDS + 60)
    put(gateway, stream, range(10, 20))
    query.start()
    query.finish()
    assert sorted(query.numbers) == list(range(20))


def test_a_batch_whose_records_have_expired_is_refused(gateway: KinesisGateway, stream: str) -> None:
    query = Query(gateway, stream)
    put(gateway, stream, range(10))
    assert query.plan()
    gateway.advance(DAY_SECONDS + 60)
    put(gateway, stream, range(10, 20))
    with pytest.raises(Fatal, match="does not hold any more what the checkpoint says was read"):
        query.start()


def test_a_quiet_query_writes_down_what_it_has_seen(gateway: KinesisGateway, stream: str) -> None:
    query = Query(gateway, stream)
    assert query.step()
    assert not query.step()
    query.change_seen(-3_600_000)
    assert query.step()
    assert not query.step()
    assert query.rows == []


def test_a_batch_is_as_large_as_the_options_say(gateway: KinesisGateway, stream: str) -> None:
    put(gateway, stream, range(100), key="one")
    small = Query(gateway, stream, maxRecordsPerFetch="30", fetchBufferSize="1b")
    assert small.step()
    assert len(small.rows) == 30
    slow = Query(gateway, stream, maxRecordsPerFetch="30", maxFetchRate="0.0002")
    assert slow.step()
    assert len(slow.rows) == 30
    whole = Query(gateway, stream, maxRecordsPerFetch="30", fetchBufferSize="1b")
    assert whole.step(everything=True)
    assert len(whole.rows) == 100


def test_shards_are_shared_among_tasks(gateway: KinesisGateway) -> None:
    names = [make(gateway, "first-of-two", shards=3), make(gateway, "second-of-two", shards=4)]
    for name in names:
        put(gateway, name, range(200))
    reader = reader_of(gateway, ",".join(names), shardsPerTask="3", maxShardsPerDescribe="2")
    start = reader.initialOffset()
    end = reader.latestOffset(start, reader.getDefaultReadLimit())
    partitions = reader.partitions(start, end)
    assert [len(partition.value) for partition in partitions] == [3, 3, 1]
    rows = [row for one in partitions for batch in reader.read(one) for row in batch.to_pylist()]
    assert sorted((row["stream"], int(row["data"])) for row in rows) == sorted(
        (name, number) for name in names for number in range(200)
    )
    assert reader.partitions(end, end) == []
    reader.stop()


def test_a_checkpoint_of_other_streams_is_refused(gateway: KinesisGateway, stream: str) -> None:
    start = reader_of(gateway, stream).initialOffset()
    other = reader_of(gateway, make(gateway, "another"))
    with pytest.raises(Fatal, match="give each query a checkpointLocation of its own"):
        other.latestOffset(start, other.getDefaultReadLimit())


def test_an_arn_names_a_stream_and_no_stream_is_said_so(gateway: KinesisGateway, stream: str) -> None:
    put(gateway, stream, range(10))
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    query = Query(gateway, "", streamARN=arn)
    query.driver.prepareForTriggerAvailableNow()
    assert query.step()
    assert sorted(query.numbers) == list(range(10))
    with pytest.raises(Fatal, match="ResourceNotFoundException"):
        reader_of(gateway, "nobody").initialOffset()


def test_a_refused_key_is_named(tmp_path: Path) -> None:
    with (
        kinesis_gateway(tmp_path, access="keys") as gateway,
        pytest.raises(Forbidden, match="UnrecognizedClientException"),
    ):
        reader_of(gateway, "s").initialOffset()
