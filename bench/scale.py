"""How time and memory grow with the posts: 10 thousand, 1 million, 10 million, and a day on top of each.

Spark does the million once more, its start included.
Memory is what a load takes beyond one of a single post. A day is 10,000 new posts and 1,000 that came before.
"""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from bench.answers import load_and_answer, measured
from pinterest_pipeline.config import EngineSettings, Settings, load_settings
from pinterest_pipeline.objects.layout import ObjectName
from pinterest_pipeline.pipeline import load_batch
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import landed_line, position_suffix, wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.records.schemas import SOURCE_KEYS, Post
from pinterest_pipeline.workspace import Workspace

SIZES = (10_000, 1_000_000, 10_000_000)
WITH_SPARK = 1_000_000
DAY, AGAIN = 10_000, 1_000
_PART = 500_000  # posts of one partition: each is made by itself, as many at a time as there are cores
_OBJECT = 50_000


def run(folder: Path, most: int) -> None:
    _, least = measured(load_and_answer, _posts(folder / "one", 1))
    empty, _ = measured(_load, _with_day(_posts(folder / "day", 0), 0))
    print(f"\na day of {DAY + AGAIN:,} posts into an empty table {empty:31.1f} s")
    for posts in [size for size in SIZES if size <= most]:
        settings = _posts(folder / f"posts-{posts}", posts)
        seconds, memory = measured(load_and_answer, settings)
        print(
            f"{posts:>10,} posts to answers {seconds:>8.1f} s {seconds / posts * 1e6:>7.1f} µs a post"
            f" {(memory - least) / 2**20:>7,.0f} MiB beyond that of one post",
            flush=True,
        )
        if posts == WITH_SPARK:
            with_spark, _ = measured(load_and_answer, _on_spark(settings))
            print(f"{'the same with Spark':>27} {with_spark:>6.1f} s {with_spark / seconds:>7.1f} x DuckDB")
        seconds, _ = measured(_load, _with_day(settings, posts))
        print(f"{'a day on top of them':>27} {seconds:>6.1f} s {seconds / empty:>7.1f} x that of none")


def _load(settings: Settings) -> None:
    workspace = Workspace(settings)
    with workspace.engine() as engine:
        load_batch(workspace, engine)


def _on_spark(settings: Settings) -> Settings:
    """The same objects, other tables."""
    folder = settings.data.with_name(f"{settings.data.name}-spark")
    folder.mkdir()
    (folder / "objects").symlink_to((settings.data / "objects").absolute())
    return settings.model_copy(update={"data": folder, "engine": EngineSettings(name="spark")})


def _posts(folder: Path, posts: int) -> Settings:
    settings = load_settings(data=folder)
    parts = [(settings, start, min(_PART, posts - start)) for start in range(0, posts, _PART)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count()) as pool:
        pool.starmap(_write_part, parts)
    return settings


def _write_part(settings: Settings, start: int, posts: int) -> None:
    _write(settings, start // _PART, _moved(generate(posts, seed=start + 100), start))


def _with_day(settings: Settings, posts: int) -> Settings:
    new = _moved(generate(DAY, seed=1), posts)
    again = _moved(generate(AGAIN, seed=2), 0)
    _write(settings, 10_000, (post for day in (new, again) for post in day))
    return settings


def _moved(posts: Iterable[Post], start: int) -> Iterator[Post]:
    """The posts with their indexes raised."""
    for post in posts:
        for table in TABLES:
            post[table][SOURCE_KEYS[table]] += start
        yield post


def _write(settings: Settings, partition: int, posts: Iterable[Post]) -> None:
    lines: dict[str, list[bytes]] = {table: [] for table in TABLES}
    for offset, post in enumerate(posts):
        for table in TABLES:
            topic = names.topic(settings.pipeline_id, table)
            position = {
                "_topic": topic,
                "_partition": partition,
                "_offset": offset,
                "_timestamp": 1_700_000_000_000,
            }
            row = msgspec.json.encode(wire_row(post[table]))
            lines[table].append(landed_line(row, position_suffix(position)))
        if len(lines["pin"]) == _OBJECT:
            _put(settings, partition, offset + 1 - _OBJECT, lines)
            lines = {table: [] for table in TABLES}
    if lines["pin"]:
        _put(settings, partition, offset + 1 - len(lines["pin"]), lines)


def _put(settings: Settings, partition: int, start: int, lines: dict[str, list[bytes]]) -> None:
    store = Workspace(settings).objects()
    for table in TABLES:
        name = ObjectName(names.topic(settings.pipeline_id, table), partition, start)
        store.put_if_absent(name.key(settings.sink.topics_dir), b"\n".join(lines[table]) + b"\n")
