"""Spark as a loader of `freshness.py`: the streaming notebook in a process of its own, at the gateway."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.freshness import Loader, Part
from pinterest_pipeline.config import Settings, child_environment
from pinterest_pipeline.eventlog.sequence import offset_of, partition_of
from pinterest_pipeline.local import Supervisor
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "databricks" / "kinesis_streams.py"


@contextmanager
def _rooms(settings: Settings) -> Iterator[str]:
    supervisor, stop = Supervisor(settings, rooms=("gateway",)), threading.Event()
    url = supervisor.start()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    widgets = {"endpoint": url, "trigger": "0 seconds", "tables": _tables(settings)}
    widgets["checkpoints"] = _checkpoints(settings)
    command = [sys.executable, "-m", "tests.databricks_stand_in", str(NOTEBOOK)]
    with (settings.data / "spark.log").open("w") as log:
        notebook = subprocess.Popen(
            [*command, *(f"{name}={value}" for name, value in widgets.items())],
            cwd=ROOT,
            env=child_environment(settings),
            stdout=log,
            stderr=log,
        )
    try:
        yield url
    finally:
        notebook.terminate()
        notebook.wait()
        stop.set()
        thread.join()
        supervisor.stop()


def _see(settings: Settings) -> Callable[[], Mapping[Part, int]]:
    tables = {
        table: Path(_tables(settings)) / names.delta_table("stream", settings.pipeline_id, table)
        for table in TABLES
    }
    versions, ends = dict.fromkeys(TABLES, 0), dict[Part, int]()

    def see() -> dict[Part, int]:
        """A commit names its batch, and the offset of the batch the last record of each shard."""
        for table, path in tables.items():
            while (commit := path / "_delta_log" / f"{versions[table]:020}.json").exists():
                versions[table] += 1
                for line in commit.read_text().splitlines():
                    batch = json.loads(line).get("txn", {}).get("version")
                    if batch is not None:
                        offset = Path(_checkpoints(settings)) / table / "offsets" / str(batch)
                        ends.update({(table, shard): end for shard, end in _ends(offset)})
        return dict(ends)

    return see


def _ends(offset: Path) -> Iterator[tuple[int, int]]:
    for stream in json.loads(offset.read_text().splitlines()[-1]).values():
        for shard, place in stream["shards"].items():
            if "last" in place:
                yield partition_of(shard), offset_of(place["last"]) + 1


def _tables(settings: Settings) -> str:
    return str(settings.data.absolute() / "spark" / "tables")


def _checkpoints(settings: Settings) -> str:
    return str(settings.data.absolute() / "spark" / "checkpoints")


SPARK = Loader("Spark", _rooms, _see)
