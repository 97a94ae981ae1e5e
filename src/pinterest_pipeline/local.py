"""Starts every room as a process of its own, starts a dead one again, stops them cleanly."""

import atexit
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import structlog
from pydantic import BaseModel, SecretStr

from pinterest_pipeline.broker.distribution import jars
from pinterest_pipeline.broker.node import node_is_ready
from pinterest_pipeline.config import OWN_S3, Settings, child_environment
from pinterest_pipeline.engines.spark_session import fetch_spark
from pinterest_pipeline.errors import BadInput, Forbidden, PortInUse, SettingError, Unavailable
from pinterest_pipeline.gateway.server import bind
from pinterest_pipeline.parts import Say
from pinterest_pipeline.s3server.server import is_ready
from pinterest_pipeline.workspace import Workspace

ROOMS = ("gateway", "sink", "stream", "load")
STATE_FILE = "up.json"
_HOPELESS = {error.exit_code: error for error in (SettingError, BadInput, Forbidden)}
_STOP_SECONDS = 30.0
_SERVERS_SECONDS = 120.0
_LONGEST_PAUSE = 10.0
_log = structlog.get_logger("up")


class State(msgspec.Struct):
    """What `pinpipe up` says of itself in `up.json`."""

    pid: int
    gateway: str
    rooms: dict[str, int]
    """Process id of each room."""


class Server(NamedTuple):
    """A server of our own that the rooms need: the command that runs it, and whether it answers."""

    name: str
    is_ready: Callable[[], bool]


def own_servers(settings: Settings) -> list[Server]:
    """The servers that the settings ask for and that do not run yet."""
    workspace = Workspace(settings)
    asked = []
    if settings.log.home == "kafka" and not settings.kafka.bootstrap_servers:
        asked.append(Server("kafka", lambda: node_is_ready(workspace.kafka)))
    if settings.objects.url == OWN_S3:
        asked.append(Server("s3", lambda: is_ready(workspace.s3)))
    return [server for server in asked if not server.is_ready()]


@dataclass
class _Room:
    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


