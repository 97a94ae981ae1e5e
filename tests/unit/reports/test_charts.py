import itertools
import json
from typing import Any

import pytest

from pinterest_pipeline.reports import charts, shapes, themes
from pinterest_pipeline.reports.charts import draw
from tests.unit.reports.sample import HOSTILE, QUESTIONS, Rows


def spec(name: str, rows: Rows, kind: str = "") -> dict[str, Any]:
    drawing = draw(name, rows, kind)
    assert drawing is not None
    return drawing.chart.to_dict()


def data(drawn: dict[str, Any]) -> list[dict[str, Any]]:
    return list(itertools.chain.from_iterable(drawn["datasets"].values()))


def marks(drawn: dict[str, Any]) -> set[str]:
    views = itertools.chain.from_iterable(view["layer"] for view in drawn.get("hconcat", [drawn]))
    return {view["mark"]["type"] for view in views}


HEATMAP = "followers_by_join_year_and_age_group"
MARKS = {"bar": "bar", "grouped_bar": "bar", "line": "line", "heatmap": "rect"}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_each_of_the_eight_answers_has_a_shape_of_its_own_and_is_drawn_with_its_marks(
    question: Any, answers: dict[str, Rows]
) -> None:
    assert shapes.SHAPES[question.name].kind == question.chart
    drawn = spec(question.name, answers[question.name], question.chart)
    assert marks(drawn) == {MARKS[question.chart], "text"}


@pytest.mark.parametrize(("name", "kind"), list(itertools.product(shapes.SHAPES, shapes.KINDS)))
def test_any_kind_can_be_asked_of_any_answer(name: str, kind: str, answers: dict[str, Rows]) -> None:
    assert data(spec(name, answers[name], kind))


def test_of_many_countries_the_25_highest_are_drawn_highest_first(answers: dict[str, Rows]) -> None:
    rows = answers["top_user_by_country"]
    drawn = data(spec("top_user_by_country", rows))
    expected = sorted((int(str(row["follower_count"])) for row in rows), reverse=True)[:25]
    assert [row["value"] for row in drawn] == expected
    assert [row["style"] for row in drawn] == ["lead"] + ["plain"] * 24


def test_the_caption_names_the_highest_of_all_and_how_many_are_left_out(answers: dict[str, Rows]) -> None:
    drawing = draw("top_user_by_country", answers["top_user_by_country"])
    best = max(answers["top_user_by_country"], key=lambda row: int(str(row["follower_count"])))
    assert drawing is not None
    assert drawing.caption.startswith("The 25 highest of 243. Highest of all: ")
    assert f"{best['country']} · {best['poster_name']}, {best['follower_count']:,}." in drawing.caption


@pytest.mark.parametrize(
    ("countries", "caption"),
    [
        (["Fiji", "Chad"], "Highest of all: Chad · ann; Fiji · ann, 15,000,000."),
        (["Fiji", "Chad", "Mali", "Peru"], ""),
    ],
)
def test_the_caption_names_a_tie_for_the_highest_unless_it_is_long(
    countries: list[str], caption: str
) -> None:
    rows: Rows = [{"country": name, "poster_name": "ann", "follower_count": 15_000_000} for name in countries]
    drawing = draw("top_user_by_country", [*rows, {**rows[0], "country": "Cuba", "follower_count": 7}])
    assert drawing is not None
    assert drawing.caption == caption


def test_ties_share_a_bar_and_long_ties_are_cut() -> None:
    rows: Rows = [{"country": "Fiji", "category": name, "category_count": 1} for name in "abcde"]
    [bar] = data(spec("category_by_country", rows))
    assert bar["label"] == "Fiji · a, b, c and 2 more"
    assert bar["detail"] == "a, b, c, d, e"


def test_years_and_age_groups_keep_the_order_of_the_answer(answers: dict[str, Rows]) -> None:
    drawn = data(spec("category_by_age_group", answers["category_by_age_group"]))
    assert [row["name"] for row in drawn] == ["18-24", "25-35", "36-50", "50+"]


def test_two_measures_become_two_series_with_a_legend(answers: dict[str, Rows]) -> None:
    drawn = spec("users_joined_by_year", answers["users_joined_by_year"])
    assert {row["series"] for row in data(drawn)} == {"People who joined", "Posts of these people"}
    assert drawn["layer"][0]["encoding"]["color"]["legend"] is not None


def test_plain_bars_of_two_measures_show_both(answers: dict[str, Rows]) -> None:
    drawn = spec("users_joined_by_year", answers["users_joined_by_year"], "bar")
    assert len({row["series"] for row in data(drawn)}) == 2


def test_a_heat_map_of_two_measures_is_two_maps_on_one_scale(answers: dict[str, Rows]) -> None:
    drawn = spec(HEATMAP, answers[HEATMAP])
    assert [view["title"] for view in drawn["hconcat"]] == [
        "Median followers over posts",
        "Median followers over people",
    ]
    assert drawn["resolve"] == {"scale": {"color": "shared"}}


def test_age_groups_of_a_heat_map_are_in_order_even_where_the_first_year_lacks_one() -> None:
    groups = ((2015, "50+"), (2016, "18-24"), (2016, "36-50"), (2016, "none"))
    rows: Rows = [{"join_year": year, "age_group": group, "posts": 1} for year, group in groups]
    axis = spec("a_ninth_answer", rows)["hconcat"][0]["layer"][0]["encoding"]["y"]
    assert axis["sort"] == ["18-24", "36-50", "50+", "none"]


