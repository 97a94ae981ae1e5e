import hashlib
import hmac
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pinterest_pipeline.errors import BadInput, SettingError, Unavailable
from pinterest_pipeline.gateway import keys as module
from pinterest_pipeline.gateway.keys import KeyFile, Keyring
from pinterest_pipeline.gateway.plans import Plan

SCOPES = ["write:topic:a.*", "describe:cluster"]
PLAN = Plan(rate=2.5, burst=7, quota=100, period="week")


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "gateway" / "keys.sqlite")


@pytest.fixture
def ring(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """A ring that looks at the file whenever it is asked."""
    monkeypatch.setattr(module, "_FRESH_SECONDS", 0.0)
    return Keyring(file)


def test_a_key_is_kept_as_a_digest_that_only_the_owner_reads(file: KeyFile) -> None:
    text, key = file.create("emulator", SCOPES, PLAN, None)
    secret = text.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) * 8 >= 128
    content = file.path.read_bytes()
    assert secret.encode() not in content
    assert hashlib.sha256(text.encode()).digest() in content
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.read() == [key]
    assert (key.name, list(key.scopes), key.plan, key.slot) == ("emulator", SCOPES, PLAN, 1)
    assert text.startswith(f"pinpipe_{key.id}_")


def test_no_two_keys_are_alike(file: KeyFile) -> None:
    made = [file.create("x", SCOPES, Plan(), None) for _ in range(20)]
    assert len({text for text, _ in made}) == len({key.id for _, key in made}) == 20
    assert [key.slot for key in file.read()] == list(range(1, 21))


def test_a_wrong_scope_makes_no_key(file: KeyFile) -> None:
    with pytest.raises(SettingError, match="no scope"):
        file.create("x", ["write:topic"], Plan(), None)
    assert file.read() == []


def test_a_ring_finds_a_key_by_its_whole_text(file: KeyFile, ring: Keyring) -> None:
    text, key = file.create("x", SCOPES, Plan(), None)
    other, _ = file.create("y", ["read:group:*"], Plan(), None)
    found = ring.find(text.encode())
    assert found is not None
    assert found[0] == key
    assert found[1].allows("write", "topic", "a.b")
    assert not found[1].allows("read", "group", "g")
    id_, secret = text.split("_")[1:]
    for wrong in (
        text[:-1], text + "0", text.upper(), text + " ", f"pinpipe_{id_}_{'0' * 40}",
        f"pinpipe_{'0' * 12}_{secret}",
        f"pinpipe_{other.split('_')[1]}_{secret}", id_, "", "pinpipe__", "x" * 100_000, text + "\n",
    ):  # fmt: skip
        assert ring.find(wrong.encode()) is None
    assert ring.find(b"\xff") is None