class Supervisor:
    """All rooms on one machine. The listening socket is held here, so that requests wait out a restart."""

    def __init__(self, settings: Settings, rooms: Sequence[str] = ROOMS) -> None:
        self._settings = settings
        self._names = rooms
        self._socket: socket.socket | None = None
        self._servers: list[_Room] = []
        self._rooms: list[_Room] = []

    def start(self) -> str:
        """Start servers of our own, then all rooms; returns the gateway's address. Raises PortInUse."""
        self._wait_for_orphans()
        self._socket = bind(self._settings.gateway.host, self._settings.gateway.port)
        self._url = self._settings.gateway.url(*self._socket.getsockname()[:2])
        self._start_servers()
        options = {"gateway": ["--fd", str(self._socket.fileno())], "load": ["--every", "1"]}
        self._rooms = [_Room(name, [name, *options.get(name, [])]) for name in self._names]
        self.check()
        return self._url

    def _start_servers(self) -> None:
        servers = own_servers(self._settings)
        self._servers = [_Room(server.name, [server.name]) for server in servers]
        deadline = time.monotonic() + _SERVERS_SECONDS
        while not all(server.is_ready() for server in servers):
            self.check()
            if time.monotonic() > deadline:
                raise Unavailable("a server does not answer", f"see {self._log_path(servers[0].name).parent}")
            time.sleep(0.1)

    def run(self, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Keep the rooms alive until told to stop."""
        ready()
        while not stop.wait(0.1):
            self.check()

    def check(self) -> None:
        """Start what is not running and may start now; raises Fatal when a room cannot be helped."""
        changed = False
        for room in self._servers + self._rooms:
            if room.process is not None and room.process.poll() is not None:
                self._note_death(room)
            if room.process is None and time.monotonic() >= room.start_at:
                self._start(room)
                changed = True
        if changed:
            self._write_state()

    def stop(self) -> None:
        """Stop the rooms, then the servers, and take away the state file."""
        self.stop_rooms()
        _stop(self._servers)
        if self._socket is not None:
            self._socket.close()
        (self._settings.data / STATE_FILE).unlink(missing_ok=True)

    def stop_rooms(self) -> None:
        """Ask every room to finish and wait for it; servers go on."""
        _stop(self._rooms)

    def _wait_for_orphans(self) -> None:
        """Rooms of a supervisor that was killed stop by themselves; until then they hold port and locks."""
        try:
            left = _decode_state(self._settings.data).rooms.values()
        except (FileNotFoundError, msgspec.DecodeError):  # a power cut may leave it empty
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while any(_is_alive(pid) for pid in left) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _start(self, room: _Room) -> None:
        assert self._socket is not None
        with self._log_file(room.name) as log:
            room.process = subprocess.Popen(
                [sys.executable, "-m", "pinterest_pipeline", *room.arguments, "--exit-with-parent"],
                env=child_environment(self._settings_of(room.name)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[self._socket.fileno()],
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops them in order
            )
        room.started = time.monotonic()

    def _settings_of(self, room: str) -> Settings:
        """The sink has one seat in its group: started again, it gets its partitions back without a wait.

        Kafka's static membership: https://cwiki.apache.org/confluence/display/KAFKA/KIP-345. Only one process
        may have the seat, and we start only one.
        """
        settings = self._settings
        if room != "sink" or settings.log.home != "kafka":
            return settings
        seat = f"{socket.gethostname()}-{settings.data.resolve()}"
        own = {"group.instance.id": SecretStr(hashlib.sha256(seat.encode()).hexdigest()[:32])}
        kafka = settings.kafka.model_copy(update={"properties": own | settings.kafka.properties})
        return settings.model_copy(update={"kafka": kafka})

    def _note_death(self, room: _Room) -> None:
        assert room.process is not None
        code = room.process.returncode
        if room.process.stdin:
            room.process.stdin.close()
        room.process = None
        hopeless = _HOPELESS.get(code, PortInUse if room in self._servers else None)
        if hopeless is not None and code == hopeless.exit_code:
            problem, remedy = self._last_words(room.name)
            raise hopeless(f"{room.name} cannot run: {problem}", remedy)
        lived = time.monotonic() - room.started
        room.failures = 0 if lived > _LONGEST_PAUSE else room.failures + 1
        pause = 0.0 if room.failures <= 1 else min(0.2 * 2**room.failures, _LONGEST_PAUSE)
        room.start_at = time.monotonic() + pause
        reason = self._last_words(room.name)[0][:200] if code > 0 else f"signal {-code}"
        _log.warning("room died, starting it again", room=room.name, reason=reason, pause_seconds=pause)

    def _log_file(self, name: str) -> IO[bytes]:
        path = self._log_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")

    def _log_path(self, name: str) -> Path:
        return self._settings.data / "logs" / f"{name}.log"

    def _last_words(self, name: str) -> tuple[str, str]:
        """What the room's last error says: the problem, and what to do."""
        text = self._log_path(name).read_text(encoding="utf-8", errors="replace")
        _, mark, said = f"\n{text}".rpartition("\nerror: ")
        if not mark:
            return f"see {self._log_path(name)}", ""
        problem, _, rest = said.partition("\n")
        remedy = rest.partition("\n")[0]
        return problem, remedy.strip() if remedy.startswith(" ") else ""

    def _write_state(self) -> None:
        parts = self._servers + self._rooms
        rooms = {part.name: part.process.pid for part in parts if part.process is not None}
        state = State(os.getpid(), self._url, rooms)
        path = self._settings.data / STATE_FILE
        path.with_suffix(".tmp").write_bytes(msgspec.json.encode(state))
        path.with_suffix(".tmp").replace(path)


def _stop(parts: Sequence[_Room]) -> None:
    alive = [part.process for part in parts if part.process is not None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for process in alive:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()


def chosen_settings(settings: Settings, *, on_kafka: bool, on_s3: bool) -> Settings:
    """The same settings with servers of our own in place of the embedded log or the folder of objects."""
    update: dict[str, BaseModel] = {}
    if on_kafka:
        update["log"] = settings.log.model_copy(update={"home": "kafka"})
        update["kafka"] = settings.kafka.model_copy(update={"bootstrap_servers": ""})
    if on_s3:
        update["objects"] = settings.objects.model_copy(update={"url": OWN_S3})
    return settings.model_copy(update=update)


def fetch_parts(settings: Settings, say: Say) -> None:
    """Fetch now what servers of our own and Spark need, where somebody sees that it takes a while."""
    if settings.engine.name == "spark":
        fetch_spark(settings.cache, say)
    if any(server.name == "kafka" for server in own_servers(settings)):
        jars(settings.cache, say)


def read_state(data: Path) -> State | None:
    """What runs in a working folder, or None when nothing does; raises BadInput for a damaged state."""
    try:
        state = _decode_state(data)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BadInput(
            f"{data / STATE_FILE} does not say what runs: {error}", "remove it when 'pinpipe up' has ended"
        ) from None
    return state if _is_alive(state.pid) else None


def _decode_state(data: Path) -> State:
    return msgspec.json.decode((data / STATE_FILE).read_bytes(), type=State)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user's process
    return True


def stop_event(*, exit_with_parent: bool = False) -> threading.Event:
    """An event that SIGTERM and SIGINT set; if asked, also the end of standard input: the parent is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if exit_with_parent:
        watch_parent(stop.set)
    return stop


def watch_parent(on_end: Callable[[], None]) -> None:
    """Call `on_end` from a thread when standard input ends: the parent is gone.

    The thread is over before the interpreter is. One that still waits then keeps modules alive, of which
    DuckDB's bindings complain on standard error.
    """
    waking, wake = os.pipe()

    def wait() -> None:
        asked = select.poll()
        for source in (sys.stdin.fileno(), waking):
            asked.register(source, select.POLLIN)
        while waking not in (ready := [source for source, _ in asked.poll()]):
            if not os.read(ready[0], 1024):
                on_end()
                return

    thread = threading.Thread(target=wait, name="parent-watch", daemon=True)

    def end() -> None:
        os.write(wake, b"\0")
        thread.join()

    thread.start()
    atexit.register(end)
