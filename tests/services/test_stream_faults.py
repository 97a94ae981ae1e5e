"""`pinpipe stream` under every fault: each acknowledged record is kept, overtaken or set aside, once."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.errors import BadInput, StreamInUse
from pinterest_pipeline.eventlog.base import Receipt, Record
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.pipeline import prepare, table_account
from pinterest_pipeline.records import names
from pinterest_pipeline.workspace import Workspace
from tests.command import environment, pinpipe

pytestmark = pytest.mark.services

STREAM = names.stream("124df56aef51", "user")
SEED = random.SystemRandom().randrange(2**32)
DEADLINE_SECONDS = 120.0
POINTS = (
    "stream.read",
    "load.quarantined",
    "table.before_commit",
    "table.after_commit",
    "table.compacted",
    "table.vacuumed",
)
SETTINGS = {"PINPIPE_STREAM__POLL_SECONDS": "0.01", "PINPIPE_TABLES__KEEP_MINUTES": "0"}
SMALL = {"PINPIPE_STREAM__BATCH_RECORDS": "6"}


class Stage:
    """A stream that is written to and reshaped, loaders that come and go, and what was acknowledged."""

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.folder = folder
        self.workspace = Workspace(load_settings(data=data or folder / "data"))
        log = self.workspace.streams_log()
        assert isinstance(log, SqliteStreamLog)
        self.log = log
        prepare(self.workspace.settings, "stream", self.log)
        self.good: dict[int, list[tuple[str, str]]] = {}
        """The places of each `ind`, in the order they were acknowledged."""
        self.bad: set[tuple[str, str]] = set()
        self._chance = random.Random(SEED)
        self._processes: list[subprocess.Popen[bytes]] = []

    def send(self, count: int) -> None:
        """Some posts again and again, and one record in ten, but at least one, that is none."""
        for _ in range(count // 20):
            inds = [self._chance.randrange(300) for _ in range(20)]
            bad = [self._chance.random() < 0.1 for _ in inds[1:]] + [True]
            records = [
                Record(b"no json" if is_bad else b'{"ind":%d,"age":30}' % ind, b"%d" % ind)
                for ind, is_bad in zip(inds, bad, strict=True)
            ]
            for ind, is_bad, place in zip(inds, bad, self.log.append(STREAM, records).result(), strict=True):
                assert isinstance(place, Receipt)
                where = (shard_id(place.partition), sequence_number(place.offset))
                if is_bad:
                    self.bad.add(where)
                else:
                    self.good.setdefault(ind, []).append(where)

    def reshape(self) -> None:
        """Split or merge one shard, or do nothing where that does not go."""
        shards = self.log.stream(STREAM).open_shards
        with suppress(BadInput, StreamInUse):
            if len(shards) > 3:
                self.log.merge(STREAM, shards[0].number, shards[1].number)
            else:
                first, last = int(shards[-1].first_hash, 16), int(shards[-1].last_hash, 16)
                self.log.split(STREAM, shards[-1].number, (first + last) // 2)

    def start(self, *arguments: str, crash_at: str = "") -> "subprocess.Popen[bytes]":
        settings = SETTINGS | {"PINPIPE_DATA": str(self.workspace.root)}
        if crash_at:
            settings |= SMALL | {"PINPIPE_CRASH_AT": crash_at}
        with (self.folder / "stream.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "pinterest_pipeline", "stream", *arguments],
                    cwd=self.folder,
                    env=environment() | settings | {"PYTHONFAULTHANDLER": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        return self._processes[-1]

    def ended(self, process: "subprocess.Popen[bytes]") -> int:
        """The code of a process that ends by itself; one that hangs says where."""
        try:
            return process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            pytest.fail(f"it hangs (seed {SEED}): {self.says()[-10_000:]}")

    def says(self) -> str:
        return (self.folder / "stream.log").read_text(errors="replace")

    def holds(self) -> None:
        """The tables are exactly what was acknowledged, and `pinpipe verify` finds the same."""
        assert self.ended(self.start("--until-empty")) == 0, self.says()[-3_000:]
        rows = self.workspace.table("stream", "user").head(1_000_000)
        found = {row["ind"]: (row["_shard"], row["_sequence"]) for row in rows}
        assert len(found) == len(rows)
        assert found == {ind: places[-1] for ind, places in self.good.items()}
        quarantined = self.workspace.quarantine("stream").head(1_000_000)
        places = [(row["_shard"], row["_sequence"]) for row in quarantined]
        assert sorted(places) == sorted(self.bad)
        assert all(row["raw"] and row["reason"] for row in quarantined)
        assert table_account(self.workspace, "stream", "user").problems == []
        assert "Traceback" not in self.says()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.log.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_killed_at_every_step_it_loses_and_doubles_nothing(stage: Stage) -> None:
    for point in POINTS:
        is_late = point in ("table.compacted", "table.vacuumed")  # after some dozen commits
        stage.send(200 if is_late else 20)
        stage.reshape()
        stage.send(20)
        assert stage.ended(stage.start(crash_at=point)) == -signal.SIGKILL, point
    stage.holds()


def test_killed_at_any_moment_while_records_come_and_shards_change(stage: Stage) -> None:
    sys.stdout.write(f"seed {SEED}\n")
    chance, over = random.Random(SEED), threading.Event()

    def write() -> None:
        while not over.is_set():
            stage.send(20)
            if chance.random() < 0.1:
                stage.reshape()
            over.wait(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            loader = stage.start()
            time.sleep(chance.uniform(0.5, 6))  # not a wait: the moment of the kill
            loader.kill()
            loader.wait()
    finally:
        over.set()
        writer.join()
    stage.holds()


def test_a_full_disk_is_said_and_costs_nothing(small_disk: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, small_disk / "data")
    stage.send(400)
    ballast = small_disk / "ballast"
    with suppress(OSError):
        ballast.write_bytes(bytes(8 * 2**20))  # as much as there is room for
    assert stage.ended(stage.start("--until-empty")) == 6, stage.says()
    assert "error:" in stage.says()
    ballast.unlink()
    stage.holds()
    stage.close()


def test_a_stream_made_anew_ends_pinpipe_up_until_it_is_restarted(stage: Stage) -> None:
    stage.send(20)
    stage.holds()
    stage.log.delete(STREAM)
    prepare(stage.workspace.settings, "stream", stage.log)
    settings = {"PINPIPE_DATA": str(stage.workspace.root), "PINPIPE_GATEWAY__PORT": "0"}
    done = pinpipe(stage.folder, "up", settings=settings)
    assert done.returncode == 4, done.stderr
    assert f"pinpipe stream --restart {STREAM}" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    again = pinpipe(stage.folder, "stream", "--restart", STREAM, "--until-empty", settings=settings)
    assert again.returncode == 0, again.stderr
    stage.log.append(STREAM, [Record(b'{"ind":1000,"age":1}', b"1000")]).result()
    assert pinpipe(stage.folder, "stream", "--until-empty", settings=settings).returncode == 0
    rows = stage.workspace.table("stream", "user").head(1_000)
    assert 1000 in {row["ind"] for row in rows}
    assert len(rows) > 1
