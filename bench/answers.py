"""JSON objects to the eight answers, beside the time DuckDB takes to parse the same files into a table."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.objects.landed import landed_objects
from pinterest_pipeline.objects.layout import ObjectName
from pinterest_pipeline.pipeline import answers, load_batch
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import landed_line, position_suffix, wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.records.schemas import SOURCE_COLUMNS
from pinterest_pipeline.workspace import Workspace

_OBJECT_RECORDS = 50_000


def run(folder: Path, posts: int) -> None:
    settings = load_settings(data=folder / "answers")
    size = _write_objects(Workspace(settings), posts)
    print(f"\n{posts:,} posts, {size / 2**20:,.0f} MiB of JSON")
    parse, parse_memory = measured(_parse, settings)
    print(f"{'DuckDB parses the files into a table':45} {parse:>8.1f} s {parse_memory / 2**20:>10,.0f} MiB")
    total, memory = measured(load_and_answer, settings)
    print(
        f"{'objects to clean Delta tables to answers':45} {total:>8.1f} s {memory / 2**20:>10,.0f} MiB"
        f"   {total / parse:.1f} x the parse"
    )


def _write_objects(workspace: Workspace, posts: int) -> int:
    store, size = workspace.objects(), 0
    lines: dict[str, list[bytes]] = {table: [] for table in TABLES}
    for offset, post in enumerate(generate(posts)):
        for table in TABLES:
            topic = names.topic(workspace.settings.pipeline_id, table)
            position = {"_topic": topic, "_partition": 0, "_offset": offset, "_timestamp": 1_700_000_000_000}
            row = wire_row(post[table])
            lines[table].append(landed_line(msgspec.json.encode(row), position_suffix(position)))
        if (offset + 1) % _OBJECT_RECORDS == 0 or offset + 1 == posts:
            for table in TABLES:
                content = b"\n".join(lines[table]) + b"\n"
                topic = names.topic(workspace.settings.pipeline_id, table)
                name = ObjectName(topic, 0, offset + 1 - len(lines[table]))
                store.put_if_absent(name.key(workspace.settings.sink.topics_dir), content)
                size += len(content)
                lines[table].clear()
    return size


def measured(work: Callable[[Settings], Any], settings: Settings) -> tuple[float, int]:
    """Seconds and peak bytes of memory of the work in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, settings, sender))
    process.start()
    seconds, peak = receiver.recv()
    process.join()
    return seconds, peak


def _child(work: Callable[[Settings], Any], settings: Settings, sender: Any) -> None:
    started = time.perf_counter()
    work(settings)
    seconds = time.perf_counter() - started
    sender.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def _parse(settings: Settings) -> None:
    store = Workspace(settings).objects()
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for table in TABLES:
            topic = names.topic(settings.pipeline_id, table)
            keys = [found.key for found in landed_objects(store, settings.sink.topics_dir, topic)]
            files = [str(path) for path in store.fetch(keys, settings.data)]
            columns = dict.fromkeys(
                [*SOURCE_COLUMNS[table], "_topic", "_partition", "_offset", "_timestamp"], "VARCHAR"
            )
            connection.execute(
                f'CREATE TABLE "{table}" AS SELECT * FROM read_json({files},'
                f" format = 'newline_delimited', columns = {columns})"
            )


def load_and_answer(settings: Settings) -> None:
    workspace = Workspace(settings)
    with workspace.engine() as engine:
        load_batch(workspace, engine)
        answers(workspace, engine, "batch")
