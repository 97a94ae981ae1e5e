"""`pinpipe sink` and `pinpipe compact` as a person types them."""

import json
from pathlib import Path

import pytest

from tests.command import pinpipe

pytestmark = pytest.mark.services


def test_the_connector_is_printed_as_json(tmp_path: Path) -> None:
    done = pinpipe(tmp_path, "sink", "--as-connector", settings={"PINPIPE_OBJECTS__URL": "s3://mine"})
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["connectorConfiguration"]["s3.bucket.name"] == "mine"
    assert found["customPlugin"]["contentType"] == "ZIP"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (None, 4, "sink.properties cannot be read"),
        ("topics=a\n", 2, "flush.size"),
        ("topics=a\nflush.size=1\nformat.class=io.confluent.connect.s3.format.avro.AvroFormat\n", 2, "Avro"),
        ("topics=a\nflush.size=1\naws.secret.access.key=hunter2\n", 2, "aws.secret.access.key"),
        ("topics=a\nflush.size=1\n", 4, "no topic or stream is named 'a'"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_message(
    tmp_path: Path, text: str | None, code: int, says: str
) -> None:
    if text is not None:
        (tmp_path / "sink.properties").write_text(text)
    done = pinpipe(tmp_path, "sink", "--config", "sink.properties")
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_backfill_needs_its_prefix(tmp_path: Path) -> None:
    done = pinpipe(tmp_path, "sink", "--backfill")
    assert done.returncode == 2
    assert "--prefix" in done.stderr


def test_where_nothing_is_nothing_is_merged(tmp_path: Path) -> None:
    done = pinpipe(tmp_path, "compact", "--json")
    assert json.loads(done.stdout) == {"merged": 0, "written": 0}
