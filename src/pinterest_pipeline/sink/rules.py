"""All that a sink is told (pure): which topics, how objects are shaped, when ranges are closed."""

from typing import Final

import msgspec

from pinterest_pipeline.config import SinkSettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.shape import Shape

PIPELINE_GROUP: Final = "sink"
REPLAYED: Final = "replayed"
"""First folder of the notes of dead letters that were sent again."""
_TAKEN: Final = ("manifest", "compacted", REPLAYED)


class DeadLetterRules(msgspec.Struct, frozen=True):
    topic: str
    replication: int | None = None
    with_headers: bool = False


class Bucket(msgspec.Struct, frozen=True):
    """Where a properties file says that the objects go."""

    name: str
    region: str
    endpoint: str


class Rules(msgspec.Struct, frozen=True):
    """`topics` by name, or all that `pattern` matches whole."""

    group: str
    connector: str
    topics: tuple[str, ...]
    pattern: str
    shape: Shape
    rotation: Rotation
    dead_letters: DeadLetterRules | None = None
    bucket: Bucket | None = None


def first_folder(text: str, setting: str) -> str:
    """A first folder of objects, without slashes around it; raises SettingError for what cannot be one."""
    found = text.strip("/")
    parts = found.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise SettingError(f"{setting}: {text!r} names no folder", "write for example topics")
    if parts[0] in _TAKEN:
        raise SettingError(f"{setting}: {parts[0]}/ is kept for the sink's own", "name another folder")
    return found


def pipeline_rules(settings: SinkSettings, topics: tuple[str, ...]) -> Rules:
    """How the pipeline's own topics are landed."""
    rotation = Rotation(settings.flush_size, settings.flush_bytes, settings.flush_seconds)
    return Rules(
        PIPELINE_GROUP,
        "pinpipe-sink",
        topics,
        "",
        Shape(topics_dir=first_folder(settings.topics_dir, "PINPIPE_SINK__TOPICS_DIR")),
        rotation,
    )
