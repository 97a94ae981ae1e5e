"""What decides the names and the bytes of objects (pure); kept in every plan, so that a plan can be finished.

A plan that a process of other settings left behind is finished by the plan's own shape.
"""

from typing import Literal

import msgspec

from pinterest_pipeline.sink.parquet import Codec

NullBehaviour = Literal["keep", "fail", "ignore", "write"]
ErrorTolerance = Literal["keep", "none", "all"]


class Positions(msgspec.Struct, frozen=True):
    """The fields that Kafka Connect's InsertField transform adds, by their names; None leaves one out.

    https://docs.confluent.io/kafka-connectors/transforms/current/insertfield.html
    """

    topic: str | None = "_topic"
    partition: str | None = "_partition"
    offset: str | None = "_offset"
    timestamp: str | None = "_timestamp"


NO_POSITIONS = Positions(None, None, None, None)


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """The defaults are the pipeline's own; a properties file brings Connect's."""

    topics_dir: str = "topics"
    directory_delimiter: str = "/"
    file_delimiter: str = "+"
    pad_width: int = 10

    partitioner: Literal["default", "field", "time"] = "default"
    fields: tuple[str, ...] = ()
    duration_ms: int = 0
    path_format: str = ""
    locale: str = "en"
    timezone: str = "UTC"
    extractor: Literal["wallclock", "record", "record_field"] = "wallclock"
    timestamp_field: str = "timestamp"

    format: Literal["json", "parquet", "bytes"] = "json"
    converter: Literal["json", "string", "bytes"] = "json"
    key_converter: Literal["json", "string", "bytes"] = "string"
    extension: str = ".bin"
    """Of the `bytes` format."""
    separator: str = "\n"
    """After each record of the `bytes` format."""
    gzip_level: int | None = None
    """0 to 9; None is no compression."""
    codec: Codec = "snappy"
    """Of the `parquet` format."""
    positions: Positions = Positions()

    nulls: NullBehaviour = "keep"
    """`keep` lands a record without a value as a line with `"_raw":null`."""
    errors: ErrorTolerance = "keep"
    """`keep` lands what is no JSON object whole, under `_raw`; `all` sets it aside, `none` stops at it."""
    report_nulls: bool = False
    """Whether an ignored null also goes to the dead letters."""
    tombstone_folder: str = "tombstone"
    keys: Literal["", "json", "bytes"] = ""
    """Format of the objects with the records' keys; "" writes none."""
    headers: Literal["", "json"] = ""
    """Format of the objects with the records' headers; "" writes none."""
