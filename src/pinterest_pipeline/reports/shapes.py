"""What an answer's columns become in its chart, and the figures the chart is drawn from.

The shapes of the eight answers stand in `SHAPES`; any other answer gets one guessed from its columns.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, cast, get_args

Row = Mapping[str, object]
Kind = Literal["bar", "grouped_bar", "line", "heatmap"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

TOP: Final = 25  # bars or rows of a chart that remain legible
LONGEST_TEXT: Final = 80  # characters of a label

# Column names (their last word) whose values have an order of their own, whatever their type.
ORDERED: Final = frozenset({"year", "month", "week", "day", "hour", "date", "group", "age"})


@dataclass(frozen=True, slots=True)
class Shape:
    """Which columns of an answer become what in its chart."""

    kind: Kind
    label: str  # the column along the axis
    values: tuple[str, ...]  # the measures
    details: tuple[str, ...] = ()  # what the label is further told apart by
    ranked: bool = False  # draw the TOP highest, highest first; otherwise all in the order of the rows


SHAPES: Final[Mapping[str, Shape]] = {
    "category_by_country": Shape("bar", "country", ("category_count",), ("category",), ranked=True),
    "category_by_year": Shape("bar", "post_year", ("category_count",), ("category",)),
    "top_user_by_country": Shape("bar", "country", ("follower_count",), ("poster_name",), ranked=True),
    "category_by_age_group": Shape("bar", "age_group", ("category_count",), ("category",)),
    "followers_by_age_group": Shape(
        "grouped_bar", "age_group", ("median_follower_count", "median_follower_count_users")
    ),
    "users_joined_by_year": Shape("grouped_bar", "join_year", ("users_joined", "posts")),
    "followers_by_join_year": Shape(
        "line", "join_year", ("median_follower_count", "median_follower_count_users")
    ),
    "followers_by_join_year_and_age_group": Shape(
        "heatmap", "join_year", ("median_follower_count", "median_follower_count_users"), ("age_group",)
    ),
}

TITLES: Final[Mapping[str, str]] = {
    "category_count": "Posts",
    "follower_count": "Followers",
    "median_follower_count": "Median followers over posts",
    "median_follower_count_users": "Median followers over people",
    "poster_name": "Poster",
    "users_joined": "People who joined",
    "posts": "Posts of these people",
    "post_year": "Year of the post",
    "join_year": "Year of joining",
}


@dataclass(frozen=True, slots=True)
class Cell:
    label: str
    detail: str
    measure: str
    value: int | float


def title(column: str) -> str:
    """A column's name for people: `median_follower_count` is 'Median followers over posts'."""
    return TITLES.get(column) or column.replace("_", " ").strip().capitalize() or column


def short(value: float) -> str:
    """A figure in three digits where it is long: 950, 4,210, 41.5k, 15M."""
    rounded = float(f"{value:.3g}")
    for size, unit, suffix in ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(rounded) >= size:
            return f"{rounded / unit:.3g}{suffix}"
    return f"{float(f'{value:.4g}'):,.6g}"


def is_ordered(column: str) -> bool:
    """Whether a column's values have an order of their own, as years and age groups have."""
    return column.lower().rsplit("_", 1)[-1] in ORDERED


def shape_of(name: str, rows: Sequence[Row]) -> Shape | None:
    """The shape of an answer; None when it has no rows or no figures."""
    known = SHAPES.get(name)
    if known and rows and {known.label, *known.values, *known.details} <= rows[0].keys():
        return known
    return _guess(rows)


def _guess(rows: Sequence[Row]) -> Shape | None:
    """A shape for an answer nobody described: texts, years and groups tell apart, other numbers measure."""
    columns = list(rows[0]) if rows else []
    numeric = [column for column in columns if all(is_number(row[column], none=True) for row in rows)]
    values = [column for column in numeric if not is_ordered(column)] or numeric[-1:]
    labels = [column for column in columns if column not in values] or columns[:1]
    if not values:
        return None
    label, *details = labels
    kind = _default_kind(label, len({row[label] for row in rows}) == len(rows), len(details), len(values))
    return Shape(kind, label, tuple(values), tuple(details), ranked=not is_ordered(label))


def _default_kind(label: str, one_row_each: bool, details: int, values: int) -> Kind:
    if details and not one_row_each:
        return "heatmap"
    if values > 1:
        return "grouped_bar"
    return "line" if is_ordered(label) and not details else "bar"


def is_number(value: object, none: bool = False) -> bool:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return math.isfinite(value)
    return none and value is None


def _text(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def cells_of(shape: Shape, rows: Sequence[Row]) -> list[Cell]:
    """One cell for each figure; of a ranked shape only those of the labels with the highest figures."""
    cells = [
        Cell(
            _text(row[shape.label]),
            " · ".join(_text(row[name]) for name in shape.details),
            title(measure),
            _plain(row[measure]),
        )
        for row in rows
        for measure in shape.values
        if is_number(row[measure])
    ]
    if not shape.ranked:
        return cells
    highest = {label: rank for rank, label in enumerate(by_height(cells)[:TOP])}
    return sorted((cell for cell in cells if cell.label in highest), key=lambda cell: highest[cell.label])


def _plain(value: object) -> int | float:
    return value if isinstance(value, int) else float(cast(float, value))


def by_height(cells: Sequence[Cell]) -> list[str]:
    height: dict[str, int | float] = {}
    for cell in cells:
        height[cell.label] = max(cell.value, height.get(cell.label, cell.value))
    return sorted(height, key=lambda label: (-height[label], label))


def in_order(names: Iterable[str], column: str) -> list[str]:
    """Each name once: by size where the column has an order of its own, else as they come."""
    once = list(dict.fromkeys(names))
    return sorted(once, key=_leading_number) if is_ordered(column) else once


def _leading_number(name: str) -> tuple[float, str]:
    digits = re.match(r"[0-9]+", name)
    return (float(digits[0]) if digits else math.inf, name)
