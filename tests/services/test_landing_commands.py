"""`pinpipe sink` and `pinpipe compact` as a person types them."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from pinterest_pipeline.config import ObjectSettings, load_settings, variables
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.landing import own_topics
from pinterest_pipeline.sink.msk_connect import as_properties
from pinterest_pipeline.workspace import Workspace
from tests.command import pinpipe
from tests.services.sink_process import SinkProcess, until

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


@pytest.mark.parametrize("option", ["--prefix again", "--from-offset 0", "--to-time 2026-01-01"])
def test_a_span_without_a_backfill_is_refused(tmp_path: Path, option: str) -> None:
    done = pinpipe(tmp_path, "sink", *option.split())
    assert done.returncode == 2
    assert "--backfill" in done.stderr


def test_where_nothing_is_nothing_is_merged(tmp_path: Path) -> None:
    done = pinpipe(tmp_path, "compact", "--json")
    assert json.loads(done.stdout) == {"merged": 0, "written": 0}


@pytest.mark.parametrize("are_there", [False, True], ids=["topics come later", "topics are there"])
def test_the_printed_connector_is_one_that_the_sink_reads(tmp_path: Path, are_there: bool) -> None:
    printed = json.loads(pinpipe(tmp_path, "sink", "--as-connector").stdout)["connectorConfiguration"]
    (tmp_path / "sink.properties").write_text(as_properties(printed))
    settings = load_settings(data=tmp_path / "pinpipe-data")
    topics = own_topics(settings)
    with closing(Workspace(settings).topics_log()) as log:
        for topic in topics if are_there else ():
            log.create(topic, 1)
        own = {"PINPIPE_OBJECTS__URL": f"file://{tmp_path}/bucket", "PINPIPE_SINK__FLUSH_SECONDS": "0.2"}
        sink = SinkProcess(tmp_path, own, "--config", "sink.properties")
        if not are_there:
            until(lambda: "waiting for topics that are not there yet" in sink.says(), [sink])
            assert all(topic in sink.says() for topic in topics)
            for topic in topics:
                log.create(topic, 1)
        for topic in topics:
            log.append(topic, [Record(b'{"index":1}')]).result()
        landed = [
            tmp_path / f"bucket/topics/{topic}/partition=0/{topic}+0+0000000000.json" for topic in topics
        ]
        until(lambda: all(path.exists() for path in landed), [sink])
        assert sink.stop() == 0
    lines = [json.loads(path.read_bytes()) for path in landed]
    assert [(line["index"], line["_topic"], line["_offset"]) for line in lines] == [
        (1, topic, 0) for topic in topics
    ]


def test_a_bucket_that_is_not_there_is_named_and_not_waited_for(s3: ObjectSettings, tmp_path: Path) -> None:
    text = f"topics=a\nflush.size=1\ns3.bucket.name=no-such-bucket\nstore.url={s3.endpoint}\n"
    (tmp_path / "sink.properties").write_text(text)
    own = dict(variables(s3.model_copy(update={"url": ""}), "PINPIPE_OBJECTS__"))
    with closing(Workspace(load_settings(data=tmp_path / "pinpipe-data")).topics_log()) as log:
        log.create("a", 1)
    done = pinpipe(tmp_path, "sink", "--config", "sink.properties", settings=own)
    assert done.returncode == 2, done.stderr
    assert "there is no bucket for s3://no-such-bucket" in done.stderr
    assert "s3.bucket.name" in done.stderr


def test_dead_letters_are_replayed_by_a_command(tmp_path: Path) -> None:
    text = (
        "topics=a\nflush.size=1\nerrors.tolerance=all\nerrors.deadletterqueue.topic.name=dead\n"
        "errors.deadletterqueue.context.headers.enable=true\n"
    )
    (tmp_path / "sink.properties").write_text(text)
    with closing(Workspace(load_settings(data=tmp_path / "pinpipe-data")).topics_log()) as log:
        log.create("a", 1)
        log.append("a", [Record(b"poison")]).result()
        sink = SinkProcess(tmp_path, {}, "--config", "sink.properties")
        until(lambda: "dead" in log.topics() and log.ends("dead") == {0: 1}, [sink])
        assert sink.stop() == 0
        said = [pinpipe(tmp_path, "replay", "--config", "sink.properties", "--json").stdout for _ in range(2)]
        assert [json.loads(one)["replayed"] for one in said] == [{"a": 1}, {}]
        assert [record.value for record in log.read("a", 0, 1, 10)] == [b"poison"]
