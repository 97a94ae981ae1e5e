"""Names of objects, as Confluent's S3 sink with the default partitioner gives them (pure).

`topics/124df56aef51.pin/partition=0/124df56aef51.pin+0+0000000042.json`: topic, partition, first offset.
"""

import re
from dataclasses import dataclass

_NAME = re.compile(r"/partition=(\d+)/(?P<topic>[^/]+)\+(?P<partition>\d+)\+(?P<start>\d{10,})\.json$")


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    topic: str
    partition: int
    start: int

    def key(self, topics_dir: str) -> str:
        return (
            f"{folder(topics_dir, self.topic)}/partition={self.partition}/"
            f"{self.topic}+{self.partition}+{self.start:010d}.json"
        )


def folder(topics_dir: str, topic: str) -> str:
    return f"{topics_dir}/{topic}"


def parse(key: str) -> ObjectName | None:
    """The name behind a key, or None when the key is not of this layout."""
    match = _NAME.search(key)
    if match is None or match[1] != match["partition"]:
        return None
    return ObjectName(match["topic"], int(match["partition"]), int(match["start"]))
