"""A request with a key lands once on Kafka, whenever its process dies."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.errors import KeyReused
from pinterest_pipeline.eventlog.base import EventLog, Once, Receipt, Refusal
from tests.conftest import CACHE
from tests.services.keyed_child import ONCE, RECORDS, open_log, records_of

pytestmark = pytest.mark.services

SEED = 20261125
POINTS = (
    "before the records are sent",
    "after half of the records landed",
    "after the records landed",
    "after the answer",
)


def command(node: Node, folder: Path, topic: str, *point: str) -> list[str]:
    intents = folder / "intents.sqlite"
    return [sys.executable, "-m", "tests.services.keyed_child", node.address, str(intents), topic, *point]


def killed_at(point: str, node: Node, folder: Path, topic: str) -> list[Receipt]:
    """What a process that killed itself at a point had been answered."""
    done = subprocess.run(
        command(node, folder, topic, point), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    return msgspec.json.decode(done.stdout, type=list[Receipt]) if done.stdout else []


def values(log: EventLog, topic: str) -> Counter[bytes | None]:
    found: Counter[bytes | None] = Counter()
    for part, end in log.ends(topic).items():
        position = 0
        while position < end:
            records = log.read(topic, part, position, 1_000)
            found.update(record.value for record in records)
            position = records[-1].offset + 1
    return found


def assert_true(log: EventLog, topic: str, outcomes: list[Receipt | Refusal]) -> None:
    """Each record lies once in the log, where its receipt says."""
    assert values(log, topic) == Counter(record.value for record in RECORDS)
    for record, receipt in zip(RECORDS, outcomes, strict=True):
        assert isinstance(receipt, Receipt)
        (stored,) = log.read(topic, receipt.partition, receipt.offset, 1)
        assert (stored.value, stored.key, stored.timestamp) == (record.value, record.key, receipt.timestamp)


@pytest.fixture
def topic(kafka_broker: Node, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"once-{abs(hash(request.node.name))}"
    log = open_log(kafka_broker.address, tmp_path / "intents.sqlite")
    log.create(name, 3)
    yield name
    log.delete(name)
    log.close()


@pytest.mark.parametrize("point", POINTS)
def test_a_process_may_die_at_any_point(point: str, kafka_broker: Node, topic: str, tmp_path: Path) -> None:
    answered = killed_at(point, kafka_broker, tmp_path, topic)
    log = open_log(kafka_broker.address, tmp_path / "intents.sqlite")
    outcomes = log.append(topic, RECORDS, ONCE).result(60)
    assert_true(log, topic, outcomes)
    assert answered in ([], outcomes)
    assert log.append(topic, RECORDS, ONCE).result(60) == outcomes
    with pytest.raises(KeyReused):
        log.append(topic, RECORDS, Once(ONCE.key, b"another")).result(60)
    log.close()
    again = open_log(kafka_broker.address, tmp_path / "intents.sqlite")
    assert again.append(topic, RECORDS, ONCE).result(60) == outcomes
    again.close()


@pytest.mark.parametrize("round_number", range(4))
def test_a_process_may_die_at_any_moment(
    round_number: int, kafka_broker: Node, topic: str, tmp_path: Path
) -> None:
    chance = random.Random(f"{SEED} {round_number}")
    with subprocess.Popen(command(kafka_broker, tmp_path, topic), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.4))  # the moment, not a wait
        child.kill()
        begun = [int(line) for line in (first + child.stdout.read()).split()]
    log = open_log(kafka_broker.address, tmp_path / "intents.sqlite")
    futures = [log.append(topic, records_of(number), Once(f"{number}", b"f")) for number in begun]
    outcomes = [future.result(120) for future in futures]
    expected = Counter(record.value for number in begun for record in records_of(number))
    assert values(log, topic) == expected
    for number, receipts in zip(begun, outcomes, strict=True):
        for record, receipt in zip(records_of(number), receipts, strict=True):
            assert isinstance(receipt, Receipt)
            assert log.read(topic, receipt.partition, receipt.offset, 1)[0].value == record.value
    log.close()


def test_the_broker_may_be_away_between(tmp_path: Path) -> None:
    node = Node(tmp_path / "kafka", CACHE)
    node.start(lambda _: None)
    try:
        maker = open_log(node.address, tmp_path / "other.sqlite")
        maker.create("once", 3)
        maker.close()
        answered = killed_at("after the answer", node, tmp_path, "once")
        node.kill()
        node.start(lambda _: None)
        log = open_log(node.address, tmp_path / "intents.sqlite")
        outcomes = log.append("once", RECORDS, ONCE).result(60)
        assert outcomes == answered
        assert_true(log, "once", outcomes)
        log.close()
    finally:
        node.stop()
