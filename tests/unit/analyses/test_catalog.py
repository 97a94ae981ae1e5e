import pytest
import sqlglot

from pinterest_pipeline.analyses.catalog import load, parse
from pinterest_pipeline.errors import BadInput

COLUMNS = {
    "category_by_country": ["country", "category", "category_count"],
    "category_by_year": ["post_year", "category", "category_count"],
    "top_user_by_country": ["country", "poster_name", "follower_count"],
    "category_by_age_group": ["age_group", "category", "category_count"],
    "followers_by_age_group": ["age_group", "median_follower_count", "median_follower_count_users"],
    "users_joined_by_year": ["join_year", "users_joined", "posts"],
    "followers_by_join_year": ["join_year", "median_follower_count", "median_follower_count_users"],
    "followers_by_join_year_and_age_group": [
        "join_year",
        "age_group",
        "median_follower_count",
        "median_follower_count_users",
    ],
}


def test_the_eight_questions_in_their_order() -> None:
    analyses = load()
    assert [analysis.name for analysis in analyses] == list(COLUMNS)
    assert [analysis.number for analysis in analyses] == list(range(1, 9))
    assert all(analysis.question.endswith("?") for analysis in analyses)
    assert {analysis.chart for analysis in analyses} <= {"bar", "line", "grouped_bar", "heatmap"}


def test_each_answer_has_its_columns_and_an_order() -> None:
    for analysis in load():
        tree = sqlglot.parse_one(analysis.sql, read="spark")
        assert isinstance(tree, sqlglot.exp.Query)
        assert tree.named_selects == COLUMNS[analysis.name]
        assert tree.args["order"] is not None
        ctes = {cte.alias for cte in tree.find_all(sqlglot.exp.CTE)}
        assert {found.name for found in tree.find_all(sqlglot.exp.Table)} - ctes <= {"pin", "geo", "user"}


def test_a_file_is_an_analysis() -> None:
    text = "-- number: 9\n-- question: What: how many?\n-- chart: bar\n-- a remark: kept\nSELECT 1 AS `one`\n"
    analysis = parse("one", text)
    assert (analysis.name, analysis.number, analysis.chart) == ("one", 9, "bar")
    assert analysis.question == "What: how many?"
    assert analysis.sql == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1", "lacks the header number, question, chart"),
        ("-- number: 9\n-- question: Why?\nSELECT 1", "lacks the header chart"),
        ("-- number: nine\n-- question: Why?\n-- chart: bar\nSELECT 1", "has 'nine' for its number"),
    ],
)
def test_a_header_that_cannot_be_read_names_the_file(text: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        parse("ninth", text)
    assert "ninth.sql" in caught.value.problem
