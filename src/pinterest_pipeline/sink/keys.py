"""Every key of Confluent's S3 sink connector and of Kafka Connect that we know, and what it does (pure).

https://docs.confluent.io/kafka-connectors/s3-sink/current/configuration_options.html
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["honoured", "without effect", "refused"]


@dataclass(frozen=True, slots=True)
class Key:
    """`allowed` are the values that a refused key may have all the same."""

    name: str
    kind: Kind
    meaning: str
    default: str = ""
    allowed: tuple[str, ...] = ()


def _honoured(name: str, default: str, meaning: str) -> Key:
    return Key(name, "honoured", meaning, default)


def _idle(name: str, meaning: str) -> Key:
    return Key(name, "without effect", meaning)


def _refused(name: str, meaning: str, *allowed: str) -> Key:
    return Key(name, "refused", meaning, allowed=allowed)


_S3 = "io.confluent.connect.s3"
_SCHEMA = "JSON in the log brings no schema"
_OWN_CLIENT = "the store's client retries by PINPIPE_OBJECTS__RETRY_SECONDS"
_PARTS = "an object is one request, so that it can be put only if absent"
_POLICY = "set it as a default of the bucket"

KEYS: Final[tuple[Key, ...]] = (
    _honoured(
        "name", "S3-sink", "Name of the connector; the sink's group is `connect-<name>`, as Connect's."
    ),
    _refused("connector.class", "other connectors are none of ours", f"{_S3}.S3SinkConnector"),
    _honoured("topics", "", "Topics to land, separated by commas."),
    _honoured("topics.regex", "", "Land every topic whose name matches whole; new ones within 30 s."),
    _honoured("s3.bucket.name", "", "Bucket; without it the objects go where PINPIPE_OBJECTS__URL says."),
    _honoured("s3.region", "us-west-2", "Region of the bucket."),
    _honoured("store.url", "", "Address of an S3 server other than AWS."),
    _honoured("topics.dir", "topics", "First folder of every object."),
    _honoured("directory.delim", "/", "Between the parts of a folder; only `/`, which a folder needs too."),
    _honoured("file.delim", "+", "Between topic, partition and offset in an object's name."),
    _honoured("filename.offset.zero.pad.width", "10", "Digits of the offset in an object's name."),
    _honoured("flush.size", "", "Required. Records of a topic-partition after which its objects are closed."),
    _honoured(
        "rotate.interval.ms", "-1", "Span of the records' time in an object; needs a time partitioner."
    ),
    _honoured("rotate.schedule.interval.ms", "-1", "Span of the clock from midnight on; needs `timezone`."),
    _honoured(
        "partitioner.class", "DefaultPartitioner", "Default-, Field-, TimeBased-, Daily-, HourlyPartitioner."
    ),
    _honoured("partition.field.name", "", "Fields for the FieldPartitioner, separated by commas."),
    _honoured("partition.duration.ms", "-1", "Span of a folder of the TimeBasedPartitioner."),
    _honoured("path.format", "", "Folder of the TimeBasedPartitioner, as a Joda-Time pattern."),
    _honoured("locale", "", "Required by time partitioners; names of months and days are English only."),
    _honoured("timezone", "", "Required by time partitioners: a long name, or `+hh:mm`."),
    _honoured(
        "timestamp.extractor", "Wallclock", "Wallclock (when its range was begun), Record or RecordField."
    ),
    _honoured(
        "timestamp.field", "timestamp", "Field for RecordField: milliseconds, or ISO 8601 (UTC without zone)."
    ),
    _honoured(
        "format.class", f"{_S3}.format.json.JsonFormat", "JsonFormat, ParquetFormat or ByteArrayFormat."
    ),
    _honoured("format.bytearray.extension", ".bin", "Ending of ByteArrayFormat's objects."),
    _honoured("format.bytearray.separator", "\\n", "After each record of ByteArrayFormat."),
    _honoured("parquet.codec", "snappy", "none, gzip, snappy or zstd."),
    _honoured("s3.compression.type", "none", "none or gzip, for JSON and bytes."),
    _honoured("s3.compression.level", "-1", "-1 (gzip's own 6) to 9."),
    _honoured("value.converter", "", "JsonConverter, StringConverter or ByteArrayConverter."),
    _refused("value.converter.schemas.enable", _SCHEMA, "false"),
    _honoured(
        "key.converter", "", "The same for keys, with `store.kafka.keys`; StringConverter if not given."
    ),
    _refused("key.converter.schemas.enable", _SCHEMA, "false"),
    _honoured("behavior.on.null.values", "fail", "fail, ignore or write (needs `store.kafka.keys`)."),
    _honoured(
        "tombstone.encoded.partition", "tombstone", "Folder of the keys of tombstones that are written."
    ),
    _honoured("report.null.values.to.dlq", "true", "Whether ignored nulls go to the dead-letter topic."),
    _honoured("errors.tolerance", "none", "none stops at a record that cannot be landed, all sets it aside."),
    _honoured("errors.deadletterqueue.topic.name", "", "Where they go; without it they are only counted."),
    _honoured("errors.deadletterqueue.topic.replication.factor", "", "Copies of it; else the log's default."),
    _honoured("errors.deadletterqueue.context.headers.enable", "false", "Whether they carry the reason."),
    _honoured("store.kafka.keys", "false", "Whether keys land in objects beside, `….keys.json`."),
    _honoured(
        "keys.format.class", f"{_S3}.format.avro.AvroFormat", "JsonFormat or ByteArrayFormat; name one."
    ),
    _honoured("store.kafka.headers", "false", "Whether headers land in objects beside, `….headers.json`."),
    _honoured("headers.format.class", f"{_S3}.format.avro.AvroFormat", "JsonFormat; name it."),
    _honoured("transforms", "", "Only InsertField$Value; left out, the positions are inserted all the same."),
    _refused("storage.class", "objects go to S3", f"{_S3}.storage.S3Storage"),
    _refused("schema.compatibility", _SCHEMA, "NONE"),
    _refused("append.late.data", "a late record opens another object", "false"),
    _refused("s3.proxy.url", "set HTTPS_PROXY in the environment", ""),
    _refused("s3.acl.canned", _POLICY, ""),
    _refused("s3.ssea.name", _POLICY, ""),
    _refused("s3.sse.kms.key.id", _POLICY, ""),
    _refused("s3.sse.customer.key", "the sink could not read its objects back", ""),
    _refused("s3.object.tagging", "the manifest says start, end and count of every object", "false"),
    _refused("s3.wan.mode", "name the accelerated address in `store.url`", "false"),
    _refused("aws.access.key.id", "secrets come from the environment: PINPIPE_OBJECTS__ACCESS_KEY_ID", ""),
    _refused(
        "aws.secret.access.key", "secrets come from the environment: PINPIPE_OBJECTS__SECRET_ACCESS_KEY", ""
    ),
    _refused("max.write.duration.ms", "an object is written in one request", "-1", "9223372036854775807"),
    _refused("rotate.file.on.partition.change", "objects of several folders are closed together", "true"),
    _idle("tasks.max", "start as many sinks as you want; they share the partitions."),
    _idle("s3.part.size", f"{_PARTS}."),
    _idle("s3.part.retries", f"{_OWN_CLIENT}."),
    _idle("s3.retry.backoff.ms", f"{_OWN_CLIENT}."),
    _idle("retry.backoff.ms", f"{_OWN_CLIENT}."),
    _idle("s3.http.send.expect.continue", f"{_PARTS}."),
    _idle("s3.send.digest", "every object is read back and compared by SHA-256."),
    _idle("s3.elastic.buffer.enable", "memory is bounded by PINPIPE_SINK__FLUSH_BYTES."),
    _idle("s3.elastic.buffer.init.capacity", "memory is bounded by PINPIPE_SINK__FLUSH_BYTES."),
    _idle("s3.path.style.access.enabled", "the client takes the style that the server needs."),
    _idle("s3.credentials.provider.class", "the client follows AWS's usual chain."),
    _idle("enable.conditional.writes", "objects are always put only if absent."),
    _idle("max.files.scan.limit", "no free name is looked for."),
    _idle("partitioner.max.open.files", "objects are made when their range is closed; none is open."),
    _idle("schema.cache.size", f"{_SCHEMA}."),
    _idle("schemas.enable", f"{_SCHEMA}."),
    _idle("json.decimal.format", "values are landed as they were sent."),
    _idle("connect.meta.data", "only Avro has it."),
    _idle("enhanced.avro.schema.support", "only Avro has it."),
    _idle("avro.codec", "only Avro has it."),
    _idle("errors.log.enable", "what is set aside is always logged."),
    _idle("errors.log.include.messages", "values are never logged; they are in the dead-letter topic."),
    _idle("errors.retry.timeout", "what can pass is tried again as long as it takes."),
    _idle("errors.retry.delay.max.ms", "the pause between two tries is 30 s at most."),
    _idle("shutdown.timeout.ms", "a sink that is stopped lands what it read, for 20 s at most."),
    _idle("header.converter", "headers are landed as text, or in base64."),
    _idle("config.action.reload", "secrets come from the environment."),
    _idle("confluent.topic.bootstrap.servers", "no licence is needed."),
    _idle("confluent.topic.replication.factor", "no licence is needed."),
    _idle("confluent.license", "no licence is needed."),
)
BY_NAME: Final = {key.name: key for key in KEYS}
PASSED_OVER: Final = ("consumer.override.", "producer.override.", "admin.override.")
"""Beginnings of keys that set the log's client: PINPIPE_KAFKA__PROPERTIES does that."""
