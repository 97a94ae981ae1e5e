"""A process of which forty threads ask Kafka of a group, before, while and after its node is frozen.

Arguments: address, process of the node, file of the intents. It prints how often it was refused, and answered
at the end.
"""

import os
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Unavailable, UnknownGroup
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from tests.command import task_state

THREADS = 40


def _freeze(node: int) -> None:
    """Stop a process, and wait until each of its threads stands: until then it may still answer."""
    os.kill(node, signal.SIGSTOP)
    while not {task_state(task) for task in Path(f"/proc/{node}/task").iterdir()} <= {"", "T"}:
        os.sched_yield()


def main(address: str, node: int, intents: Path) -> None:
    settings = KafkaSettings(delivery_seconds=1)
    with closing(KafkaEventLog(address, settings, kafka_partition, 4_096, intents)) as log:

        def ask(_: int) -> str:
            try:
                log.describe_group("nobody")
            except (Unavailable, UnknownGroup) as error:
                return type(error).__name__
            return "known"

        def asked() -> Counter[str]:
            with ThreadPoolExecutor(THREADS) as threads:
                return Counter(threads.map(ask, range(2 * THREADS)))

        while asked()["UnknownGroup"] < 2 * THREADS:  # its coordinator is still coming up
            pass
        _freeze(node)
        try:
            frozen = asked()
        finally:
            os.kill(node, signal.SIGCONT)
        while asked()["UnknownGroup"] < 2 * THREADS:
            pass
    sys.stdout.write(str(frozen["Unavailable"]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
