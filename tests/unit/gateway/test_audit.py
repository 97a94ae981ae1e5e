import asyncio
import json
import stat
from pathlib import Path

import pytest

from pinterest_pipeline.gateway import audit
from pinterest_pipeline.gateway.audit import LINES_A_SECOND, AuditLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_flood_is_counted_and_not_told(tmp_path: Path) -> None:
    clock = [1_000.25]
    path = tmp_path / "logs" / "audit.log"

    async def flood() -> None:
        log = AuditLog(path, lambda: clock[0])
        for number in range(LINES_A_SECOND + 90):
            log.note(number=number)
        clock[0] += 1
        log.note(number="next")

    asyncio.run(flood())
    found = lines(path)
    assert [line.get("number") for line in found] == [*range(LINES_A_SECOND), None, "next"]
    assert found[-2] == {"time": "1970-01-01T00:16:41.250+00:00", "left_out": 90}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_end_of_a_flood_is_told_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"

    async def flood() -> None:
        log = AuditLog(path, lambda: 7.0)
        for _ in range(LINES_A_SECOND + 3):
            log.note(status=401)
        async with asyncio.timeout(30):
            while "left_out" not in lines(path)[-1]:
                await asyncio.sleep(0.05)

    asyncio.run(flood())
    assert lines(path)[-1]["left_out"] == 3


def test_nothing_of_a_caller_can_begin_a_line_or_move_a_cursor(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    hostile = 'a\r\n{"status":200}\x1b[2J\x9b2J\u2028\u202e\ud800"'
    log.note(resource=hostile)
    content = (tmp_path / "audit.log").read_bytes()
    assert content.count(b"\n") == 1
    assert all(32 <= byte < 127 for byte in content[:-1])
    assert lines(tmp_path / "audit.log")[0]["resource"] == hostile


def test_a_large_file_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 200)
    clock = [0.0]
    workers = [AuditLog(tmp_path / "audit.log", lambda: clock[0]) for _ in range(2)]
    for number in range(101):
        clock[0] += 1
        workers[number % 2].note(number=number)
    now, before = tmp_path / "audit.log", tmp_path / "audit.log.1"
    assert sorted(tmp_path.iterdir()) == [now, before]
    found = [line["number"] for path in (before, now) for line in lines(path)]
    assert found == [*range(101 - len(found), 101)]
    assert now.stat().st_size + before.stat().st_size < 600


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog(tmp_path / "audit.log")
    (tmp_path / "audit.log").mkdir()
    log.note(status=401)
    assert "audit.log cannot be written" in caplog.text


def test_a_folder_that_was_tidied_up_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.log"
    log = AuditLog(path)
    log.note(status=401)
    path.unlink()
    path.parent.rmdir()
    log.note(status=403)
    assert [line["status"] for line in lines(path)] == [403]


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").touch()
    AuditLog(tmp_path / "logs" / "audit.log").note(status=401)
    assert "audit.log cannot be written" in caplog.text
