"""One chart for each answer: values in, a Vega-Lite chart out.

What the eight answers look like stands in `SHAPES`; any other answer gets a shape guessed from its columns.
Every chart is drawn from the same plain fields (`label`, `value`, ...), so that no column name and no text
of a post is ever read as a Vega expression or a field path.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import altair as alt

from pinterest_pipeline.reports.shapes import (
    KINDS,
    TOP,
    Cell,
    Kind,
    Row,
    Shape,
    by_height,
    cells_of,
    in_order,
    shape_of,
    short,
    title,
)

MOST_SERIES: Final = 8  # colours that can be told apart
MOST_UPRIGHT: Final = 10  # groups of upright bars whose labels still fit side by side
SHOWN_TIES: Final = 3  # names of a tie that are written out
BILLIONS: Final = "datum.value == 0 ? '0' : replace(datum.label, 'G', 'B')"  # d3 writes 0k, and G for giga
FIT: Final = alt.AutoSizeParams(type="fit-x", contains="padding")  # as wide as its place on the page


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart, and the sentence that belongs under it."""

    chart: alt.TopLevelMixin
    caption: str


def draw(name: str, rows: Sequence[Row], kind: str = "") -> Drawing | None:
    """The chart of an answer; None when its rows hold nothing that can be drawn.

    `kind` is the wish of the analysis (one of KINDS); without one, or with one that the columns cannot
    serve, the shape of the answer decides.
    """
    shape = shape_of(name, rows)
    cells = cells_of(shape, rows) if shape else []
    if shape is None or not cells:
        return None
    shape = _wished(shape, kind)
    drawing = BUILDERS[_legible(shape, cells)](shape, cells)
    labels = len({row[shape.label] for row in rows})
    if not shape.ranked or labels <= TOP:
        return drawing
    return replace(drawing, caption=f"The {TOP} highest of {labels:,}. {drawing.caption}".strip())


def _wished(shape: Shape, kind: str) -> Shape:
    if kind not in KINDS or (kind == "heatmap" and not shape.details):
        return shape
    hides = kind == "bar" and len(shape.values) > 1 and not shape.ranked  # plain bars show one measure
    return replace(shape, kind="grouped_bar" if hides else kind)


def _legible(shape: Shape, cells: Sequence[Cell]) -> Kind:
    """The kind asked for, or the nearest that stays legible with this many series."""
    too_many = len({(cell.detail, cell.measure) for cell in cells}) > MOST_SERIES
    if shape.kind in ("line", "grouped_bar") and too_many:
        return "heatmap" if shape.details else "bar"
    return shape.kind


def _bar(shape: Shape, cells: Sequence[Cell]) -> Drawing:
    """Lying bars, one for each label, which leave room for long names; ties share their bar."""
    bars = _folded([cell for cell in cells if cell.measure == cells[0].measure])
    order = [bar["label"] for bar in bars]
    figures = [bar["value"] for bar in bars]
    for bar in bars:
        bar["style"] = "lead" if shape.ranked and bar["value"] == max(figures) else "plain"
    base = _chart(bars, f"{cells[0].measure} by {title(shape.label).lower()}").encode(
        y=_axis(alt.Y, "label", None, sort=order),
        x=_figures(alt.X, cells[0].measure, figures),
        tooltip=[_tip("name", title(shape.label)), *_detail_tips(shape), _tip("figure", cells[0].measure)],
    )
    layers = [
        base.transform_filter(alt.datum.style == style).mark_bar(
            style=style, height={"band": 0.72}, cornerRadiusEnd=2
        )
        for style in dict.fromkeys(bar["style"] for bar in bars)
    ]
    texts = base.mark_text(align="left", baseline="middle", dx=5, style="figure").encode(
        text=_field(alt.Text, "shown")
    )
    chart = alt.layer(*layers, texts).properties(width="container", height=22 * len(bars), autosize=FIT)
    return Drawing(chart, _bar_caption(shape, bars))


