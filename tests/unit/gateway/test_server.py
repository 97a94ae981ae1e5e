import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pinterest_pipeline.errors import PortInUse, SettingError
from pinterest_pipeline.gateway.server import bind

WAIT = 30


def test_a_free_port_is_found() -> None:
    with bind("127.0.0.1", 0) as sock:
        assert sock.getsockname()[1] > 0
        with socket.create_connection(sock.getsockname(), timeout=WAIT) as other:
            assert other.getpeername() == sock.getsockname()


def test_a_port_in_use_says_what_to_do() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(PortInUse, match="PINPIPE_GATEWAY__PORT") as caught:
            bind("127.0.0.1", port)
    assert str(port) in caught.value.problem


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(SettingError, match="cannot listen"):
        bind(host, 0)


SERVER = """
import sys
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.server import bind, serve
from pathlib import Path
log = SqliteStreamLog(Path(sys.argv[1]), 2**20)
log.create("pin", 1)
sock = bind("127.0.0.1", 0)
print(sock.getsockname()[1], flush=True)
figures = Figures()
serve(create_app(GatewaySettings(), log, log, figures=figures), sock, GatewaySettings(), figures)
log.close()
print("closed", log.__class__.__name__, flush=True)
"""


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, signal_name: str) -> None:
    command = [sys.executable, "-c", SERVER, str(tmp_path / "log.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        with httpx.Client(base_url=url, timeout=WAIT) as client:
            headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
            answer = client.post("/dev/topics/pin", content=b'{"records":[{"value":1}]}', headers=headers)
            too_large = client.post("/topics/pin", content=b" " * (10 * 2**20 + 1), headers=headers)
            after = client.get("/health")
            server.send_signal(getattr(signal, signal_name))
            out, err = server.communicate(timeout=WAIT)
    assert [answer.status_code, too_large.status_code, after.status_code] == [200, 413, 200]
    assert (server.returncode, out, err) == (0, "closed SqliteStreamLog\n", "")


BUSY = """
import asyncio, os, signal
from starlette.responses import PlainTextResponse
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.server import bind, serve
async def app(scope, receive, send):
    os.kill(os.getpid(), signal.SIGTERM)
    while sock.fileno() != -1:  # the server has heard it: it listens no more
        await asyncio.sleep(0.01)
    await PlainTextResponse("done")(scope, receive, send)
sock = bind("127.0.0.1", 0)
print(sock.getsockname()[1], flush=True)
serve(app, sock, GatewaySettings(), Figures())
"""


def test_what_is_under_way_is_answered_first() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        answer = httpx.get(f"http://127.0.0.1:{server.stdout.readline().strip()}/", timeout=WAIT)
        server.communicate(timeout=WAIT)
    assert (answer.text, server.returncode) == ("done", 0)
