import errno
import io
import logging
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.access_log import AccessLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.error_codes import TIMEOUT, Fault
from tests.unit.gateway.conftest import TOPIC, Client

TRACE = "0af7651916cd43dd8448eb211c80319c"


def lines(path: Path) -> list[Any]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def logged(topics: SqliteEventLog, streams: SqliteStreamLog, tmp_path: Path) -> Any:
    """A gateway with an access log, and the log's path once it is closed."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    return Client(create_app(GatewaySettings(), topics, streams, observers=(log.note,))), log, path


def test_each_request_is_one_line(logged: Any) -> None:
    client, log, path = logged
    headers = {
        "Content-Type": "application/vnd.kafka.json.v2+json",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    }
    body = b'{"records":[{"value":1}]}'
    answer = client.send("POST", f"/dev/topics/{TOPIC}?a=secret", content=body, headers=headers)
    client.get("/nothing")
    log.refused(Fault(TIMEOUT, "too slow"), "192.0.2.1")
    log.close()
    produced, missing, refused = lines(path)
    assert produced.pop("time") > 1_700_000_000
    assert produced.pop("ms") > 0
    assert produced == {
        "operation": "produce",
        "status": 200,
        "method": "POST",
        "path": f"/dev/topics/{TOPIC}",
        "bytes_in": len(body),
        "bytes_out": len(answer.content),
        "trace": TRACE,
        "remote": "127.0.0.1",
    }
    assert (missing["operation"], missing["status"]) == ("no_service", 404)
    assert (refused["status"], refused["refused"], refused["remote"]) == (408, "too slow", "192.0.2.1")


def test_a_body_that_only_its_head_is_asked_of_is_not_counted(logged: Any) -> None:
    client, log, path = logged
    answer = client.ask("HEAD", "/topics")
    log.close()
    assert int(answer.headers["content-length"]) > 0
    assert "bytes_out" not in lines(path)[0]


def test_nobody_writes_a_line_of_his_own(logged: Any) -> None:
    client, log, path = logged
    for name in ("%0A%7B%22status%22:1%7D", "%1B%5B2J", "%C2%9B2J", "%E2%80%A8", '"x"', "a" * 5_000):
        client.get(f"/topics/{name}")
    client.send(
        "GET", "/topics", headers=[(b"traceparent", b'00-"},{\x9b2J\xe2\x80\xa8aaaaaaaaaaaaaaaaaaaaaaaaa')]
    )
    log.close()
    text = path.read_bytes()
    assert text.isascii()
    assert all(character == "\n" or character.isprintable() for character in text.decode())
    assert len(lines(path)) == 7
    assert max(map(len, text.splitlines())) < 1_000


def test_the_log_is_for_its_owner_and_is_added_to(logged: Any) -> None:
    client, log, path = logged
    client.get("/topics")
    log.close()
    again = AccessLog(str(path))
    again.refused(Fault(TIMEOUT, "later"), "")
    again.close()
    assert len(lines(path)) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_made_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="PINPIPE_GATEWAY__ACCESS_LOG"):
        AccessLog(str(tmp_path / "missing" / "access.log"))


def test_a_file_that_fails_later_costs_lines_and_no_requests(
    logged: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client, log, path = logged
    path.unlink()
    path.mkdir()
    assert client.get("/topics").status_code == 200
    with caplog.at_level(logging.WARNING):
        log.close()
    assert "1 lines are lost" in caplog.text


def test_standard_error_is_a_place_too(capfdbinary: Any) -> None:
    log = AccessLog("-")
    log.refused(Fault(TIMEOUT, "too slow"), "")
    log.close()
    assert msgspec.json.decode(capfdbinary.readouterr().err)["status"] == 408


class Full(io.BytesIO):
    """A file on a disk that has no room."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_standard_error_that_fails_costs_lines_and_not_the_log(
    capfdbinary: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that writes ended with the error, and no line was ever written again."""
    lost = threading.Event()

    def heard(_: logging.LogRecord) -> bool:
        lost.set()
        return True

    caplog.handler.addFilter(heard)
    log = AccessLog("-")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", SimpleNamespace(buffer=Full()))
        log.refused(Fault(TIMEOUT, "lost"), "")
        assert lost.wait(20)
    log.refused(Fault(TIMEOUT, "kept"), "")
    log.close()
    assert "1 lines are lost" in caplog.text
    assert msgspec.json.decode(capfdbinary.readouterr().err)["refused"] == "kept"
