"""The report as a reader meets it: opened from a file, in a real browser, in both colour schemes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.unit.reports import sample

pytestmark = pytest.mark.services

SCHEMES = ("light", "dark")


@dataclass
class Visit:
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(sample.page(), encoding="utf-8")
    return path


@pytest.fixture(params=SCHEMES)
def visit(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Visit]:
    """The report, opened and drawn in one colour scheme."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1280, "height": 900})
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda made: seen.requests.append(made.url))
    seen.page.goto(report.as_uri())
    seen.page.wait_for_selector(f"html[data-drawn={request.param}]", timeout=60_000)
    yield seen
    context.close()


def test_all_charts_are_drawn_without_a_complaint_or_a_request(
    visit: Visit, report: Path, tmp_path: Path
) -> None:
    shot = tmp_path / "report.png"
    visit.page.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 50_000
    for question in sample.QUESTIONS:
        svg = visit.page.locator(f"#chart-{question.number} svg.marks")
        box = svg.bounding_box()
        marks = {"bar": ".mark-rect.role-mark path", "line": ".mark-line path"}
        drawn = svg.locator(marks.get(question.chart, marks["bar"])).count()
        assert box is not None, question.name
        assert box["width"] > 400, question.name
        assert drawn >= (2 if question.chart == "line" else len({*_labels(question.name)})), question.name
    assert visit.complaints == []
    assert visit.requests == [report.as_uri()]


def _labels(name: str) -> list[object]:
    """What the chart of an answer has at least one mark for: each label, or the 25 highest."""
    return [next(iter(row.values())) for row in sample.answers()[name]][:25]


def test_hostile_texts_are_read_and_not_run(visit: Visit) -> None:
    shown = visit.page.locator("#quarantine").inner_text()
    assert '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;' in shown
    assert visit.page.locator("img").count() == 0
    assert visit.page.locator("main script").count() == 0


def test_a_script_that_slipped_through_would_not_run(visit: Visit) -> None:
    ran = visit.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.slipped = true";
            document.body.append(script);
            return window.slipped === true;
        }"""
    )
    assert ran is False
    assert "Content Security Policy" in visit.complaints[-1]


def test_the_account_shows_its_figures(visit: Visit) -> None:
    rows = visit.page.locator("#account tbody tr").all_inner_texts()
    assert rows[0].split() == [
        "batch",
        "pin",
        "1,000",
        "998",
        "1",
        "1",
        "998",
        "960",
        "37",
        "1",
        "✓",
        "holds",
    ]
    assert len(rows) == 8


def test_rows_beyond_the_twentieth_are_shown_on_demand(visit: Visit) -> None:
    folded = visit.page.locator("#answer-3 details:has(table)")
    later = folded.locator("tbody tr")
    assert not later.first.is_visible()
    folded.locator("summary").click()
    assert later.count() == 223
    assert later.first.is_visible()


def test_a_change_of_the_colour_scheme_redraws_the_charts(browser: Browser, report: Path) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn=light]", timeout=60_000)
    before = _colours(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-drawn=dark]", timeout=60_000)
    after = _colours(page)
    context.close()
    assert before != after
    assert before["page"] == "rgb(246, 248, 250)"
    assert after["page"] == "rgb(15, 19, 24)"


def _colours(page: Page) -> dict[str, str]:
    """The colours of the page and of the texts and bars of its first chart."""
    found: dict[str, str] = page.evaluate(
        """() => ({
            page: getComputedStyle(document.body).backgroundColor,
            text: document.querySelector("#chart-1 .role-axis-label text").getAttribute("fill"),
            bars: document.querySelector("#chart-1 .mark-rect.role-mark path").getAttribute("fill"),
        })"""
    )
    return found


def test_on_a_phone_the_page_itself_does_not_scroll_sideways(browser: Browser, report: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=60_000)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert wider == 0
