"""The columns of a post: in the source database, on the wire, and where a landed record says it came from."""

from typing import Any, Final, TypedDict

from pinterest_pipeline.records.names import Branch, Table

SOURCE_TABLES: Final[dict[Table, str]] = {
    "pin": "pinterest_data",
    "geo": "geolocation_data",
    "user": "user_data",
}

SOURCE_KEYS: Final[dict[Table, str]] = {"pin": "index", "geo": "ind", "user": "ind"}

SOURCE_COLUMNS: Final[dict[Table, dict[str, str]]] = {
    "pin": {
        "index": "int",
        "unique_id": "text",
        "title": "text",
        "description": "text",
        "poster_name": "text",
        "follower_count": "text",
        "tag_list": "text",
        "is_image_or_video": "text",
        "image_src": "text",
        "downloaded": "int",
        "save_location": "text",
        "category": "text",
    },
    "geo": {
        "ind": "int",
        "timestamp": "datetime",
        "latitude": "float",
        "longitude": "float",
        "country": "text",
    },
    "user": {
        "ind": "int",
        "first_name": "text",
        "last_name": "text",
        "age": "int",
        "date_joined": "datetime",
    },
}

# Kafka Connect's InsertField transform writes the first four (its timestamp in milliseconds since 1970);
# the streaming branch writes the same facts under the names of Kinesis.
POSITION_COLUMNS: Final[dict[Branch, tuple[str, ...]]] = {
    "batch": ("_topic", "_partition", "_offset", "_timestamp"),
    "stream": ("_stream", "_shard", "_sequence", "_timestamp"),
}

# A value that is not a JSON object cannot carry position fields: it lands as text under the first name,
# or under the second when it is not UTF-8.
RAW: Final = "_raw"
RAW_BASE64: Final = "_raw_base64"
RESERVED: Final = frozenset({RAW, RAW_BASE64}.union(*POSITION_COLUMNS.values()))
"""The fields that no record may bring."""

RESCUED: Final = "_rescued_data"
"""The column of a clean row that keeps what of its record is not as the columns expect it."""


class Post(TypedDict):
    """One post: a row of each of the three source tables, all with the same `index` = `ind`."""

    pin: dict[str, Any]
    geo: dict[str, Any]
    user: dict[str, Any]
