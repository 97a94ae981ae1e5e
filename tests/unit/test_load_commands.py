from datetime import UTC, datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from pinterest_pipeline import rebuilding
from pinterest_pipeline.cli import app


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
