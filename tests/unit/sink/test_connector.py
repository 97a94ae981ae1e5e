"""A Confluent properties file is read unchanged; what would not be kept is refused by its key."""

from typing import Any

import pytest

from pinterest_pipeline.config import SinkSettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.sink.building import build
from pinterest_pipeline.sink.connector import read_connector
from pinterest_pipeline.sink.keys import KEYS
from pinterest_pipeline.sink.msk_connect import as_properties, connector_properties, custom_plugin
from pinterest_pipeline.sink.properties import parse_properties
from pinterest_pipeline.sink.rules import Bucket, DeadLetterRules, Rules, pipeline_rules
from pinterest_pipeline.sink.shape import NO_POSITIONS, Positions

SETTINGS = SinkSettings()
LEAST = {"name": "s", "topics": "a", "flush.size": "3"}
TIME = {"locale": "en-US", "timezone": "UTC"}

# The connector of the original project, as its guide has it.
ORIGINAL = """\
connector.class=io.confluent.connect.s3.S3SinkConnector
# same region as our bucket and cluster
s3.region=us-east-1
topics.regex=124df56aef51.*
format.class=io.confluent.connect.s3.format.json.JsonFormat
partitioner.class=io.confluent.connect.storage.partitioner.DefaultPartitioner
flush.size=1
schema.compatibility=NONE
tasks.max=3
value.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
storage.class=io.confluent.connect.s3.storage.S3Storage
key.converter=org.apache.kafka.connect.storage.StringConverter
s3.bucket.name=user-124df56aef51-bucket
"""


def read(**changes: str) -> Rules:
    properties = LEAST | {name.replace("__", "."): value for name, value in changes.items()}
    return read_connector(properties, SETTINGS)[0]


def test_the_originals_connector_is_read_unchanged() -> None:
    rules, warnings = read_connector(parse_properties(ORIGINAL), SETTINGS)
    assert warnings == []
    assert (rules.group, rules.pattern, rules.topics) == ("connect-S3-sink", "124df56aef51.*", ())
    assert rules.bucket == Bucket("user-124df56aef51-bucket", "us-east-1", "")
    assert (rules.rotation.flush_size, rules.rotation.flush_seconds) == (1, SETTINGS.flush_seconds)
    assert (rules.shape.positions, rules.shape.nulls, rules.shape.errors) == (Positions(), "fail", "none")


def test_a_required_key_that_is_missing_is_said_beside_those_that_nobody_knows() -> None:
    with pytest.raises(SettingError, match=r"flush\.size: it is required.*Unknown keys: flush\.sise"):
        read_connector({"name": "s", "topics": "a", "flush.sise": "3"}, SETTINGS)


def test_an_unknown_key_is_named_and_has_no_effect() -> None:
    rules, warnings = read_connector(LEAST | {"flush.sise": "9", "transforms.x.type": "y"}, SETTINGS)
    assert warnings == [
        f"the key '{key}' is unknown and has no effect" for key in ("flush.sise", "transforms.x.type")
    ]
    assert rules == read()


@pytest.mark.parametrize("key", [key for key in KEYS if key.kind == "refused"], ids=lambda key: key.name)
def test_what_is_not_supported_is_refused_unless_it_changes_nothing(key: Any) -> None:
    for value in key.allowed:
        read_connector(LEAST | {key.name: value}, SETTINGS)
    with pytest.raises(SettingError, match=key.name) as refused:
        read_connector(LEAST | {key.name: "something-else"}, SETTINGS)
    assert "something-else" not in str(refused.value)  # it may be a secret


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"topics": ""}, "topics"),
        ({"topics.regex": "b"}, "topics"),
        ({"topics": "", "topics.regex": "a("}, "topics.regex"),
        ({"flush.size": "0"}, "flush.size"),
        ({"flush.size": "many"}, "flush.size"),
        ({"format.class": "io.confluent.connect.s3.format.avro.AvroFormat"}, "format.class"),
        ({"partitioner.class": "com.example.Mine"}, "partitioner.class"),
        ({"partitioner.class": "FieldPartitioner"}, "partition.field.name"),
        ({"partitioner.class": "DailyPartitioner", "timezone": "UTC"}, "locale"),
        ({"partitioner.class": "DailyPartitioner", "locale": "en"}, "timezone"),
        ({"partitioner.class": "TimeBasedPartitioner", **TIME}, "partition.duration.ms"),
        ({"partitioner.class": "TimeBasedPartitioner", "partition.duration.ms": "1", **TIME}, "path.format"),
        ({"rotate.interval.ms": "1000"}, "rotate.interval.ms"),
        ({"rotate.schedule.interval.ms": "1000"}, "timezone"),
        ({"behavior.on.null.values": "write"}, "behavior.on.null.values"),
        ({"store.kafka.keys": "true"}, "keys.format.class"),
        ({"errors.deadletterqueue.topic.name": "d"}, "errors.deadletterqueue.topic.name"),
        ({"directory.delim": "|"}, "directory.delim"),
        ({"topics.dir": "a/../b"}, "topics.dir"),
        ({"topics.dir": "manifest/a"}, "topics.dir"),
        ({"s3.compression.level": "10", "s3.compression.type": "gzip"}, "s3.compression.level"),
        ({"transforms": "x", "transforms.x.type": "com.example.Mine"}, "transforms.x.type"),
        ({"rotate.schedule.interval.ms": "1000", "timezone": "+24:00"}, "timezone"),
        ({"rotate.schedule.interval.ms": "1000", "timezone": "-99:99"}, "timezone"),
        ({"value.converter": "StringConverter", "format.class": "ParquetFormat"}, "value.converter"),
        ({"s3.bucket.name": "a bucket"}, "s3.bucket.name"),
        ({"s3.bucket.name": "b", "store.url": "minio:9000"}, "store.url"),
        ({"s3.bucket.name": "b", "store.url": "http://[::1"}, "store.url"),
        ({"errors.tolerance": "some"}, "errors.tolerance"),
    ],
)
def test_a_value_that_cannot_be_is_named(changes: dict[str, str], key: str) -> None:
    with pytest.raises(SettingError, match=f"^{key}:"):
        read_connector(LEAST | changes, SETTINGS)