def _folded(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One bar for each label: its highest figure, and all the details that reach it."""
    ties: dict[str, list[Cell]] = {}
    for cell in cells:
        best = ties.get(cell.label, [])
        if not best or cell.value > best[0].value:
            ties[cell.label] = [cell]
        elif cell.value == best[0].value:
            best.append(cell)
    return [_one_bar(tied) for tied in ties.values()]


def _one_bar(tied: Sequence[Cell]) -> dict[str, Any]:
    names = [cell.detail for cell in tied if cell.detail]
    more = len(names) - SHOWN_TIES
    shown = ", ".join(names[:SHOWN_TIES]) + (f" and {more} more" if more > 0 else "")
    value = tied[0].value
    return {
        "label": f"{tied[0].label} · {shown}" if shown else tied[0].label,
        "name": tied[0].label,
        "detail": ", ".join(names),
        "value": value,
        "shown": short(value),
        "figure": f"{value:,}",
    }


def _bar_caption(shape: Shape, bars: Sequence[Mapping[str, Any]]) -> str:
    leaders = [bar for bar in bars if bar["value"] == max(bar["value"] for bar in bars)]
    if not shape.ranked or len(leaders) > SHOWN_TIES:
        return ""
    labels = "; ".join(bar["label"] for bar in leaders)
    return f"Highest of all: {labels}, {leaders[0]['figure']}."


def _grouped_bar(shape: Shape, cells: Sequence[Cell]) -> Drawing:
    """Bars side by side, one for each series; upright while their labels fit."""
    data, labels, series = _series(cells)
    upright = len(labels) <= MOST_UPRIGHT
    along, across, offset = (alt.X, alt.Y, alt.XOffset) if upright else (alt.Y, alt.X, alt.YOffset)
    base = _chart(data, f"{_measures(cells)} by {title(shape.label).lower()}").encode(
        _axis(along, "label", title(shape.label), sort=labels, labelAngle=0),
        _figures(across, _common_title(cells), [cell.value for cell in cells]),
        offset("series", type="nominal", sort=series),
        tooltip=_series_tips(shape),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=_colour(series))
    place: dict[str, Any] = {"dy": -7} if upright else {"dx": 5, "align": "left"}
    figures = base.mark_text(style="figure", **place).encode(text=_field(alt.Text, "shown"))
    height = 280 if upright else 18 * len(data)
    return Drawing(alt.layer(bars, figures).properties(width="container", height=height, autosize=FIT), "")


def _line(shape: Shape, cells: Sequence[Cell]) -> Drawing:
    """A line with points for each series; the highest and the lowest of each label with their figures."""
    data, labels, series = _series(cells)
    for label in labels:
        ends = sorted((row for row in data if row["label"] == label), key=lambda row: row["value"])
        ends[0]["place"], ends[-1]["place"] = "below", "above"
    base = _chart(data, f"{_measures(cells)} by {title(shape.label).lower()}").encode(
        x=_axis(alt.X, "label", title(shape.label), sort=labels, labelAngle=0, labelOverlap=True),
        y=_figures(alt.Y, _common_title(cells), [cell.value for cell in cells]),
        tooltip=_series_tips(shape),
    )
    lines = base.mark_line(point=alt.OverlayMarkDef(size=70, filled=True), strokeWidth=2.5).encode(
        color=_colour(series),
        strokeDash=_field(alt.StrokeDash, "series", type="nominal", sort=series, legend=None),
    )
    shown = [] if len(data) > TOP else _texts(base, {"above": {"dy": -12}, "below": {"dy": 16}})
    layers = [lines, *shown]
    return Drawing(alt.layer(*layers).properties(width="container", height=280, autosize=FIT), "")


def _heatmap(shape: Shape, cells: Sequence[Cell]) -> Drawing:
    """A field for each label and detail, one map for each measure on one scale of colour."""
    details = set(by_height([replace(cell, label=cell.detail) for cell in cells])[:TOP])
    cells = [cell for cell in cells if cell.detail in details]
    measures = list(dict.fromkeys(cell.measure for cell in cells))
    highest = max(cell.value for cell in cells)
    maps = [
        _one_map(shape, [cell for cell in cells if cell.measure == measure], highest) for measure in measures
    ]
    return Drawing(alt.hconcat(*maps, spacing=28).resolve_scale(color="shared"), "")


def _one_map(shape: Shape, cells: Sequence[Cell], highest: int | float) -> alt.LayerChart | alt.FacetChart:
    heading = {"label": title(shape.label), "detail": _detail_title(shape)}
    across, down = ("detail", "label") if shape.ranked else ("label", "detail")  # long names lie to the left
    data = [_datum(cell) | {"place": _contrast(cell, highest)} for cell in cells]
    columns = {"label": shape.label, "detail": shape.details[0]}
    order = {name: in_order((row[name] for row in data), column) for name, column in columns.items()}
    base = _chart(data, f"{cells[0].measure} by {' and '.join(heading.values()).lower()}").encode(
        x=_axis(alt.X, across, heading[across], order[across], labelAngle=-40 if shape.ranked else 0),
        y=_axis(alt.Y, down, heading[down], order[down]),
        tooltip=[*(_tip(name, text) for name, text in heading.items()), _tip("figure", cells[0].measure)],
    )
    scale = alt.Scale(domain=[min(0, *(cell.value for cell in cells)), highest or 1])
    colour = _field(alt.Color, "value", type="quantitative", scale=scale, legend=None)
    layers = [
        base.mark_rect(cornerRadius=3).encode(color=colour),
        *_texts(base, {place: {"style": place} for place in ("cell-low", "cell-high")}),
    ]
    return alt.layer(*layers).properties(title=cells[0].measure, width=alt.Step(72), height=alt.Step(36))


def _contrast(cell: Cell, highest: int | float) -> str:
    """The text style that can be read on the colour of a field."""
    return "cell-high" if cell.value > highest * 0.55 else "cell-low"


def _texts(base: alt.Chart, places: Mapping[str, dict[str, Any]]) -> list[alt.Chart]:
    """The figures of a chart's data, in one layer for each place they can have."""
    return [
        base.transform_filter(alt.datum.place == place)
        .mark_text(**{"style": "figure"} | options)
        .encode(text=_field(alt.Text, "shown"))
        for place, options in places.items()
    ]


def _datum(cell: Cell) -> dict[str, Any]:
    figures = {"value": cell.value, "shown": short(cell.value), "figure": f"{cell.value:,}"}
    return {"label": cell.label, "detail": cell.detail} | figures


def _series(cells: Sequence[Cell]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The rows of a chart with series, its labels and its series in the order they come."""
    several = len({cell.measure for cell in cells}) > 1
    data = []
    for cell in cells:
        parts = (cell.detail, cell.measure if several or not cell.detail else "")
        data.append(_datum(cell) | {"series": " · ".join(part for part in parts if part)})
    return (
        data,
        list(dict.fromkeys(row["label"] for row in data)),
        list(dict.fromkeys(row["series"] for row in data)),
    )


def _chart(data: Sequence[Mapping[str, Any]], description: str) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=[dict(row) for row in data]), description=description)


def _field(channel: Callable[..., Any], name: str, type: str = "nominal", **options: Any) -> Any:  # noqa: A002
    return channel(field=name, type=type, **options)


def _axis(channel: Callable[..., Any], name: str, heading: str | None, sort: list[str], **labels: Any) -> Any:
    axis = alt.Axis(title=heading, grid=False, ticks=False, labelPadding=6, **labels)
    return _field(channel, name, type="ordinal", sort=sort, axis=axis)


def _figures(channel: Callable[..., Any], heading: str | None, values: Sequence[int | float]) -> Any:
    """An axis of figures that begins at zero and leaves room for the figure written at the highest bar."""
    highest = max(values)
    labels: dict[str, Any] = {"format": ",.3~f"}
    if highest >= 1e4:
        labels = {"format": "~s", "labelExpr": BILLIONS}
    if all(isinstance(value, int) for value in values):
        labels["tickMinStep"] = 1
    scale = alt.Scale(domainMin=min(0, *values), domainMax=highest * 1.18 if highest > 0 else 1, nice=False)
    axis = alt.Axis(title=heading, tickCount=5, domain=False, ticks=False, **labels)
    return _field(channel, "value", type="quantitative", scale=scale, axis=axis)


def _colour(series: list[str]) -> Any:
    legend = alt.Legend(title=None, symbolType="circle")
    return _field(alt.Color, "series", sort=series, legend=legend if len(series) > 1 else None)


def _tip(name: str, heading: str) -> Any:
    return _field(alt.Tooltip, name, title=heading)


def _detail_title(shape: Shape) -> str:
    return " · ".join(title(name) for name in shape.details)


def _detail_tips(shape: Shape) -> list[Any]:
    return [_tip("detail", _detail_title(shape))] if shape.details else []


def _series_tips(shape: Shape) -> list[Any]:
    return [_tip("label", title(shape.label)), _tip("series", "Series"), _tip("figure", "Figure")]


def _measures(cells: Sequence[Cell]) -> str:
    return " and ".join(dict.fromkeys(cell.measure for cell in cells))


def _common_title(cells: Sequence[Cell]) -> str | None:
    """The axis' heading, unless the legend names several measures."""
    return cells[0].measure if len({cell.measure for cell in cells}) == 1 else None


BUILDERS: Final[Mapping[Kind, Callable[[Shape, Sequence[Cell]], Drawing]]] = {
    "bar": _bar,
    "grouped_bar": _grouped_bar,
    "line": _line,
    "heatmap": _heatmap,
}
