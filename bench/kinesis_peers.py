"""Other servers of Kinesis' API, started for `bench.kinesis`; what is not installed is fetched once."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep
from types import MappingProxyType
from typing import NamedTuple

HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    # They look whether there is a signature, and not at what it says.
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/kinesis/aws4_request,"
    " SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
}


class Server(NamedTuple):
    """One server: its name, whether what it acknowledges outlives it, how it is fetched and started."""

    name: str
    durable: str
    install: Callable[[Path], Sequence[str] | None]
    """The command to start it with, PORT standing for its port; None when it cannot be had here."""
    environment: Mapping[str, str] = MappingProxyType({})


def ours(limits: bool = False) -> Server:
    environment = {
        "PINPIPE_DATA": "DATA",
        "PINPIPE_GATEWAY__PORT": "PORT",
        "PINPIPE_KINESIS__SHARD_LIMITS": str(limits),
        "PINPIPE_KINESIS__TRANSITION_SECONDS": "0",
    }
    command = (sys.executable, "-m", "pinterest_pipeline", "gateway")
    return Server("this gateway", "yes: synced before the answer", lambda _: command, environment)


def _npm(package: str, script: str, *options: str) -> Callable[[Path], Sequence[str] | None]:
    def install(cache: Path) -> Sequence[str] | None:
        folder = cache / package.replace("@", "-")
        if shutil.which("npm") is None or shutil.which("node") is None:
            return None
        if not (folder / "node_modules").exists():
            folder.mkdir(parents=True, exist_ok=True)
            command = ("npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package)
            if subprocess.run(command, capture_output=True).returncode:
                return None
        return ("node", str(folder / "node_modules" / script), *options)

    return install


def _moto(cache: Path) -> Sequence[str] | None:
    folder = cache / "moto"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    program = folder / "bin" / "moto_server"
    if not program.exists():
        if uv is None:
            return None
        python = str(folder / "bin" / "python")
        for command in (
            (uv, "venv", str(folder)),
            (uv, "pip", "install", "--python", python, "moto[server]"),
        ):
            if subprocess.run(command, capture_output=True).returncode:
                return None
    return (str(program), "-p", "PORT")


PEERS = (
    Server(
        "kinesalite",
        "no: in memory",
        _npm("kinesalite@3.3.3", "kinesalite/cli.js", "--port", "PORT", "--shardLimit", "100",
             "--createStreamMs", "0"),
    ),
    Server(
        "kinesis-local",
        "no: in memory",
        _npm("kinesis-local@0.6.2", "kinesis-local/main.js"),
        {"KINESIS_MOCK_PLAIN_PORT": "PORT", "KINESIS_MOCK_TLS_PORT": "OTHER", "LOG_LEVEL": "ERROR"},
    ),
    Server("moto", "no: in memory", _moto),
)  # fmt: skip


@contextmanager
def running(server: Server, cache: Path, folder: Path) -> Iterator[tuple[str, int] | None]:
    """The address of a server that answers, and its process; None when it cannot be had."""
    command = server.install(cache)
    if command is None:
        yield None
        return
    folder.mkdir(parents=True)
    home = Path(command[1]).parent if command[0] == "node" else folder
    ports = {"PORT": str(_free_port()), "OTHER": str(_free_port()), "DATA": str(folder)}
    environment = os.environ | {name: ports.get(value, value) for name, value in server.environment.items()}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "server.log").open("w"))
        process = subprocess.Popen(
            [ports.get(word, word) for word in command], env=environment, cwd=home, stdout=log, stderr=log
        )
        try:
            address = f"127.0.0.1:{ports['PORT']}"
            while not _answers(address):
                if process.poll() is not None:
                    raise RuntimeError(f"{server.name} ended: {(folder / 'server.log').read_text()[-2000:]}")
                sleep(0.1)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait()


def ask(address: str, operation: str, body: str) -> bytes:
    headers = HEADERS | {"X-Amz-Target": f"Kinesis_20131202.{operation}"}
    request = urllib.request.Request(f"http://{address}/", body.encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def _answers(address: str) -> bool:
    try:
        ask(address, "ListStreams", "{}")
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read()) from error
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
