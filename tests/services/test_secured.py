"""The gateway as a person secures it: keys, TLS, several workers; and the emulators that go through it."""

import json
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.command import environment, pinpipe

pytestmark = pytest.mark.services

KAFKA = {"Content-Type": "application/vnd.kafka.json.v2+json"}
ONE = b'{"records":[{"value":1}]}'
PIN = "/topics/124df56aef51.pin"
SCOPES = ["--scope", "write:topic:124df56aef51.*", "--scope", "write:stream:streaming-124df56aef51-*"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a CA (`ca.pem`), a server's certificate and a client's, all of that CA."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, identity in (("server", "127.0.0.1"), ("client", "client@example.org")):
        issued = ca.issue_cert(identity)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    return tmp_path


TLS = {"PINPIPE_GATEWAY__TLS_CERTIFICATE": "server.pem", "PINPIPE_GATEWAY__TLS_KEY": "server.pem"}
KEYS = {"PINPIPE_GATEWAY__ACCESS": "keys"}


@contextmanager
def up(folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """`pinpipe up` with these settings; its address, as its state tells it."""
    command = [sys.executable, "-m", "pinterest_pipeline", "up"]
    surroundings = environment() | {"PINPIPE_GATEWAY__PORT": "0"} | settings
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=surroundings, stdout=log, stderr=log)
    try:
        state = folder / "pinpipe-data" / "up.json"
        deadline = time.monotonic() + 60
        while not state.exists():
            assert process.poll() is None, (folder / "up.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(state.read_bytes())["gateway"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(log: Path, text: str) -> str:
    """What a log says, once it has this text."""
    deadline = time.monotonic() + 60
    while text not in (said := log.read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    return said


def run(folder: Path, *arguments: str, **settings: str) -> str:
    done = pinpipe(folder, *arguments, settings=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_key(folder: Path, *arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(run(folder, "keys", "create", "--name", "x", *arguments, "--json"))
    return made


def test_emulators_with_a_key_go_through_tls(folder: Path) -> None:
    key = make_key(folder, *SCOPES)["key"]
    with up(folder, TLS | KEYS | {"PINPIPE_GATEWAY__WORKERS": "2"}) as url:
        assert url.startswith("https://127.0.0.1:")
        credentials = f"URL: sqlite:///posts.sqlite\nBATCH_API_URL: {url}\nSTREAMING_API_URL: {url}\n"
        (folder / "db_creds.yaml").write_text(credentials)
        run(folder, "fill", "--count", "30")
        distrusted = pinpipe(folder, "send", "batch", "--count", "5")
        assert distrusted.returncode == 4
        assert "CERTIFICATE_VERIFY_FAILED" in distrusted.stdout + distrusted.stderr
        (folder / "db_creds.yaml").write_text(credentials + "API_CA: ca.pem\n")
        keyless = pinpipe(folder, "send", "batch", "--count", "5")
        assert keyless.returncode == 7
        assert "no API key was sent" in keyless.stderr
        (folder / "db_creds.yaml").write_text(credentials + f"API_CA: ca.pem\nAPI_KEY: {key}\n")
        for branch in ("batch", "stream"):
            sent = pinpipe(folder, "send", branch, "--count", "30", "--last-row", "29")
            assert sent.returncode == 0, sent.stdout + sent.stderr
            assert "90 records sent = 90 acknowledged" in sent.stdout
            assert key not in sent.stdout + sent.stderr
        assert f"up: {url}" in run(folder, "status")
    audit = [json.loads(line) for line in (folder / "pinpipe-data/logs/audit.log").read_text().splitlines()]
    reasons = {line["reason"].partition(";")[0] for line in audit if "left_out" not in line}
    assert reasons == {"no API key was sent"}
    logs = [path.read_bytes() for path in (folder / "pinpipe-data").rglob("*") if path.is_file()]
    assert not any(key.encode() in content for content in logs)


def test_a_key_made_and_revoked_beside_running_workers(folder: Path) -> None:
    with up(folder, KEYS | {"PINPIPE_GATEWAY__WORKERS": "2"}) as url:
        assert "nobody has a key yet" in wait_for(folder / "up.log", "keys create")
        key = make_key(folder, *SCOPES, "--quota", "40/month")

        def produce() -> int:
            """Over a connection of its own, so that any worker may have it."""
            headers = KAFKA | {"x-api-key": key["key"]}
            return httpx.post(url + PIN, content=ONE, headers=headers, timeout=30).status_code

        assert [produce() for _ in range(41)] == [200] * 40 + [429]
        run(folder, "keys", "revoke", key["id"])
        deadline = time.monotonic() + 30
        while {produce() for _ in range(10)} != {401}:
            assert time.monotonic() < deadline


def test_keys_are_listed_without_their_secret(folder: Path) -> None:
    made = make_key(folder, *SCOPES, "--rate", "5", "--quota", "10/week", "--expires", "30d")
    ended = make_key(folder, "--scope", "read:group:*")
    run(folder, "keys", "revoke", ended["id"])
    (first, second) = json.loads(run(folder, "keys", "list", "--json"))
    shown_once = {"key", "access_key_id", "secret_access_key"}
    assert first == {name: value for name, value in made.items() if name not in shown_once}
    assert (first["state"], first["rate"], first["burst"], first["quota"]) == ("good", 5.0, 5, "10/week")
    assert second["state"] == "was revoked"
    text = run(folder, "keys", "list", COLUMNS="200")
    assert made["id"] in text
    assert "write:topic:124df56aef51.*" in text
    assert made["key"].rpartition("_")[2] not in text
    assert made["secret_access_key"] not in text
    unknown = pinpipe(folder, "keys", "revoke", "0123456789ab")
    assert (unknown.returncode, "no key has the id '0123456789ab'" in unknown.stderr) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scope", "write:topic"], "'write:topic' is no scope"),
        (["--scope", "read:topic:a", "--quota", "10"], "'10' is no quota"),
        (["--scope", "read:topic:a", "--burst", "10"], "goes with a rate"),
        (["--scope", "read:topic:a", "--expires", "soon"], "'soon' is no time to live"),
        (["--scope", "read:topic:a", "--name", "a\nb"], "printable"),
    ],
)
def test_a_wrong_argument_makes_no_key(folder: Path, arguments: list[str], said: str) -> None:
    done = pinpipe(folder, "keys", "create", "--name", "x", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert json.loads(run(folder, "keys", "list", "--json")) == []


def test_a_key_is_printed_alone_and_beside_it_what_aws_clients_sign_with(folder: Path) -> None:
    done = pinpipe(folder, "keys", "create", "--name", "x", *SCOPES)
    key_id = done.stdout.split("_")[1]
    assert re.fullmatch(r"pinpipe_[0-9a-f]{12}_[0-9a-f]{40}\n", done.stdout)
    assert f"aws_access_key_id=pinpipe_{key_id}\n" in done.stderr
    assert re.search(r"^aws_secret_access_key=[0-9a-f]{40}$", done.stderr, re.MULTILINE)
    assert "secret" not in run(folder, "keys", "list", "--json")


@pytest.mark.parametrize("command", ["gateway", "up"])
def test_off_loopback_without_a_key_nothing_starts(folder: Path, command: str) -> None:
    settings = {"PINPIPE_GATEWAY__HOST": "0.0.0.0", "PINPIPE_GATEWAY__PORT": "0"}
    done = pinpipe(folder, command, settings=settings)
    assert done.returncode == 2
    assert "PINPIPE_GATEWAY__ACCESS=open" in done.stderr


def test_off_loopback_with_a_key_or_a_word_it_starts(folder: Path) -> None:
    anywhere = {"PINPIPE_GATEWAY__HOST": "0.0.0.0"}
    with up(folder, anywhere | {"PINPIPE_GATEWAY__ACCESS": "open"}) as url:
        assert httpx.get(url.replace("0.0.0.0", "127.0.0.1") + "/topics", timeout=30).status_code == 200
    key = make_key(folder, *SCOPES)["key"]
    with up(folder, anywhere) as url:
        address = url.replace("0.0.0.0", "127.0.0.1") + "/topics"
        assert httpx.get(address, timeout=30).status_code == 401
        assert httpx.get(address, headers={"x-api-key": key}, timeout=30).status_code == 200


def test_a_wrong_certificate_is_named_before_anything_starts(folder: Path) -> None:
    settings = TLS | {"PINPIPE_GATEWAY__TLS_KEY": "client.pem", "PINPIPE_GATEWAY__PORT": "0"}
    done = pinpipe(folder, "gateway", settings=settings)
    assert done.returncode == 2
    assert "PINPIPE_GATEWAY__TLS_KEY: the key in client.pem is not that of the certificate" in done.stderr


def test_with_a_client_ca_only_its_clients_come_in(folder: Path) -> None:
    trusting = ssl.create_default_context(cafile=folder / "ca.pem")
    with up(folder, TLS | {"PINPIPE_GATEWAY__TLS_CLIENT_CA": "ca.pem"}) as url:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/health", verify=trusting, timeout=30)
        trusting.load_cert_chain(folder / "client.pem")
        assert httpx.get(f"{url}/health", verify=trusting, timeout=30).status_code == 200
