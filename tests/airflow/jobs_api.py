"""A small Databricks: the calls of the Jobs API that the DAG makes, over HTTP and, behind CONNECT, over TLS.

It keeps to what Databricks says of idempotency tokens: the same token is the same run, whatever became of it.
"""

import base64
import json
import queue
import secrets
import ssl
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLIENT, SECRET = "a-service-principal", "its-oauth-secret"
JOBS = {"pinterest_batch": 4711}

_Answer = dict[str, Any]


@dataclass
class Run:
    """One run of a job. It goes on until it was looked at `looks` times, then it ends as `result`."""

    id: int
    request: _Answer
    result: str
    looks: int
    looked: int = 0
    cancelled: bool = False

    @property
    def state(self) -> dict[str, str]:
        if self.cancelled:
            return {"life_cycle_state": "TERMINATED", "result_state": "CANCELED", "state_message": "stopped"}
        if self.looked < self.looks:
            return {"life_cycle_state": "RUNNING", "state_message": "in run"}
        return {"life_cycle_state": "TERMINATED", "result_state": self.result, "state_message": "done"}


@dataclass
class JobsApi:
    """What the server holds, and what it shall do wrong."""

    runs: dict[str, Run] = field(default_factory=dict)
    """The runs by idempotency token."""
    results: deque[str] = field(default_factory=deque)
    """How the next runs end; SUCCESS when nothing is said."""
    faults: dict[str, deque[int | str]] = field(default_factory=dict)
    """What the next calls to a path meet: a status, or `cut`: carried out, but not answered."""
    looks: int = 0
    answering: threading.Event = field(default_factory=threading.Event)
    """While it is clear, whoever looks at a run gets no answer; `held` has the ports of those who wait."""
    held: "queue.Queue[int]" = field(default_factory=queue.Queue)
    calls: list[str] = field(default_factory=list)
    callers: set[str] = field(default_factory=set)
    """The parts of Airflow that called."""
    logins: int = 0
    alerts: list[_Answer] = field(default_factory=list)
    _tokens: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.answering.set()

    def answer(self, method: str, path: str, body: _Answer, authorization: str) -> tuple[int, _Answer]:
        """The status and the body for one call."""
        with self._lock:
            self.calls.append(path)
            if path == "/alerts":
                self.alerts.append(body)
                return 200, {}
            if path == "/oidc/v1/token":
                return self._login(authorization)
            if authorization.removeprefix("Bearer ") not in self._tokens:
                return 401, {"error_code": "401", "message": "no valid token"}
            return self._carry_out(f"{method} {path.partition('/jobs/')[2]}", body)

    def _login(self, authorization: str) -> tuple[int, _Answer]:
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        self.logins += 1
        token = secrets.token_hex(16)
        self._tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def _carry_out(self, call: str, body: _Answer) -> tuple[int, _Answer]:
        if call == "GET list":
            found = {name: id_ for name, id_ in JOBS.items() if name == body.get("name")}
            return 200, {"jobs": [{"job_id": id_, "settings": {"name": name}} for name, id_ in found.items()]}
        if call == "POST run-now":
            return self._run_now(body)
        if call == "GET runs/get-output":
            return 200, {"error": "the notebook raised"}
        run = next((run for run in self.runs.values() if run.id == int(body["run_id"])), None)
        if run is None:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "there is no such run"}
        if call == "GET runs/get":
            return 200, self._look(run)
        if call == "POST runs/cancel":
            run.cancelled = True
            return 200, {}
        return 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": call}

    def _run_now(self, body: _Answer) -> tuple[int, _Answer]:
        token = body["idempotency_token"]
        if int(body["job_id"]) not in JOBS.values() or len(token) > 64:
            return 400, {
                "error_code": "INVALID_PARAMETER_VALUE",
                "message": "no such job, or too long a token",
            }
        if token not in self.runs:
            result = self.results.popleft() if self.results else "SUCCESS"
            self.runs[token] = Run(1_000 + len(self.runs), body, result, self.looks)
        return 200, {"run_id": self.runs[token].id, "number_in_job": self.runs[token].id}

    def _look(self, run: Run) -> _Answer:
        run.looked += 1
        return {
            "job_id": run.request["job_id"],
            "run_id": run.id,
            "run_page_url": f"https://databricks.example/#job/{run.id}",
            "state": run.state,
            "tasks": [{"task_key": "posts", "run_id": run.id + 10_000, "state": run.state}],
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_CONNECT(self) -> None:
        """A proxy that leads every name here, so that the client's own TLS is used."""
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False  # some clients ask for a tunnel in HTTP/1.0

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # the server itself knows of the plain socket only

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        url = urlsplit(self.path)
        self.server.api.callers.add(self.headers["User-Agent"].rpartition("/")[2])
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = {key: values[0] for key, values in parse_qs(url.query).items()}
        if text.startswith(b"{"):
            body |= json.loads(text)
        waiting = next(
            (faults for end, faults in self.server.api.faults.items() if url.path.endswith(end)), None
        )
        fault = waiting.popleft() if waiting else None
        if isinstance(fault, int):
            self._send(fault, {"error_code": str(fault), "message": "a fault"})
            return
        status, answer = self.server.api.answer(
            self.command, url.path, body, self.headers.get("Authorization", "")
        )
        if url.path.endswith("runs/get") and not self.server.api.answering.is_set():
            self.server.api.held.put(self.client_address[1])
            self.server.api.answering.wait()
        if fault == "cut":
            self.close_connection = True
            return
        self._send(status, answer)

    def _send(self, status: int, answer: _Answer) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the tests look at `calls`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tls = tls
        self.api = JobsApi()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed or cut off is no error here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class JobsServer:
    """The server in a thread, on a free port of loopback."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._server = _Server(tls)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fresh(self) -> JobsApi:
        """Forget all runs and faults."""
        self._server.api = JobsApi()
        return self._server.api

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
