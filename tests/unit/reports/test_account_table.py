from typing import Any

import pytest

from pinterest_pipeline.reports import account_table


def test_each_branch_has_a_line_for_each_table_and_one_for_its_sum(account: dict[str, Any]) -> None:
    lines = account_table.lines(account)
    tables = ["pin", "geo", "user", "all"]
    assert [(line.branch, line.table) for line in lines] == [
        (b, t) for b in ("batch", "stream") for t in tables
    ]
    assert lines[3].figures == ("3,000", "2,994", "3", "3", "2,994", "2,880", "111", "3")
    assert account_table.problems(account, lines) == []


def test_a_count_that_nobody_took_is_shown_as_missing() -> None:
    [line, _] = account_table.lines({"batch": {"pin": {"landed": 5}}})
    assert line.figures == ("–", "–", "–", "–", "5", "–", "–", "–")
    assert line.gaps == ()


@pytest.mark.parametrize(
    ("changed", "gap"),
    [
        ({"sent": 1001}, "1 sent but neither acknowledged, refused nor unknown"),
        ({"landed": 996, "clean": 958}, "2 acknowledged but not landed"),
        ({"landed": 1002, "clean": 964}, "3 landed but never acknowledged"),
        ({"clean": 961}, "1 landed but not clean, duplicate or quarantined once each"),
    ],
)
def test_what_does_not_add_up_is_said_in_words(
    account: dict[str, Any], changed: dict[str, int], gap: str
) -> None:
    account["batch"]["pin"] |= changed
    lines = account_table.lines(account)
    assert lines[0].gaps == (gap,)
    assert account_table.problems(account, lines) == [f"batch, pin: {gap}"]


def test_a_record_of_unknown_fate_may_have_landed(account: dict[str, Any]) -> None:
    account["batch"]["pin"] |= {"landed": 999, "clean": 961}
    assert account_table.lines(account)[0].gaps == ()


def test_the_accounts_own_problems_come_first_and_an_unbalanced_one_is_never_silent(
    account: dict[str, Any],
) -> None:
    assert account_table.problems(account | {"problems": ["x"], "balanced": False}, []) == ["x"]
    assert account_table.problems(account | {"balanced": False}, []) == [
        "The account of records does not balance."
    ]


def test_the_summary_counts_all_records(account: dict[str, Any]) -> None:
    assert account_table.summary(account) == (
        "6,000 records sent, 5,988 landed: 5,760 clean, 222 duplicate, 6 quarantined."
    )
    assert account_table.summary({}) == ""


def test_landed_records_without_a_receipt_have_a_column_and_are_no_fault(account: dict[str, Any]) -> None:
    account["batch"]["pin"] |= {"landed": 1005, "clean": 967, "without_receipt": 7, "problems": []}
    assert account_table.stages(account)[4] == "without_receipt"
    lines = account_table.lines(account)
    assert lines[0].figures[4:6] == ("7", "1,005")
    assert lines[1].figures[4:6] == ("–", "998")
    assert lines[3].figures[4:6] == ("7", "3,001")
    assert account_table.problems(account, lines) == []


def test_what_the_account_says_of_a_table_stands_beside_its_figures(account: dict[str, Any]) -> None:
    account["batch"]["pin"]["problems"] = ["batch pin: 2 landed twice"]
    assert account_table.lines(account)[0].gaps == ("batch pin: 2 landed twice",)
