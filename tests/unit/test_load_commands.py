from datetime import UTC, datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from pinterest_pipeline import rebuilding
from pinterest_pipeline.cli import app
from pinterest_pipeline.terminal import show_drift


@pytest.mark.parametrize(
    ("until", "zone"),
    [("2026-01-31T12:00:00", UTC), ("2026-01-31T12:00:00+01:00", timezone(timedelta(hours=1)))],
)
def test_a_past_time_is_utc_unless_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, until: str, zone: timezone
) -> None:
    asked: list[int] = []

    def past_answers(*arguments: object) -> dict[str, list[object]]:
        asked.append(int(str(arguments[2])))
        return {}

    monkeypatch.setenv("PINPIPE_DATA", str(tmp_path))
    monkeypatch.setattr(rebuilding, "past_answers", past_answers)
    done = CliRunner().invoke(app, ["analyse", "--until", until, "--json"])
    assert (done.exit_code, done.stdout) == (0, "{}\n")
    assert asked == [int(datetime(2026, 1, 31, 12, tzinfo=zone).timestamp() * 1000)]


def test_a_field_that_drifted_is_named_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    show_drift("pin", {"letter_case Tag_List": 1, "retyped tag_list": 2})
    named = "pin: fields not as expected, kept in _rescued_data: retyped tag_list (2), "
    assert capfd.readouterr().err == f"{named}letter case Tag_List (1)\n"