def test_the_secret_is_compared_in_constant_time_also_for_an_unknown_id(
    file: KeyFile, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _ = file.create("x", SCOPES, Plan(), None)
    compared: list[tuple[bytes, bytes]] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for asked in (text, text.replace("pinpipe_", "pinpipe_" + "0" * 12)[:61], "nonsense"):
        ring.find(asked.encode())
    assert len(compared) == 3
    assert all(len(one) == len(other) == 32 for one, other in compared)


def test_a_running_ring_sees_new_and_revoked_keys(file: KeyFile, ring: Keyring) -> None:
    assert ring.find(b"pinpipe_0_0") is None  # the file is not there yet
    text, key = file.create("x", SCOPES, Plan(), None)
    found = ring.find(text.encode())
    assert found is not None
    assert found[0].ended(time.time()) == ""
    file.revoke(key.id)
    found = ring.find(text.encode())
    assert found is not None
    assert found[0].ended(time.time()) == "was revoked"
    file.revoke(key.id)  # again changes nothing
    assert len(file.read()) == 1


def test_another_process_revokes_and_the_ring_knows_of_it(file: KeyFile) -> None:
    ring = Keyring(file)
    text, key = file.create("x", SCOPES, Plan(), None)
    assert ring.find(text.encode()) is not None
    script = "import sys; from pathlib import Path; from pinterest_pipeline.gateway.keys import KeyFile;"
    script += "KeyFile(Path(sys.argv[1])).revoke(sys.argv[2])"
    subprocess.run([sys.executable, "-c", script, str(file.path), key.id], check=True)
    known = revoked_by(ring, text, time.monotonic() + 30)
    assert known == "was revoked"


def revoked_by(ring: Keyring, text: str, deadline: float) -> str:
    while True:
        found = ring.find(text.encode())
        assert found is not None
        if (ended := found[0].ended(time.time())) or time.monotonic() > deadline:
            return ended


def test_a_ring_asks_the_file_no_more_than_twice_a_second(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    ring = Keyring(file)
    text, key = file.create("x", SCOPES, Plan(), None)

    def ended() -> str:
        found = ring.find(text.encode())
        assert found is not None
        return found[0].ended(time.time())

    assert ended() == ""
    file.revoke(key.id)
    clock[0] += 0.49
    assert ended() == ""
    clock[0] += 0.02
    assert ended() == "was revoked"


def test_a_new_key_is_good_at_once(file: KeyFile) -> None:
    ring = Keyring(file)
    for _ in range(3):
        text, _ = file.create("x", SCOPES, Plan(), None)
        assert ring.find(text.encode()) is not None


def test_a_file_that_is_taken_away_takes_its_keys_along(file: KeyFile, ring: Keyring) -> None:
    text, _ = file.create("x", SCOPES, Plan(), None)
    assert ring.find(text.encode()) is not None
    file.path.unlink()
    assert ring.find(text.encode()) is None
    again, _ = file.create("y", SCOPES, Plan(), None)
    assert ring.find(text.encode()) is None
    assert ring.find(again.encode()) is not None
    ring.close()


def test_a_key_ends_at_its_time(file: KeyFile) -> None:
    _, key = file.create("x", SCOPES, Plan(), 5_000)
    assert (key.ended(4.999), key.ended(5.0)) == ("", "has expired")


def test_an_unknown_id_cannot_be_revoked(file: KeyFile) -> None:
    with pytest.raises(BadInput, match=r"no key has the id '0'"):
        file.revoke("0")


def _text(path: Path) -> None:
    path.write_text("this is a text and no database, long enough to be read as one")


def _later_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()


@pytest.mark.parametrize("spoil", [_text, _later_version])
def test_a_file_that_holds_no_keys_of_ours_is_named(file: KeyFile, spoil: Callable[[Path], None]) -> None:
    file.path.parent.mkdir()
    spoil(file.path)
    with pytest.raises(BadInput, match=r"keys\.sqlite is no file of keys"):
        file.read()


def test_a_file_that_cannot_be_read_lets_nobody_in(file: KeyFile, ring: Keyring) -> None:
    text, _ = file.create("x", SCOPES, Plan(), None)
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(Unavailable, match=r"keys\.sqlite"):
        ring.find(text.encode())


def test_the_file_of_keys_alone_signs_nothing(file: KeyFile, ring: Keyring) -> None:
    _, key = file.create("x", SCOPES, Plan(), None)
    secret = file.secret_access_key(key)
    assert len(bytes.fromhex(secret)) * 8 >= 128
    signing = file.path.with_name("signing-secret")
    assert (stat.S_IMODE(signing.stat().st_mode), len(signing.read_bytes())) == (0o600, 32)
    assert not {path.name for path in file.path.parent.iterdir()} - {"keys.sqlite", "signing-secret"}
    for content in (file.path.read_bytes(), signing.read_bytes()):
        assert secret.encode() not in content
        assert bytes.fromhex(secret) not in content
    found = ring.signer(module.access_key_id(key))
    assert found is not None
    assert (found[0], found[2]) == (key, secret)
    signing.unlink()
    assert ring.signer(module.access_key_id(key)) is None
    _, other = file.create("x", SCOPES, Plan(), None)
    assert file.secret_access_key(key) != secret
    assert file.secret_access_key(other) != file.secret_access_key(key)


def test_keys_sign_with_what_the_first_of_them_found(file: KeyFile) -> None:
    keys = [file.create("x", SCOPES, Plan(), None)[1] for _ in range(3)]
    before = [file.secret_access_key(key) for key in keys]
    file.create("y", SCOPES, Plan(), None)
    assert [file.secret_access_key(key) for key in keys] == before
    assert len(set(before)) == 3


def test_a_secret_that_was_cut_off_is_named_and_keys_go_on(file: KeyFile, ring: Keyring) -> None:
    text, key = file.create("x", SCOPES, Plan(), None)
    file.path.with_name("signing-secret").write_bytes(b"short")
    with pytest.raises(BadInput, match="signing-secret does not hold 32 bytes"):
        ring.signer(module.access_key_id(key))
    assert ring.find(text.encode()) is not None
