"""The page of the API as a reader meets it: a real gateway, a real browser, both colour schemes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.services.gateway_process import Gateway, running

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with running(folder, "open") as found:
        yield found


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_reads_well_and_asks_for_nothing_else(
    browser: Browser, gateway: Gateway, scheme: str, width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type] # one of its words
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda made: requests.append(made.url))
    page.goto(f"{gateway.url}/dev/docs")
    page.click("#v3_produce summary")
    assert page.is_visible("#v3_produce >> text=Idempotency-Key")
    page.click("#v3_produce >> text=V3Receipt")
    page.wait_for_function("location.hash === '#schema-V3Receipt'")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text, ground = page.evaluate(
        "['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name].match(/\\d+/)[0])"
    )
    assert (int(text) < int(ground)) == (scheme == "light")
    assert complaints == []
    assert [made for made in requests if not made.endswith("favicon.ico")] == [f"{gateway.url}/dev/docs"]
    page.click("text=openapi.json")
    page.wait_for_url(f"{gateway.url}/dev/openapi.json")
    context.close()
