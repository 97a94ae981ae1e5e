"""How the partitions of topics are shared among the instances of a group (pure)."""

import zlib
from collections.abc import Mapping, Sequence

from pinterest_pipeline.eventlog.base import Part


def shares(
    name: str, members: Mapping[str, Sequence[str]], topics: Mapping[str, tuple[str, int]]
) -> dict[Part, str]:
    """The partitions that belong to one of the members, with the ids of their topics.

    `members` says which topics each of them reads, `topics` the id and the number of partitions of each.
    Whoever computes this comes to the same: the partitions of a topic go round the members that read it, in
    the order of their names, and every topic begins with another one of them.
    """
    share: dict[Part, str] = {}
    for topic, (topic_id, partitions) in topics.items():
        readers = sorted(member for member, names in members.items() if topic in names)
        if name not in readers:
            continue
        turn = (readers.index(name) - zlib.crc32(topic.encode())) % len(readers)
        share.update({(topic, number): topic_id for number in range(turn, partitions, len(readers))})
    return share
