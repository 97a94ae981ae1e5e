"""A Confluent S3 sink's properties as the rules of our sink (pure)."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, cast, get_args

from pinterest_pipeline.config import BUCKET_NAME, STORE_SERVER, SinkSettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.sink.keys import BY_NAME, PASSED_OVER, Key
from pinterest_pipeline.sink.parquet import Codec
from pinterest_pipeline.sink.path_format import formatter, time_zone
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import Bucket, DeadLetterRules, Rules, first_folder
from pinterest_pipeline.sink.shape import NO_POSITIONS, NullBehaviour, Positions, Shape
from pinterest_pipeline.sink.values import Values, avro

Format = Literal["json", "parquet", "bytes"]
Converter = Literal["json", "string", "bytes"]

_FORMATS: Final[Mapping[str, Format]] = {
    "JsonFormat": "json",
    "ParquetFormat": "parquet",
    "ByteArrayFormat": "bytes",
}
_CONVERTERS: Final[Mapping[str, Converter]] = {
    "JsonConverter": "json",
    "StringConverter": "string",
    "ByteArrayConverter": "bytes",
}
_EXTRACTORS: Final[Mapping[str, Literal["wallclock", "record", "record_field"]]] = {
    "Wallclock": "wallclock",
    "Record": "record",
    "RecordField": "record_field",
}
_BY_DAY: Final = "'year'=YYYY/'month'=MM/'day'=dd"
_TIME_PARTITIONERS: Final = {
    "HourlyPartitioner": (3_600_000, _BY_DAY + "/'hour'=HH"),
    "DailyPartitioner": (86_400_000, _BY_DAY),
}
_INSERT_FIELD: Final = "org.apache.kafka.connect.transforms.InsertField$Value"


def read_connector(properties: Mapping[str, str], settings: SinkSettings) -> tuple[Rules, list[str]]:
    """The rules, and a warning for each key that nobody knows.

    What Connect has no key for (age and bytes of an object) comes from our own settings. Raises SettingError
    for a value that cannot be, and for a key that would be promised and not kept.
    """
    used = tuple(f"transforms.{alias}." for alias in Values(properties).list("transforms"))
    unknown = [name for name in properties if name not in BY_NAME and not name.startswith(PASSED_OVER + used)]
    try:
        rules = _Reader(properties, settings).rules()
    except SettingError as error:
        if not unknown:
            raise
        names = ", ".join(unknown)  # perhaps what is missing, misspelt
        raise SettingError(f"{error.problem}. Unknown keys: {names}", error.remedy) from None
    return rules, [f"the key '{name}' is unknown and has no effect" for name in unknown]


class _Reader:
    def __init__(self, properties: Mapping[str, str], settings: SinkSettings) -> None:
        self._values = Values(properties)
        self._separator = properties.get("format.bytearray.separator")
        self._settings = settings

    def rules(self) -> Rules:
        self._refuse_unsupported()
        name = self._values.text("name")
        topics = self._values.list("topics")
        pattern = self._values.text("topics.regex")
        if bool(topics) == bool(pattern):
            self._values.refuse("topics", "give either topics or topics.regex")
        try:
            re.compile(pattern)
        except re.error as error:
            self._values.refuse("topics.regex", f"{pattern!r} is no regular expression: {error}")
        shape = self._shape()
        return Rules(
            group=f"connect-{name}",
            connector=name,
            topics=topics,
            pattern=pattern,
            shape=shape,
            rotation=self._rotation(shape),
            dead_letters=self._dead_letters(shape),
            bucket=self._bucket(),
        )

    def _refuse_unsupported(self) -> None:
        for name, value in self._values.given.items():
            key = BY_NAME.get(name)
            if key is None or key.kind != "refused" or value in key.allowed:
                continue
            if value.rpartition(".")[2] in {allowed.rpartition(".")[2] for allowed in key.allowed if allowed}:
                continue
            self._values.refuse(name, _refusal(key))

    def _bucket(self) -> Bucket | None:
        name, endpoint = self._values.text("s3.bucket.name"), self._values.text("store.url")
        if not re.fullmatch(BUCKET_NAME, name):
            self._values.refuse("s3.bucket.name", f"{name!r} names no bucket")
        if endpoint and not re.fullmatch(rf"{STORE_SERVER}(/\S*)?", endpoint):
            self._values.refuse(
                "store.url", f"{endpoint!r} is no address; write for example http://minio:9000"
            )
        return Bucket(name, self._values.text("s3.region"), endpoint) if name else None

    def _dead_letters(self, shape: Shape) -> DeadLetterRules | None:
        topic = self._values.text("errors.deadletterqueue.topic.name")
        copies = "errors.deadletterqueue.topic.replication.factor"
        if not topic:
            return None
        if shape.errors != "all":
            self._values.refuse("errors.deadletterqueue.topic.name", "it needs errors.tolerance=all")
        return DeadLetterRules(
            topic,
            self._values.number(copies, 1) if copies in self._values.given else None,
            self._values.truth("errors.deadletterqueue.context.headers.enable"),
        )

    def _rotation(self, shape: Shape) -> Rotation:
        if "flush.size" not in self._values.given:
            self._values.refuse("flush.size", "it is required: the records of an object")
        interval = self._values.number("rotate.interval.ms", -1)
        schedule = self._values.number("rotate.schedule.interval.ms", -1)
        if interval > 0 and shape.partitioner != "time":
            self._values.refuse(
                "rotate.interval.ms", "it goes by the records' time, so it needs a time partitioner"
            )
        return Rotation(
            flush_size=self._values.number("flush.size", 1),
            flush_bytes=self._settings.flush_bytes,
            flush_seconds=self._settings.flush_seconds,
            interval_ms=interval,
            schedule_ms=schedule,
            timezone=self._zone("rotate.schedule.interval.ms") if schedule > 0 else "UTC",
        )

    def _shape(self) -> Shape:
        found = self._values.choice("format.class", _FORMATS)
        converter = self._converter(found)
        keys = self._side_format("store.kafka.keys", "keys.format.class", {"json", "bytes"})
        headers = self._side_format("store.kafka.headers", "headers.format.class", {"json"})
        nulls: NullBehaviour = self._values.one_of("behavior.on.null.values", ("fail", "ignore", "write"))
        if nulls == "write" and not keys:
            self._values.refuse(
                "behavior.on.null.values", "write lands the keys, so it needs store.kafka.keys=true"
            )
        return Shape(
            topics_dir=first_folder(self._values.text("topics.dir"), "topics.dir"),
            directory_delimiter=self._delimiter(),
            file_delimiter=self._values.text("file.delim"),
            pad_width=self._values.number("filename.offset.zero.pad.width", 0),
            format=found,
            converter=converter,
            key_converter=self._values.choice("key.converter", _CONVERTERS, "string"),
            extension=self._values.text("format.bytearray.extension"),
            separator=self._line_separator(),
            gzip_level=self._gzip_level(),
            codec=self._values.one_of("parquet.codec", get_args(Codec)),
            positions=self._positions(converter),
            nulls=nulls,
            errors=self._values.one_of("errors.tolerance", ("none", "all")),
            report_nulls=self._values.truth("report.null.values.to.dlq"),
            tombstone_folder=self._values.text("tombstone.encoded.partition"),
            keys=cast('Literal["", "json", "bytes"]', keys),
            headers=cast('Literal["", "json"]', headers),
            **self._partitioner(),
        )

    def _partitioner(self) -> dict[str, Any]:
        name = self._values.text("partitioner.class").rpartition(".")[2]
        if name == "DefaultPartitioner":
            return {}
        if name == "FieldPartitioner":
            fields = self._values.list("partition.field.name")
            if not fields:
                self._values.refuse("partition.field.name", "the FieldPartitioner needs it")
            return {"partitioner": "field", "fields": fields}
        if name == "TimeBasedPartitioner":
            return self._time(
                self._values.number("partition.duration.ms", 1),
                self._values.text("path.format").removesuffix("/"),
            )
        if name in _TIME_PARTITIONERS:
            return self._time(*_TIME_PARTITIONERS[name])
        return self._values.refuse("partitioner.class", "classes of your own cannot be loaded")

    def _time(self, duration_ms: int, pattern: str) -> dict[str, Any]:
        locale = self._values.text("locale")
        if not pattern or any(part in ("", ".", "..") for part in pattern.split("/")):
            self._values.refuse("path.format", "it names the folders, so it cannot be empty")
        if not locale:
            self._values.refuse("locale", "time partitioners need it, for example en-US")
        formatter(pattern, locale)
        return {
            "partitioner": "time",
            "duration_ms": duration_ms,
            "path_format": pattern,
            "locale": locale,
            "timezone": self._zone("partitioner.class"),
            "extractor": self._values.choice("timestamp.extractor", _EXTRACTORS),
            "timestamp_field": self._values.text("timestamp.field"),
        }

    def _zone(self, needed_by: str) -> str:
        zone = self._values.text("timezone")
        if not zone:
            self._values.refuse("timezone", f"{needed_by} needs it, for example UTC")
        time_zone(zone)
        return zone

    def _converter(self, found: Format) -> Converter:
        converter = self._values.choice(
            "value.converter", _CONVERTERS, "bytes" if found == "bytes" else "json"
        )
        if found != "json" and converter != ("bytes" if found == "bytes" else "json"):
            self._values.refuse("value.converter", f"it does not go with {self._values.text('format.class')}")
        return converter

    def _positions(self, converter: Converter) -> Positions:
        """The fields of InsertField; all four where the file says nothing, since the pipeline needs them."""
        if converter != "json":
            if self._values.list("transforms"):
                self._values.refuse("transforms", "fields can be inserted into JSON objects only")
            return NO_POSITIONS
        if "transforms" not in self._values.given:
            return Positions()
        names: dict[str, str | None] = dict.fromkeys(("topic", "partition", "offset", "timestamp"))
        for alias in self._values.list("transforms"):
            if self._values.given.get(f"transforms.{alias}.type") != _INSERT_FIELD:
                self._values.refuse(f"transforms.{alias}.type", f"only {_INSERT_FIELD} is supported")
            names |= self._inserted(f"transforms.{alias}.", names)
        return Positions(**names)

    def _inserted(self, prefix: str, known: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for name, value in self._values.given.items():
            option = name.removeprefix(prefix)
            if not name.startswith(prefix) or option == "type":
                continue
            field = option.removesuffix(".field")
            if option == field or field not in known:
                self._values.refuse(name, "only topic, partition, offset and timestamp can be inserted")
            found[field] = value.rstrip("!?")  # "always there" and "may be missing", which only schemas tell
            if not found[field]:
                self._values.refuse(name, "it names no field")
        return found

    def _delimiter(self) -> str:
        if self._values.text("directory.delim") != "/":
            self._values.refuse("directory.delim", "only / is supported: folders of a machine have no other")
        return "/"

    def _line_separator(self) -> str:
        return "\n" if self._separator is None else self._separator

    def _gzip_level(self) -> int | None:
        if self._values.one_of("s3.compression.type", ("none", "gzip")) == "none":
            return None
        level = self._values.number("s3.compression.level", -1)
        if level > 9:
            self._values.refuse("s3.compression.level", "it goes from -1 to 9")
        return 6 if level < 0 else level

    def _side_format(self, switch: str, name: str, allowed: set[str]) -> str:
        if not self._values.truth(switch):
            return ""
        found = _FORMATS.get(self._values.text(name).rpartition(".")[2])
        if found not in allowed:
            reason = avro(self._values.text(name))
            self._values.refuse(name, f"{switch} lands them as {' or '.join(sorted(allowed))}; {reason}")
        return found


def _refusal(key: Key) -> str:
    allowed = " or ".join(repr(value) for value in key.allowed)
    return f"it is not supported ({key.meaning}); leave it out, or set {allowed}"