def test_the_figure_of_a_dark_field_has_the_light_text(answers: dict[str, Rows]) -> None:
    drawn = data(spec(HEATMAP, answers[HEATMAP]))
    highest = max(row["value"] for row in drawn)
    assert {row["place"] for row in drawn if row["value"] == highest} == {"cell-high"}
    assert {row["place"] for row in drawn if row["value"] < highest / 2} == {"cell-low"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"tag": "a", "uses": 3}, {"tag": "b", "uses": 1}], {"bar", "text"}),
        ([{"post_year": 2017, "posts": 3}, {"post_year": 2018, "posts": 1}], {"line", "text"}),
        ([{"post_year": y, "tag": t, "uses": 3} for y in (1, 2) for t in "ab"], {"rect", "text"}),
        ([{"tag": "a", "mean": 1.5, "most": 2}, {"tag": "b", "mean": 2, "most": 4}], {"bar", "text"}),
        ([{"total": 7}], {"bar", "text"}),
    ],
)
def test_an_unknown_answer_gets_a_chart_from_its_columns(rows: Rows, expected: set[str]) -> None:
    assert marks(spec("a_ninth_answer", rows)) == expected


def test_more_series_than_colours_become_a_heat_map() -> None:
    rows: Rows = [
        {"post_year": year, "tag": f"tag {n}", "uses": n} for year in (2020, 2021) for n in range(12)
    ]
    assert marks(spec("a_ninth_answer", rows, "line")) == {"rect", "text"}


def test_more_measures_than_colours_leave_a_chart_of_the_first() -> None:
    rows: Rows = [{"tag": "a"} | {f"measure {n}": n for n in range(9)}]
    assert [row["value"] for row in data(spec("a_ninth_answer", rows))] == [0]


def test_many_groups_of_bars_lie_down() -> None:
    rows: Rows = [{"tag": f"tag {n}", "mean": n, "most": n + 1} for n in range(11)]
    assert spec("a_ninth_answer", rows)["layer"][0]["encoding"]["y"]["field"] == "label"


def test_a_known_answer_with_other_columns_is_drawn_as_an_unknown_one() -> None:
    assert data(spec("category_by_country", [{"land": "Fiji", "posts": 3}]))[0]["label"] == "Fiji"


@pytest.mark.parametrize(
    "rows",
    [[], [{"a": "x"}], [{"a": "x", "b": None}], [{"a": "x", "b": float("nan")}], [{"a": "x", "b": True}]],
    ids=["no rows", "no figures", "null", "not a number", "boolean"],
)
def test_without_figures_there_is_no_chart(rows: Rows) -> None:
    assert draw("a_ninth_answer", rows) is None


def test_rows_without_a_figure_are_left_out() -> None:
    rows: Rows = [{"age_group": "18-24", "median": None}, {"age_group": "50+", "median": 5}]
    assert [row["label"] for row in data(spec("a_ninth_answer", rows))] == ["50+"]


def test_no_name_of_a_column_is_a_field_of_the_chart() -> None:
    rows: Rows = [{"a.b[0]'": HOSTILE * 9, "datum.x": 3}]
    drawn = spec("a_ninth_answer", rows)
    fields = {encoding["field"] for layer in drawn["layer"] for encoding in _encodings(layer["encoding"])}
    assert fields <= {"label", "name", "detail", "value", "shown", "figure"}
    assert len(data(drawn)[0]["label"]) == shapes.LONGEST_TEXT


def _encodings(encoding: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(part for part in encoding.values() if isinstance(part, dict)), *encoding.get("tooltip", [])]


@pytest.mark.parametrize("figures", [[0], [0, 0], [-5, -1], [1e12, 3], [0.001, 0.5]])
def test_any_figures_can_be_drawn(figures: list[float]) -> None:
    rows: Rows = [{"tag": f"tag {n}", "figure": figure} for n, figure in enumerate(figures)]
    scale = spec("a_ninth_answer", rows)["layer"][0]["encoding"]["x"]["scale"]
    assert scale["domainMin"] <= min(0, *figures, 0)
    assert scale["domainMax"] > max(figures)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (950, "950"),
        (4210, "4,210"),
        (4322.92, "4,323"),
        (41500.0, "41.5k"),
        (999_999, "1M"),
        (15e6, "15M"),
        (2e9, "2B"),
    ],
)
def test_long_figures_are_written_short(value: float, expected: str) -> None:
    assert shapes.short(value) == expected


def test_colours_of_both_themes_stand_out_from_their_page() -> None:
    for theme, page in (("light", "#ffffff"), ("dark", "#181d24")):
        config = themes.THEMES[theme]
        colours = [*config["range"]["category"], config["axis"]["labelColor"]]
        assert len(set(colours)) == charts.MOST_SERIES + 1
        assert min(_contrast(colour, page) for colour in colours) >= 3, theme
        for style, colour in zip(("cell-low", "cell-high"), config["range"]["heatmap"], strict=True):
            assert _contrast(config["style"][style]["color"], colour) >= 4.5, (theme, style)


def _contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_chart_is_plain_json(answers: dict[str, Rows]) -> None:
    assert all(json.dumps(spec(name, rows), allow_nan=False) for name, rows in answers.items())
