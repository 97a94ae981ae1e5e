"""What consumer instances know of topics: which there are, and which of them a subscription comes to."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from pinterest_pipeline.errors import BadInput, Forbidden, UnknownPartition, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.gateway.consumer_file import Instance, Topics
from pinterest_pipeline.gateway.consumer_shapes import Subscribe
from pinterest_pipeline.gateway.requests import INTERNAL, is_topic_name

_SHOWN: Final = 100  # characters of a wrong name in an error
_KNOWN_SECONDS: Final = 1.0
"""How long what is known of a topic is believed: the cluster is not asked at every request."""


class KnownTopics:
    """Ids and partitions of topics, as of a moment ago or of now. Any thread may ask."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._known: dict[str, tuple[float, tuple[str, int]]] = {}

    def lately(self, names: Iterable[str]) -> Topics:
        """Those of the topics that are there, as they were a second ago at most."""
        return _there(names, self._lately)

    def now(self, names: Iterable[str]) -> Topics:
        """Those of the topics that are there at this moment."""
        return _there(names, self._now)

    def check(self, instance: Instance, parts: Iterable[Part]) -> None:
        """Raises Forbidden, UnknownTopic, and UnknownPartition for what the instance's caller cannot read."""
        check_allowed(instance, (topic for topic, _ in parts))
        for topic, partition in parts:
            if partition >= self._lately(topic)[1]:
                raise UnknownPartition(topic, partition)

    def _lately(self, name: str) -> tuple[str, int]:
        until, known = self._known.get(name, (0.0, ("", 0)))
        return known if time.monotonic() < until else self._now(name)

    def _now(self, name: str) -> tuple[str, int]:
        if not is_topic_name(name):
            raise UnknownTopic(name[:_SHOWN])
        self._known.pop(name, None)
        until = time.monotonic() + _KNOWN_SECONDS
        described = self._log.describe(name)
        self._known[name] = (until, (described.id, described.partitions))
        return described.id, described.partitions


def _there(names: Iterable[str], asked: Callable[[str], tuple[str, int]]) -> Topics:
    found: dict[str, tuple[str, int]] = {}
    for name in names:
        with suppress(UnknownTopic):
            found[name] = asked(name)
    return found


def check_allowed(instance: Instance, topics: Iterable[str]) -> None:
    for topic in topics:
        if not instance.may_read(topic):
            raise Forbidden(f"the key has no scope to read topic '{topic[:_SHOWN]}'")


def fitting(instance: Instance, subscription: Subscribe, there: Iterable[str]) -> list[str]:
    """The topics that a subscription names; of a pattern those that are there and the caller may read."""
    if subscription.topic_pattern is None:
        return subscription.topics or []
    return _matching(subscription.topic_pattern, [name for name in there if instance.may_read(name)])


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that fit as a whole, without the cluster's own.

    RE2 takes a time that grows with the text only, whatever pattern a caller sends.
    """
    import pyarrow as pa  # needed by few, and not quick to import
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)  # by itself, and where there is no topic
        fit = pc.match_substring_regex(pa.array(names, pa.string()), pattern=f"^(?:{pattern})$").to_pylist()
    except pa.ArrowInvalid as error:
        raise BadInput(f"the topic_pattern is no regular expression: {error}") from None
    return [name for name, fits in zip(names, fit, strict=True) if fits and not name.startswith(INTERNAL)]
