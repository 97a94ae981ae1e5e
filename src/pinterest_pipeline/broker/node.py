"""One Kafka node as a child process: formatted once, started, asked until it answers, stopped cleanly."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pinterest_pipeline.broker.distribution import jars, java
from pinterest_pipeline.broker.properties import LOG4J, cluster_id, server_properties
from pinterest_pipeline.errors import BadInput, Fatal, MissingPart, PortInUse, Unavailable
from pinterest_pipeline.parts import Say
from pinterest_pipeline.ports import keep, let_listen

STATE_FILE: Final = "node.json"
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_FORMAT_OPTIONS: Final = ("-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_OPTIONS: Final = ("-Xms256m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class NodeState(msgspec.Struct):
    """What a node says of itself in `node.json`."""

    bootstrap_servers: str
    pid: int
    """Process id of the JVM."""
    is_ready: bool = False


def node_address(folder: Path) -> str | None:
    """Where the node of a folder listens or last listened; None when there never was one."""
    state = _state(folder)
    return state.bootstrap_servers if state else None


def node_is_ready(folder: Path) -> bool:
    """Whether the node of a folder runs and has answered since it was started."""
    state = _state(folder)
    if state is None or not state.is_ready:
        return False
    try:
        os.kill(state.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user's process
    return True


@dataclass
class Node:
    """A node with its data in `folder`; `port` 0 takes its last port again, or any free one.

    `further` are properties of the server beside ours, `scram` names and passwords of users to make.
    Only one process may work in a folder: whoever starts a node holds a lock of its own.
    """

    folder: Path
    cache: Path
    port: int = 0
    further: Mapping[str, str] = field(default_factory=dict)
    scram: Mapping[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None

    def listener(self, name: str) -> str:
        """Where one of the `further` listeners is reached."""
        found = next(part for part in self.further["listeners"].split(",") if part.startswith(f"{name}://"))
        return found.partition("://")[2]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, say: Say, stop: threading.Event | None = None) -> None:
        """Start and wait until requests are answered, or until `stop` is set.

        Raises MissingPart, PortInUse, Unavailable with the last lines of the log when the node died.
        """
        classes = f"{jars(self.cache, say)}/*"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stop_orphan()
        with ExitStack() as kept:
            self._choose_ports(classes, kept)
            say(f"starting Kafka on {self.address} ...")
            let_listen(kept)
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._java(_OPTIONS, classes), "kafka.Kafka", str(self._properties)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C reaches whoever started the node, which then stops it
                )
            self._write_state(self._process.pid)
            try:
                self._wait_until_ready(stop or threading.Event())
            except BaseException:
                self.stop()
                raise
        self._write_state(self._process.pid, is_ready=True)

    def check(self) -> None:
        """Raises Unavailable, with the last lines of its log, when the node is not running."""
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            raise Unavailable(f"Kafka died with {code}: {self._last_words()}", f"see {self._log_path}")

    def stop(self) -> None:
        """Ask the node to finish and wait for it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the node at once, as a power cut of its process would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log_path(self) -> Path:
        return self.folder / "server.log"

    def _stop_orphan(self) -> None:
        """A JVM whose parent was killed still holds the folder; ask it to finish."""
        state = _state(self.folder)
        if state is None or str(self._properties) not in _command_line(state.pid):
            return
        deadline = time.monotonic() + _STOP_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, signal.SIGTERM)
            while time.monotonic() < deadline and _command_line(state.pid):
                time.sleep(0.1)
            os.kill(state.pid, signal.SIGKILL)

    def _choose_ports(self, classes: str, kept: ExitStack) -> None:
        state = _state(self.folder)
        last = int(state.bootstrap_servers.rpartition(":")[2]) if state else 0
        self.port = _kept(kept, self.port) if self.port else _kept(kept, last, or_any=True)
        controller_port = _kept(kept, 0)
        self._properties.write_text(
            server_properties(self.folder, self.port, controller_port, self.further), encoding="utf-8"
        )
        (self.folder / "log4j2.yaml").write_text(LOG4J, encoding="utf-8")
        if not (self.folder / "log" / "meta.properties").exists():
            self._format(classes)

    def _format(self, classes: str) -> None:
        users: Sequence[str] = [
            part
            for name, password in self.scram.items()
            for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        tool = ("kafka.tools.StorageTool", "format", "-c", str(self._properties))
        done = subprocess.run(
            [*self._java(_FORMAT_OPTIONS, classes), *tool, "-t", cluster_id(), *users],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Fatal(f"Kafka cannot use {self.folder}: {(done.stderr or done.stdout).strip()[-500:]}")

    def _java(self, options: Sequence[str], classes: str) -> list[str]:
        log = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        return [java(), *options, log, "-cp", classes]

    def _wait_until_ready(self, stop: threading.Event) -> None:
        try:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient
        except ImportError:
            raise MissingPart("confluent-kafka, the client of Kafka, is not installed", "kafka") from None
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        deadline = time.monotonic() + _READY_SECONDS
        while not stop.is_set():
            self.check()
            try:
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                time.sleep(0.05)
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Kafka does not answer after {_READY_SECONDS:g} s: {self._last_words()}",
                    f"see {self._log_path}",
                )

    def _last_words(self) -> str:
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        telling = [line for line in lines if " ERROR " in line or " FATAL " in line] or lines
        return " ".join(telling[-3:])[-1_000:]

    def _write_state(self, pid: int, *, is_ready: bool = False) -> None:
        path = self.folder / STATE_FILE
        path.with_suffix(".tmp").write_bytes(msgspec.json.encode(NodeState(self.address, pid, is_ready)))
        path.with_suffix(".tmp").replace(path)


def _state(folder: Path) -> NodeState | None:
    try:
        return msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=NodeState)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BadInput(
            f"{folder / STATE_FILE} does not say where Kafka runs: {error}", "remove it when Kafka has ended"
        ) from None


def _command_line(pid: int) -> str:
    """How a living process was started; empty when it is gone, or when this system does not tell."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _kept(kept: ExitStack, port: int, *, or_any: bool = False) -> int:
    """A port of loopback that is nobody's until the node listens there."""
    try:
        return keep(kept, port)
    except OSError:
        if or_any:
            return keep(kept)
        raise PortInUse(
            f"port {port} of 127.0.0.1 is taken by another process",
            "stop that process, or choose another port: PINPIPE_KAFKA__PORT=0",
        ) from None