def test_partitioners_are_those_of_confluent() -> None:
    hourly = read(partitioner__class="io.confluent.HourlyPartitioner", timestamp__extractor="Record", **TIME)
    assert hourly.shape.path_format == "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"
    assert (hourly.shape.duration_ms, hourly.shape.extractor) == (3_600_000, "record")
    fields = read(partitioner__class="FieldPartitioner", partition__field__name="a, b")
    assert (fields.shape.partitioner, fields.shape.fields) == ("field", ("a", "b"))


def test_formats_and_their_settings_are_read() -> None:
    raw = read(
        format__class="io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
        format__bytearray__separator=" \t",
        format__bytearray__extension=".txt",
        s3__compression__type="gzip",
    )
    assert (raw.shape.format, raw.shape.separator, raw.shape.extension) == ("bytes", " \t", ".txt")
    assert (raw.shape.gzip_level, raw.shape.positions) == (6, NO_POSITIONS)
    assert read(parquet__codec="zstd", format__class="ParquetFormat").shape.codec == "zstd"


def test_positions_are_inserted_unless_the_file_says_otherwise() -> None:
    insert = {
        "transforms": "p",
        "transforms.p.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        "transforms.p.offset.field": "at!",
    }
    assert read_connector(LEAST | insert, SETTINGS)[0].shape.positions == Positions(None, None, "at", None)
    assert read(transforms="").shape.positions == NO_POSITIONS
    for nothing in ("", "!"):
        with pytest.raises(SettingError, match=r"transforms\.p\.offset\.field: it names no field"):
            read_connector(LEAST | insert | {"transforms.p.offset.field": nothing}, SETTINGS)
    with pytest.raises(SettingError, match=r"transforms\.p\.static"):
        read_connector(LEAST | insert | {"transforms.p.static.field": "x"}, SETTINGS)


@pytest.mark.parametrize(
    "address", ["http://minio:9000", "https://a.example/", "http://[::1]:9000", "http://h/p"]
)
def test_an_address_of_a_server_is_taken_as_it_is(address: str) -> None:
    found = read_connector(LEAST | {"s3.bucket.name": "b", "store.url": address}, SETTINGS)[0]
    assert found.bucket == Bucket("b", "us-west-2", address)


def test_dead_letters_are_read() -> None:
    found = read(
        errors__tolerance="all",
        errors__deadletterqueue__topic__name="dead",
        errors__deadletterqueue__topic__replication__factor="1",
        errors__deadletterqueue__context__headers__enable="true",
    )
    assert found.dead_letters == DeadLetterRules("dead", 1, with_headers=True)


def test_the_connector_for_msk_gives_the_layout_of_our_sink() -> None:
    topics = ("id.pin", "id.geo")
    text = as_properties(connector_properties("id", topics, "bucket", "us-east-1", SETTINGS))
    theirs, warnings = read_connector(parse_properties(text), SETTINGS)
    ours = pipeline_rules(SETTINGS, topics)
    record = StoredRecord(1, 42, 1_700_000_000_000, b"k", b'{"index":1}')
    for topic in topics:
        found = [build((topic, 1), [record], rules.shape, 0).objects for rules in (theirs, ours)]
        assert found[0] == found[1]
    assert (warnings, theirs.topics, theirs.rotation.flush_size) == ([], topics, ours.rotation.flush_size)
    assert custom_plugin("id", "bucket")["contentType"] == "ZIP"
