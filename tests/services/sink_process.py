"""`pinpipe sink` as a process that is killed and frozen, and the proof of what it left behind."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pinterest_pipeline.cli import main
from pinterest_pipeline.errors import Retryable
from pinterest_pipeline.eventlog.base import EventLog, Receipt, Record
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.verification import manifest_problems
from tests.command import environment

DEADLINE_SECONDS = 90.0
_READERS = 8
_POSITIONS = ("_topic", "_partition", "_offset", "_timestamp")


class SinkProcess:
    """A running sink; its output is in `log`."""

    def __init__(self, folder: Path, settings: Mapping[str, str], *arguments: str) -> None:
        self.log = folder / "sink.log"
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pinterest_pipeline", "sink", *arguments],
                cwd=folder,
                env=environment() | dict(settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def is_running(self) -> bool:
        return self.process.poll() is None

    def ends(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Have it finish, if it runs."""
        if self.is_running():
            self.process.terminate()
        return self.ends()

    def says(self) -> str:
        return self.log.read_text(errors="replace")


class ForkedSink:
    """The same as a fork of a process that has only imported the code: hundreds of them start in no time."""

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["pinterest_pipeline.cli", "pinterest_pipeline.landing"])

    def __init__(self, folder: Path, settings: Mapping[str, str], *arguments: str) -> None:
        self.log = folder / "sink.log"
        self.process = self._context.Process(
            target=_run, args=(folder, environment() | dict(settings), arguments)
        )
        self.process.start()

    def send(self, number: signal.Signals) -> None:
        assert self.process.pid
        os.kill(self.process.pid, number)

    def is_running(self) -> bool:
        return self.process.is_alive()

    def ends(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for its end; returns the exit code."""
        self.process.join(seconds)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def stop(self) -> int:
        """Have it finish, if it runs."""
        if self.is_running():
            self.process.terminate()
        return self.ends()

    def says(self) -> str:
        return self.log.read_text(errors="replace")


def _run(folder: Path, settings: Mapping[str, str], arguments: Sequence[str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(settings)
    with (folder / "sink.log").open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    main(["sink", *arguments])


Running = SinkProcess | ForkedSink


def until(condition: Callable[[], bool], sinks: Sequence[Running] = ()) -> None:
    """Wait for a condition; fails when a sink has ended."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        for sink in sinks:
            assert sink.is_running(), sink.says()[-3_000:]
        assert time.monotonic() < deadline, [sink.says()[-3_000:] for sink in sinks]
        time.sleep(0.05)


class Proof:
    """Everything that was acknowledged for one topic, and every object that was ever seen."""

    def __init__(self, log: EventLog, store: ObjectStore, topic: str, group: str) -> None:
        self.log, self.store, self.topic, self.group = log, store, topic, group
        self._acknowledged: dict[tuple[int, int], bytes] = {}
        self._seen: dict[str, str] = {}
        self._sent = 0

    def send(self, count: int) -> None:
        """Append records and keep what is acknowledged; objects seen until now must be as they were."""
        values = [
            b'{"number":%d,"color":"%s","text":"\xc3\xbc \\u00fc"}'
            % (number, (b"red", b"blue")[number // 3 % 2])
            for number in range(self._sent, self._sent + count)
        ]
        self._sent += count
        partitions = len(self.log.ends(self.topic))
        records = [Record(value, partition=number % partitions) for number, value in enumerate(values)]
        outcomes = self.log.append(self.topic, records).result(30)
        for value, outcome in zip(values, outcomes, strict=True):
            assert isinstance(outcome, Receipt)
            self._acknowledged[outcome.partition, outcome.offset] = value
        self.look()

    def is_done(self) -> bool:
        """Whether everything is committed; a broker that does not answer has not said so."""
        try:
            committed, ends = self.log.committed(self.group, self.topic), self.log.ends(self.topic)
        except Retryable:
            return False
        return committed == {partition: end for partition, end in ends.items() if end}

    def look(self) -> None:
        """No object that was ever seen has changed or gone."""
        keys = [stored.key for stored in self.store.list("topics")]
        with ThreadPoolExecutor(_READERS) as pool:
            contents = pool.map(self.store.get, keys)
            found = {
                key: hashlib.sha256(content).hexdigest() for key, content in zip(keys, contents, strict=True)
            }
        changed = {key for key, digest in self._seen.items() if found.get(key) != digest}
        assert changed == set()
        self._seen = found

    def plans(self) -> int:
        """How many ranges were planned so far."""
        return sum(1 for _ in self.store.list("manifest"))

    def holds(self) -> None:
        """Each acknowledged record lies in exactly one object, with the bytes that were sent."""
        self.look()
        landed: dict[tuple[int, int], bytes] = {}
        for key in self._seen:
            for line in self.store.get(key).splitlines():
                row = json.loads(line)
                place = (row["_partition"], row["_offset"])
                assert place not in landed, f"{place} lies twice"
                landed[place] = line[: line.index(b',"_topic"')] + b"}"
        assert landed == self._acknowledged
        committed = self.log.committed(self.group, self.topic)
        for partition, position in committed.items():
            assert manifest_problems(self.store, "topics", (self.topic, partition), 0, position) == []
