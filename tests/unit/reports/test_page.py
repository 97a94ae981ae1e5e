import base64
import dataclasses
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from typing import Any

from tests.unit.reports import sample
from tests.unit.reports.sample import HOSTILE, Rows


class Outline(HTMLParser):
    """The tags of a page, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data


def body(page: str) -> str:
    """What is seen of a page, without its scripts and its markup."""
    bare = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare)))


def specs(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Outline(page).scripts[1])
    return found


def test_the_page_says_when_it_ran_and_that_all_agrees(page: str) -> None:
    assert "24 November 2025, 01:50:07 UTC" in body(page)
    assert "✓ All agrees" in body(page)
    assert "6,000 records sent, 5,988 landed: 5,760 clean, 222 duplicate, 6 quarantined." in body(page)
    assert "Batch and stream give the same 8 answers." in body(page)


def test_each_question_has_its_chart_and_its_table(page: str) -> None:
    assert list(specs(page)) == [f"chart-{number}" for number in range(1, 9)]
    for question in sample.QUESTIONS:
        assert question.question in body(page)
        assert f'id="chart-{question.number}"' in page


def test_two_questions_of_one_number_have_a_chart_each(answers: dict[str, Rows]) -> None:
    twice = [dataclasses.replace(question, number=9) for question in sample.QUESTIONS[:2]]
    page = sample.page(answers={"batch": answers}, questions=twice)
    assert list(specs(page)) == ["chart-1", "chart-2"]


def test_the_library_is_there_once_and_nothing_is_loaded(page: str) -> None:
    assert len(Outline(page).scripts) == 4
    assert page.count("window.vegaEmbed=") == 1
    for tag, attributes in Outline(page).tags:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#")[:1] in ("#", "d"), tag  # type: ignore[index]


def test_only_the_two_scripts_of_the_page_may_run(page: str) -> None:
    policy = next(
        a["content"] or "" for t, a in Outline(page).tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    for script in Outline(page).scripts[2:]:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_hostile_texts_are_shown_and_never_markup(page: str) -> None:
    outline = Outline(page)
    assert "img" not in {tag for tag, _ in outline.tags}
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    assert body(page).count('<script>alert("x")</script><img src=x onerror=alert(1)>&amp;� ␛[31m') > 5
    assert HOSTILE in json.dumps(specs(page), ensure_ascii=False).replace('\\"', '"').replace(
        "\\u001b", "\x1b"
    )


def test_rows_beyond_the_twentieth_are_folded_away(page: str) -> None:
    assert "223 more rows" in body(page)
    assert page.count("<details>") == 2


def test_figures_have_separators_and_years_have_none() -> None:
    rows: Rows = [{"post_year": 2017, "posts": 1234567, "mean": 41500.5, "none": None}]
    name = "users_joined_by_year"
    [question] = [question for question in sample.QUESTIONS if question.name == name]
    shown = body(sample.page(answers={"batch": {name: rows}}, questions=[question]))
    assert "2017 1,234,567 41,500.5 –" in shown
    assert "From the batch branch." in shown
    assert "1 answers" not in shown


def test_branches_that_differ_are_both_shown_and_the_verdict_says_so(answers: dict[str, Rows]) -> None:
    other = answers | {"users_joined_by_year": [{"join_year": 2015, "users_joined": 1, "posts": 1}]}
    page = sample.page(answers={"batch": answers, "stream": other})
    assert "✗ One problem was found" in body(page)
    assert "Question 6, Users joined by year: batch and stream give different answers" in body(page)
    assert {"chart-6-batch", "chart-6-stream"} < set(specs(page))
    assert "All agrees" not in body(page)


def test_an_answer_of_one_branch_only_is_a_problem_and_so_is_none(answers: dict[str, Rows]) -> None:
    less = {name: rows for name, rows in answers.items() if name != "users_joined_by_year"}
    assert "Users joined by year: only batch gave an answer" in body(
        sample.page(answers={"batch": answers, "stream": less})
    )
    assert "Users joined by year: not answered in this run" in body(sample.page(answers={"batch": less}))


def test_whole_and_fractional_forms_of_a_figure_agree() -> None:
    rows: Rows = [{"join_year": 2015, "users_joined": 2, "posts": 2}]
    same: Rows = [{"join_year": 2015, "users_joined": 2.0, "posts": 2}]
    name = "users_joined_by_year"
    page = sample.page(
        answers={"batch": {name: rows}, "stream": {name: same}}, questions=[sample.QUESTIONS[5]]
    )
    assert "✓ Batch and stream give the same answer." in body(page)


def test_problems_of_the_account_are_listed_escaped(account: dict[str, Any]) -> None:
    page = sample.page(account=account | {"balanced": False, "problems": ["<b>3 lost</b>", "4 twice"]})
    assert "✗ 2 problems were found <b>3 lost</b> 4 twice" in body(page).replace("  ", " ")
    assert "<b>" not in page.split("<script")[0]


def test_cleaning_counts_stand_beside_each_other_by_rule(page: str) -> None:
    assert "pin title_error 'No Title Data Available' becomes null 7 7" in body(page)
    assert "pin save_location_prefix 960 960" in body(page)


def test_quarantined_records_say_where_they_lie_and_why(page: str) -> None:
    assert "batch pin 124df56aef51.pin / 2 / 311 line is not a JSON object <script>" in body(page)
    assert "streaming-124df56aef51-pin / shardId-000000000001 line is not a JSON object – " in body(page)


def test_a_long_quarantine_is_a_sample_of_cut_texts() -> None:
    row: dict[str, object] = {"table_name": "pin", "ind": None, "reason": "too long", "raw": "x" * 1_000_000}
    shown = sample.page(quarantine={"batch": [row] * 30})
    assert "20 of 30 are shown." in body(shown)
    assert "… (1,000,000 characters)" in body(shown)
    assert "x" * 401 not in shown


def test_a_run_of_which_nothing_is_known_has_a_page_too() -> None:
    shown = body(sample.page(answers={}, account={}, changes={}, quarantine={}, questions=[]))
    assert "Nothing was counted in this run." in shown
    assert "No rule was counted in this run." in shown
    assert "No record was quarantined." in shown


def test_an_answer_without_rows_has_neither_chart_nor_table() -> None:
    page = sample.page(answers={"batch": {"users_joined_by_year": []}}, questions=[sample.QUESTIONS[5]])
    assert "No rows." in body(page)
    assert specs(page) == {}


def test_halves_of_surrogate_pairs_do_not_keep_a_page_from_being_written() -> None:
    row: dict[str, object] = {"table_name": "pin", "reason": "odd", "raw": "\ud83d"}
    assert "odd �" in body(sample.page(quarantine={"batch": [row]}).encode("utf-8").decode())
