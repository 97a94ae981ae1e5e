"""Rows of the original cloud pipeline, as its Kafka topics and Kinesis streams held them."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.engines.base import Engine
from tests.landing import line

DATA = Path(__file__).parents[3] / "../shared/data"
KAFKA = DATA / "kafka_records_30.jsonl"
KINESIS = DATA / "kinesis_rows_30.jsonl"

pytestmark = pytest.mark.skipif(not KAFKA.exists(), reason=f"the real rows are not here: {KAFKA.name}")


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]


def kinesis_lines(name: str) -> list[bytes]:
    """The stream's rows that hold a field `name`, as lines."""
    lines = []
    for row in rows_of(KINESIS):
        value = base64.b64decode(row["data"])
        arrived = datetime.strptime(row["approximateArrivalTimestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        where = {"_stream": row["stream"], "_shard": row["shardId"], "_sequence": row["sequenceNumber"]}
        if name in json.loads(value):
            lines.append(line(value, where | {"_timestamp": int(arrived.timestamp() * 1_000)}))
    return lines


def test_kafka_records_are_cleaned(engine: Engine, tmp_path: Path) -> None:
    records = rows_of(KAFKA)
    lines = [
        line(
            r["value"],
            {"_topic": r["topic"], "_partition": r["partition"], "_offset": r["offset"], "_timestamp": -1},
        )
        for r in records
    ]
    (tmp_path / "pin.json").write_bytes(b"".join(lines))
    with engine.clean("pin", "batch", [tmp_path / "pin.json"]) as result:
        found = {row["ind"]: row for row in result.rows.read_all().to_pylist()}
        assert (result.read, result.good, len(result.quarantined)) == (30, 30, 0)
    assert found.keys() == {r["value"]["index"] for r in records}
    assert (found[10794]["follower_count"], found[5494]["follower_count"]) == (437, 26_000)
    assert found[5069]["follower_count"] == 6_000_000
    assert found[5494]["description"].endswith("I ca…")
    assert found[10794]["save_location"] == "/data/vehicles"
    assert (found[3089]["title"], found[3089]["poster_name"], found[3089]["tag_list"]) == (None, None, None)


def test_kinesis_users_are_read_under_either_name_of_ind(engine: Engine, tmp_path: Path) -> None:
    lines = kinesis_lines("first_name")
    (tmp_path / "user.json").write_bytes(b"".join(lines))
    with engine.clean("user", "stream", [tmp_path / "user.json"]) as result:
        found = {row["ind"]: row["user_name"] for row in result.rows.read_all().to_pylist()}
        assert (result.read, result.good) == (len(lines), len(lines))
    assert (found[470], found[2183]) == ("Eric Quinn", "Courtney Barton")


def test_rows_that_are_no_posts_are_quarantined(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "pin.json").write_bytes(b"".join(kinesis_lines("example_field")))
    with engine.clean("pin", "stream", [tmp_path / "pin.json"]) as result:
        assert (result.read, result.good, len(result.quarantined)) == (11, 0, 11)
        quarantined: list[dict[str, Any]] = result.quarantined.to_pylist()
        assert all("example_value_pin" in row["raw"] for row in quarantined)
        assert {row["reason"] for row in quarantined} == {
            "ind: expected a whole number of at most 18 digits, got nothing"
        }
