"""One HTML page that holds a whole run: the verdict, the account of records, the cleaning, the answers.

The page loads nothing: charts, their library, styles and figures are inside it, and its own content security
policy forbids every request and every script but the two it was made with. All texts are escaped.
"""

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final, Protocol

import jinja2
import vl_convert
from markupsafe import Markup

from pinterest_pipeline.reports import account_table, charts, table_rows, themes
from pinterest_pipeline.reports.shapes import Row
from pinterest_pipeline.reports.shapes import title as title_of

Answers = Mapping[str, Sequence[Row]]  # rows by the name of the answer

# Characters that a browser would not show, or that have no UTF-8 form, as visible ones.
VISIBLE: Final = (
    {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"}
    | {0x7F: 0x2421}
    | dict.fromkeys(
        [*range(0xD800, 0xE000), 0x202D, 0x202E], 0xFFFD
    )  # halves of pairs, overrides of direction
)


class Question(Protocol):
    """What the page needs of an analysis."""

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def chart(self) -> str: ...


def render(
    *,
    answers: Mapping[str, Answers],
    account: Mapping[str, Any],
    changes: Mapping[str, Mapping[str, Mapping[str, int]]],
    quarantine: Mapping[str, Sequence[Row]],
    questions: Sequence[Question],
    ran_at: datetime,
    rules: Mapping[str, str] | None = None,
    title: str = "Pinterest data pipeline: report of a run",
) -> str:
    """The page as HTML text, to be written as UTF-8.

    `answers`, `changes` and `quarantine` are keyed by branch; one branch alone is fine. `account` holds the
    counts of each stage by branch and table, and `balanced` and `problems`. `changes` counts by table and
    rule id; `rules` says in words what a rule id does. `quarantine` holds rows with table_name, reason, raw
    and the branch's position columns; a sample of them is shown. `ran_at` must know its time zone.
    """
    sections = [_answer(place, question, answers) for place, question in enumerate(questions, 1)]
    specs = {id_: spec for section in sections for id_, spec in section.pop("specs").items()}
    lines = account_table.lines(account)
    problems = account_table.problems(account, lines) + [
        section["problem"] for section in sections if section["problem"]
    ]
    ran_at = ran_at.astimezone(UTC)
    return _template().render(
        title=title,
        ran_at=ran_at,
        ran_at_text=f"{ran_at:%d %B %Y, %H:%M:%S} UTC".lstrip("0"),
        problems=problems,
        agreement=f"{account_table.summary(account)} {_agreement(answers, len(sections))}".strip(),
        stages=[title_of(stage) for stage in account_table.stages(account)],
        account=lines,
        changes=table_rows.changes(changes, rules or {}),
        quarantine=table_rows.quarantine(quarantine),
        answers=sections,
        themes=_data(themes.THEMES),
        specs=_data(specs),
        **_assets(),
    )


def _answer(place: int, question: Question, answers: Mapping[str, Answers]) -> dict[str, Any]:
    """One question's part of the page: its results (one, where the branches agree) and its charts' specs."""
    rows = {branch: given[question.name] for branch, given in answers.items() if question.name in given}
    agrees = len(rows) == len(answers) and all(
        _same(given, next(iter(rows.values()))) for given in rows.values()
    )
    shown = {"": next(iter(rows.values()))} if rows and agrees else rows
    heading = title_of(question.name)
    drawn = {branch: charts.draw(question.name, given, question.chart) for branch, given in shown.items()}
    ids = {branch: f"chart-{place}{'-' if branch else ''}{branch}" for branch in shown}
    return {
        "number": question.number,
        "anchor": f"answer-{place}",
        "heading": heading,
        "question": question.question,
        "agrees": agrees,
        "note": _note(list(rows), agrees),
        "problem": "" if agrees else f"Question {question.number}, {heading}: {_note(list(rows), agrees)}",
        "results": [
            table_rows.answer(given)
            | {"title": f"By the {branch} branch" if branch else ""}
            | {
                "chart_id": ids[branch] if drawn[branch] else "",
                "caption": getattr(drawn[branch], "caption", ""),
            }
            for branch, given in shown.items()
        ],
        "specs": {ids[branch]: drawing.chart.to_dict() for branch, drawing in drawn.items() if drawing},
    }


def _same(left: Sequence[Row], right: Sequence[Row]) -> bool:
    return [dict(row) for row in left] == [dict(row) for row in right]


def _note(branches: Sequence[str], agrees: bool) -> str:
    both = " and ".join(branches)
    if not branches:
        return "not answered in this run"
    if not agrees:
        return f"{both} give different answers" if len(branches) > 1 else f"only {both} gave an answer"
    return f"{both} give the same answer" if len(branches) > 1 else f"from the {both} branch"


def _agreement(answers: Mapping[str, Answers], count: int) -> str:
    counted = "1 answer" if count == 1 else f"{count} answers"
    if len(answers) < 2:
        return f"{counted} from the {next(iter(answers))} branch." if answers else ""
    return f"{' and '.join(answers).capitalize()} give the same {counted}."


def _assets() -> dict[str, Markup]:
    """Styles and scripts, which are ours and stand unescaped, and what allows just these scripts to run."""
    library, script = _script(chart_library()), _script(_asset("report.js"))
    hashes = " ".join(_hash(text) for text in (library, script))
    ours = {"style": _asset("report.css"), "library": library, "script": script, "script_hashes": hashes}
    return {name: Markup(text) for name, text in ours.items()}  # noqa: S704


@functools.cache
def chart_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script.

    Made once in a process, which takes a second or two: call it early, while something is waited for.
    """
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _script(text: str) -> str:
    """A script as it may stand inside HTML: nothing in it ends the element or opens a comment."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _data(value: object) -> Markup:
    """JSON that may stand inside a script element: without a character that HTML gives a meaning."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _visible(value: object) -> object:
    return value.translate(VISIBLE) if isinstance(value, str) and not isinstance(value, Markup) else value


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    return environment.from_string(_asset("report.html"))
