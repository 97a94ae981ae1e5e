"""Streams in Kinesis when something fails: limits, reshards, the network, the server, the login."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.config import KinesisSettings
from pinterest_pipeline.errors import Forbidden, SettingError, Throttled, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.eventlog.kinesis import KinesisStreamLog
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.eventlog.streams import readable
from tests.faults import Fault, FaultProxy
from tests.services.kinesis_process import kinesis_gateway
from tests.streams_gateway import CREDENTIALS, StreamsGateway, streams_gateway

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("aws_credentials")]

WAIT = 120
SEED = 20_261_126
STREAM = "s"

Outcomes = Sequence[Receipt | Refusal]


@pytest.fixture
def gateway(streams_of_a_gateway: StreamsGateway) -> StreamsGateway:
    """A gateway without a stream, which limits no shard."""
    streams_of_a_gateway.empty()
    return streams_of_a_gateway


def numbered(first: int, count: int, keys: int) -> list[Record]:
    return [Record(b"%d" % number, b"%d" % (number % keys)) for number in range(first, first + count)]


def acknowledged(futures: Sequence[Future[list[Receipt | Refusal]]]) -> int:
    """How many records landed; none may be refused."""
    outcomes = [outcome for future in futures for outcome in future.result(WAIT)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert refused == []
    return len(outcomes)


class Follower:
    """Reads a whole stream, parents before their children, again and again."""

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self._positions: dict[int, int] = {}
        self.found: list[StoredRecord] = []

    def step(self) -> bool:
        shards = self._log.stream(STREAM).shards
        positions = {shard.number: self._positions.get(shard.number, 0) for shard in shards}
        before = len(self.found)
        for shard, position in readable(shards, positions, self._log.beginnings(STREAM)).items():
            if records := self._log.read(STREAM, shard, position, 1_000):
                self.found += records
                self._positions[shard] = records[-1].offset + 1
        return len(self.found) > before

    def until(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT
        while self.step() or not enough():
            assert time.monotonic() < deadline, len(self.found)


def firsts_by_key(records: Sequence[StoredRecord]) -> dict[bytes | None, list[int]]:
    """The numbers of each key as they were read; one that was sent again counts where it came first."""
    found: dict[bytes | None, dict[int, None]] = {}
    for record in records:
        found.setdefault(record.key, {}).setdefault(int(record.value or b""))
    return {key: list(numbers) for key, numbers in found.items()}


def in_order(count: int, keys: int) -> dict[bytes | None, list[int]]:
    return {b"%d" % key: list(range(key, count, keys)) for key in range(keys)}


def test_a_name_is_taken_again_once_its_stream_is_deleted(gateway: StreamsGateway) -> None:
    with closing(gateway.log()) as log:
        log.create(STREAM, 2)
        gateway.client.delete_stream(StreamName=STREAM)  # which takes a while
        log.create(STREAM, 1)
        assert len(log.stream(STREAM).shards) == 1


def test_streams_that_are_not_there_leave_nothing_behind(gateway: StreamsGateway) -> None:
    with closing(gateway.log()) as log:
        for number in range(10):
            with pytest.raises(UnknownTopic):
                log.append(f"nobody-{number}", numbered(0, 2, 1)).result(WAIT)
        assert log._sender._queues == {}


def test_a_shard_that_takes_no_more_for_now_is_waited_for(tmp_path: Path) -> None:
    limits = {"PINPIPE_KINESIS__SHARD_LIMITS": "true", "PINPIPE_KINESIS__TRANSITION_SECONDS": "0.05"}
    with streams_gateway(tmp_path, **limits) as gateway, closing(gateway.log(delivery_seconds=WAIT)) as log:
        log.create(STREAM, 1)
        futures = [log.append(STREAM, numbered(500 * turn, 500, 900)) for turn in range(8)]
        assert acknowledged(futures) == 4_000
        more_than_a_second_takes = [{"Data": bytes(200_000), "PartitionKey": "k"}] * 10
        answer = gateway.client.put_records(StreamName=STREAM, Records=more_than_a_second_takes)
        assert answer["FailedRecordCount"] > 0  # so it was not for want of limits
        follower = Follower(log)
        follower.until(lambda: len(follower.found) >= 4_000)
        mine = [record for record in follower.found if record.key != b"k"]
        assert len(mine) == 4_000
        assert firsts_by_key(mine) == in_order(4_000, 900)
        with pytest.raises(Throttled, match="slower"):
            get_again_and_again(log)
        assert len(log.read(STREAM, 0, 0, 10)) == 10


def get_again_and_again(log: StreamLog) -> None:
    for _ in range(100):
        log.get(STREAM, 0, 0, 1)


def test_a_record_that_waits_for_too_long_is_refused_as_throttled(tmp_path: Path) -> None:
    limits = {"PINPIPE_KINESIS__SHARD_LIMITS": "true", "PINPIPE_KINESIS__TRANSITION_SECONDS": "0.05"}
    with streams_gateway(tmp_path, **limits) as gateway, closing(gateway.log(delivery_seconds=5)) as log:
        log.create(STREAM, 1)
        a_hundred_a_second = [Record(bytes(10_000), b"%d" % number) for number in range(1_000)]
        outcomes = log.append(STREAM, a_hundred_a_second).result(WAIT)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        assert 0 < len(refused) < 1_000
        assert {outcome.code for outcome in refused} == {"throttled"}
        follower = Follower(log)
        follower.until(lambda: len(follower.found) >= 1_000 - len(refused))
        landed = {record.offset for record in follower.found}
        assert landed == {outcome.offset for outcome in outcomes if isinstance(outcome, Receipt)}


def test_reshards_while_reading_and_writing(gateway: StreamsGateway) -> None:
    keys, turns, size = 40, 80, 50
    with closing(gateway.log()) as log, closing(gateway.log()) as other:
        log.create(STREAM, 2)
        follower, futures = Follower(other), []
        stop = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            resharding = pool.submit(reshard_until, gateway, stop)
            reading = pool.submit(follower.until, stop.is_set)
            for turn in range(turns):
                futures.append(log.append(STREAM, numbered(size * turn, size, keys)))
                if turn % 2 == 0:
                    futures[-1].result(WAIT)  # the reshards come between the records
            assert acknowledged(futures) == turns * size
            stop.set()
            resharding.result(WAIT)
            reading.result(WAIT)
        follower.until(lambda: len(follower.found) == turns * size)
        assert firsts_by_key(follower.found) == in_order(turns * size, keys)
        assert len(log.stream(STREAM).shards) > 4


def reshard_until(gateway: StreamsGateway, stop: threading.Event) -> None:
    client = gateway.client
    for target in itertools.cycle((3, 4, 2)):
        if stop.wait(0.3):  # each leaves closed shards, which are read to their end
            return
        try:
            client.update_shard_count(
                StreamName=STREAM, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
            )
        except client.exceptions.ResourceInUseException:
            continue  # it is UPDATING still


BEFORE_IT_IS_DONE = (Fault.INTERNAL_ERROR, Fault.SLOW_DOWN, Fault.RESET_REQUEST)
AFTER_IT_IS_DONE = (Fault.SWALLOW, Fault.ERROR_AFTER, Fault.CUT_ANSWER)


@pytest.mark.parametrize("faults", [BEFORE_IT_IS_DONE, AFTER_IT_IS_DONE], ids=["before", "after"])
def test_a_network_that_fails_loses_nothing_and_keeps_the_order(
    gateway: StreamsGateway, faults: tuple[Fault, ...]
) -> None:
    keys, turns, size = 30, 24, 50
    chance = random.Random(SEED)
    with FaultProxy(gateway.url) as proxy, closing(gateway.log(proxy.endpoint, delivery_seconds=WAIT)) as log:
        log.create(STREAM, 2)
        futures = []
        for turn in range(turns):
            proxy.fail(chance.choice(faults))
            futures.append(log.append(STREAM, numbered(size * turn, size, keys)))
            if turn % 3 == 0:
                futures[-1].result(WAIT)
        assert acknowledged(futures) == turns * size
        follower = Follower(log)
        for fault in faults:
            proxy.fail(fault, times=2)
        follower.until(lambda: len(firsts(follower.found)) == turns * size)
    assert firsts_by_key(follower.found) == in_order(turns * size, keys)
    assert len(follower.found) > turns * size or faults == BEFORE_IT_IS_DONE


def firsts(records: Sequence[StoredRecord]) -> set[bytes | None]:
    return {record.value for record in records}


def test_kill_9_of_the_server_while_writing_loses_nothing(tmp_path: Path) -> None:
    keys, kills, size = 50, 3, 100
    with (
        streams_gateway(tmp_path, PINPIPE_KINESIS__TRANSITION_SECONDS="0.05") as gateway,
        closing(gateway.log(delivery_seconds=WAIT)) as log,
    ):
        log.create(STREAM, 3)
        futures: list[Future[list[Receipt | Refusal]]] = []
        for kill in range(kills):
            first = len(futures)
            futures += [log.append(STREAM, numbered(size * (first + turn), size, keys)) for turn in range(12)]
            futures[first + 2 * kill].result(WAIT)  # some are acknowledged, the others are under way
            gateway.kill()
            gateway.start()
        assert acknowledged(futures) == len(futures) * size
        follower = Follower(log)
        follower.until(lambda: len(firsts(follower.found)) == len(futures) * size)
    assert firsts_by_key(follower.found) == in_order(len(futures) * size, keys)
    landed = {(record.partition, record.offset): record.value for record in follower.found}
    for number, outcome in enumerate(outcome for future in futures for outcome in future.result()):
        assert isinstance(outcome, Receipt)
        assert landed[outcome.partition, outcome.offset] == b"%d" % number


def test_an_iterator_that_is_too_old_is_renewed(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path) as served, closing(log_at(served.url)) as log:
        served.client().create_stream(StreamName=STREAM, ShardCount=1)
        served.advance(2)
        log.append(STREAM, numbered(0, 10, 3)).result(WAIT)
        records = log.read(STREAM, 0, 0, 4)
        served.advance(400)
        rest = log.read(STREAM, 0, records[-1].offset + 1, 100)
        assert [int(record.value or b"") for record in records + rest] == list(range(10))


def log_at(endpoint: str, **settings: Any) -> KinesisStreamLog:
    return KinesisStreamLog(KinesisSettings(endpoint=endpoint, **settings), 2**20)


def test_a_stream_that_is_being_made_is_waited_for(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path) as served, closing(log_at(served.url)) as log:
        done = threading.Event()

        def create() -> None:
            log.create(STREAM, 1)
            done.set()

        thread = threading.Thread(target=create)
        thread.start()
        while not served.client().list_streams()["StreamNames"]:
            pass
        assert served.client().describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"][
            "StreamStatus"
        ] in ("CREATING", "ACTIVE")
        served.advance(2)
        thread.join(WAIT)
        assert done.is_set()
        assert isinstance(log.append(STREAM, numbered(0, 1, 1)).result(WAIT)[0], Receipt)


def test_a_login_that_is_refused_is_said(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path, access="keys") as served, closing(log_at(served.url)) as log:
        for ask in (
            log.topics,
            lambda: log.stream(STREAM),
            lambda: log.append(STREAM, numbered(0, 3, 3)).result(WAIT),
        ):
            with pytest.raises(Forbidden, match="credentials") as caught:
                ask()
            assert caught.value.exit_code == 7


def test_an_address_where_nobody_answers_is_named(gateway: StreamsGateway) -> None:
    with FaultProxy(gateway.url) as proxy:
        pass  # now nothing listens there
    with closing(log_at(proxy.endpoint, delivery_seconds=1)) as log:
        for ask in (
            log.topics,
            lambda: log.read(STREAM, 0, 0, 1),
            lambda: log.append(STREAM, numbered(0, 3, 3)).result(WAIT),
        ):
            with pytest.raises(Unavailable, match=proxy.endpoint):
                ask()


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in CREDENTIALS.keys() - {"AWS_EC2_METADATA_DISABLED"}:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_it_is_said_where_they_come_from(gateway: StreamsGateway) -> None:
    with closing(gateway.log()) as log:
        with pytest.raises(Forbidden, match="AWS_PROFILE"):
            log.topics()
        with pytest.raises(Forbidden, match="AWS_PROFILE"):
            log.append(STREAM, numbered(0, 1, 1)).result(WAIT)


@pytest.mark.usefixtures("no_credentials")
def test_without_a_region_its_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(SettingError, match="PINPIPE_KINESIS__REGION"):
        KinesisStreamLog(KinesisSettings(), 2**20)


def test_more_than_may_wait_is_refused_at_once(gateway: StreamsGateway) -> None:
    with FaultProxy(gateway.url) as proxy:
        log = log_at(proxy.endpoint, delivery_seconds=WAIT, max_waiting_bytes=2**20)
        log.create(STREAM, 1)
        proxy.fail(Fault.HANG, times=None)
        first = log.append(STREAM, [Record(bytes(2**19), b"%d" % number) for number in range(2)])
        with pytest.raises(Unavailable, match="MAX_WAITING_BYTES"):
            log.append(STREAM, [Record(bytes(2**19), b"k")]).result(WAIT)
        proxy.heal()
        assert acknowledged([first]) == 2
        log.close()
