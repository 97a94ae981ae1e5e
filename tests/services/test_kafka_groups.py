"""Positions of groups while the brokers are not yet what they will be."""

import subprocess
import sys
from pathlib import Path

import pytest

from pinterest_pipeline.broker.node import Node
from tests.conftest import CACHE

pytestmark = pytest.mark.services

_ASK = """\
import sys
from pathlib import Path
from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition

log = KafkaEventLog(sys.argv[1], KafkaSettings(), kafka_partition, 4_096, Path(sys.argv[2]))
log.create("a.pin", 1)
print([log.committed(f"group-{number}", "a.pin") for number in range(8)])
log.close()
"""


def test_a_group_is_asked_for_while_its_coordinator_comes_up(tmp_path: Path) -> None:
    """The first question makes the brokers' own topic of positions; until it is there, nobody coordinates.

    librdkafka's admin API ends the process then, so this one is a child.
    """
    node = Node(tmp_path / "kafka", CACHE)
    node.start(lambda _: None)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK, node.address, str(tmp_path / "intents.sqlite")],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        node.stop()
    assert (asked.returncode, asked.stdout) == (0, f"{[{}] * 8}\n"), asked.stderr[-2_000:]
