"""A process that appends requests with a key to Kafka and kills itself at a named point.

Arguments: address, file of the intents, topic, point. It prints what it was answered.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.eventlog.base import Once, Record
from pinterest_pipeline.eventlog.intents import Intents
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.kafka_once import KeyedRequests
from pinterest_pipeline.eventlog.kafka_producer import Appender
from pinterest_pipeline.eventlog.partitioners import kafka_partition

ONCE = Once("order 7", b"fingerprint")
RECORDS = [Record(b"%d" % number, b"%d" % (number % 5)) for number in range(40)]


def open_log(address: str, intents: Path) -> KafkaEventLog:
    return KafkaEventLog(address, KafkaSettings(delivery_seconds=20), kafka_partition, 4_096, intents)


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class HalfProducer:
    """Lets half of the records through, waits until they landed, then ends the process."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer
        self.left = len(RECORDS) // 2

    def produce(self, *arguments: Any, **options: Any) -> None:
        if not self.left:
            self.producer.flush()
            die()
        self.left -= 1
        self.producer.produce(*arguments, **options)

    def poll(self, seconds: float) -> int:
        return int(self.producer.poll(seconds))


def arm(point: str, log: Any) -> None:
    if point == "before the records are sent":
        Appender.send = die  # type: ignore[method-assign, assignment]  # the point is there
    elif point == "after half of the records landed":
        log._appender._sender.__dict__["_producer"] = HalfProducer(log._appender._sender._producer)
    elif point == "after the records landed":
        KeyedRequests.end = die  # type: ignore[method-assign, assignment]  # the point is there
    elif point == "after the answer":
        Intents.end = lambda *_: None  # type: ignore[method-assign]  # the receipts are not kept yet


def one_request(address: str, intents: str, topic: str, point: str) -> None:
    log = open_log(address, Path(intents))
    arm(point, log)
    outcomes = log.append(topic, RECORDS, ONCE).result(30)
    sys.stdout.write(msgspec.json.encode(outcomes).decode() + "\n")
    sys.stdout.flush()
    die()


def many_requests(address: str, intents: str, topic: str) -> None:
    """Requests one after the other, eight at a time; the key of each is printed before it is sent."""
    log = open_log(address, Path(intents))
    waiting: list[Any] = []
    for number in range(100_000):
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        waiting.append(log.append(topic, records_of(number), Once(f"{number}", b"f")))
        if len(waiting) == 8:
            waiting.pop(0).result(30)


def records_of(number: int) -> list[Record]:
    return [Record(b"%d.%d" % (number, place)) for place in range(3)]


if __name__ == "__main__":
    many_requests(*sys.argv[1:]) if len(sys.argv) == 4 else one_request(*sys.argv[1:])
