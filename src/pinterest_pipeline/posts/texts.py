"""Titles, descriptions and tags of one category: of the real lengths, with the hazards of real texts."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from pinterest_pipeline.posts.distributions import (
    CUT_LENGTH,
    CUT_SHARE,
    DESCRIPTION_LENGTHS,
    EMPTY_TITLE_SHARE,
    TITLE_LENGTHS,
    Lengths,
    source_of_draws,
)
from pinterest_pipeline.posts.vocabulary import (
    FOREIGN_TAGS,
    HAZARDS,
    SENTENCES,
    TAG_SHAPES,
    TITLE_JOINS,
    TITLES,
    TOPICS,
)

CUT_END: Final = "…\u00a0"  # what the scraper leaves where it cuts

_TAGS_OF_A_POST: Final = 9
_LONGEST_TAGS: Final = 254
_HAZARDOUS_TITLES: Final = 0.05
_HAZARDOUS_DESCRIPTIONS: Final = 0.15
_LONGEST_TITLE: Final = TITLE_LENGTHS[-1][1]
_LONGEST_DESCRIPTION: Final = DESCRIPTION_LENGTHS[-1][1]
_CHOICE: Final = 24  # how many phrases of about the right length to choose from

Draw = Callable[[], float]  # in [0, 1)

_title_lengths = Lengths(TITLE_LENGTHS)
_description_lengths = Lengths(DESCRIPTION_LENGTHS)


class Phrases:
    """Phrases to build texts of a wanted length from."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = sorted(phrases, key=lambda phrase: (len(phrase), phrase))
        self._lengths = [len(phrase) for phrase in self._phrases]

    def filling(self, length: int, join: str, random: Draw) -> str:
        """Whole phrases of about `length` characters together; less than a phrase when that is too short."""
        text = ""
        while (left := length - len(text)) > self._lengths[-1]:
            text += self._phrases[int(random() * len(self._phrases))] + join
        if left < self._lengths[0]:
            return text.removesuffix(join) if text else self._phrases[0][:length]
        fitting = bisect_right(self._lengths, left)
        return text + self._phrases[max(0, fitting - 1 - int(random() * _CHOICE))]

    def beyond(self, length: int, random: Draw) -> str:
        """Whole phrases of at least `length` characters together."""
        text = ""
        while len(text) < length:
            text += self._phrases[int(random() * len(self._phrases))] + " "
        return text


class Texts:
    """The texts of a category. They take their draws from one stream, so they follow from the seed."""

    def __init__(self, category: str, draws: Random) -> None:
        topics = TOPICS[category]
        self._random = draws.random
        self._heads = Phrases(shape.format(topic) for shape in TITLES for topic in topics)
        self._sentences = Phrases(_sentences(topics))
        tags = _shuffled([*(shape.format(topic) for shape in TAG_SHAPES for topic in topics), *FOREIGN_TAGS])
        self._widest_step = len(tags) // _TAGS_OF_A_POST
        self._tag_count = len(tags)
        self._tags = tags * 2  # so that a walk through them need not turn round at the end

    def title(self) -> str:
        random = self._random
        if random() < EMPTY_TITLE_SHARE:
            return ""
        length = _title_lengths.at(random())
        text = self._heads.filling(length, TITLE_JOINS[int(random() * len(TITLE_JOINS))], random)
        return self._with_hazard(text, _HAZARDOUS_TITLES)[:_LONGEST_TITLE]

    def description(self) -> str:
        random = self._random
        if random() < CUT_SHARE:
            text = self._with_hazard(self._sentences.beyond(CUT_LENGTH, random), _HAZARDOUS_DESCRIPTIONS)
            return text[: CUT_LENGTH - len(CUT_END)].rstrip() + CUT_END
        text = self._sentences.filling(_description_lengths.at(random()), " ", random)
        return self._with_hazard(text, _HAZARDOUS_DESCRIPTIONS)[:_LONGEST_DESCRIPTION]

    def tags(self) -> str:
        """Nine different tags joined by commas."""
        start = int(self._random() * self._tag_count)
        step = 1 + int(self._random() * self._widest_step)
        return ",".join(self._tags[start : start + step * _TAGS_OF_A_POST : step])[:_LONGEST_TAGS]

    def _with_hazard(self, text: str, share: float) -> str:
        if self._random() >= share:
            return text
        hazard = HAZARDS[int(self._random() * len(HAZARDS))]
        place = text.find(" ", int(self._random() * len(text)))
        return f"{text} {hazard}" if place < 0 else f"{text[:place]} {hazard}{text[place:]}"


def _sentences(topics: Iterable[str]) -> Iterable[str]:
    """Each sentence about each topic; one that names no topic once."""
    return dict.fromkeys(shape.format(topic) for shape in SENTENCES for topic in topics)


def _shuffled(items: list[str]) -> list[str]:
    """In an order that no seed changes: a category's tags always have the same neighbours."""
    draws = source_of_draws("tags", 0)
    return [item for _, item in sorted((draws.random(), item) for item in items)]
