"""A store is opened by its URL, and a remote one takes no answer for more than it says."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError, UnauthenticatedError
from obstore.store import MemoryStore
from structlog.testing import capture_logs

from pinterest_pipeline.config import ObjectSettings
from pinterest_pipeline.errors import (
    DiskFull,
    Forbidden,
    NoSuchObject,
    PipelineError,
    SettingError,
    Unavailable,
)
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.objects.patience import Patience
from pinterest_pipeline.objects.refusals import refusal
from pinterest_pipeline.objects.remote import RemoteStore
from pinterest_pipeline.objects.store import open_store

KEYS = {"access_key_id": "AKID", "secret_access_key": "hunter2hunter2"}


def test_no_url_is_the_folder_of_the_working_folder(tmp_path: Path) -> None:
    store = open_store(ObjectSettings(), tmp_path / "objects")
    assert store.where("a/b") == str(tmp_path / "objects/a/b")


def test_a_file_url_is_the_folder_it_names(tmp_path: Path) -> None:
    store = open_store(ObjectSettings(url=f"file://{tmp_path}/a%20b"), tmp_path / "objects")
    assert isinstance(store, FolderStore)
    assert store.where("k") == str(tmp_path / "a b/k")


@pytest.mark.parametrize(
    "url", ["s3://bucket", "s3://bucket/some/prefix", "gs://bucket/prefix", "az://account/container/prefix"]
)
def test_a_cloud_url_is_opened_without_a_request(url: str, tmp_path: Path) -> None:
    store = open_store(ObjectSettings(url=url, **KEYS), tmp_path)
    assert isinstance(store, RemoteStore)
    assert store.where("a") == f"{url}/a"
    assert KEYS["secret_access_key"] not in f"{store!r} {vars(store)!r}"


def test_without_keys_awss_own_chain_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Forbidden, match=r"no AWS credentials were found.*AWS_PROFILE"):
        open_store(ObjectSettings(url="s3://bucket"), tmp_path)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[team]\naws_access_key_id = A\naws_secret_access_key = B\n")
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert open_store(ObjectSettings(url="s3://bucket"), tmp_path).where("a") == "s3://bucket/a"
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(Forbidden, match="other"):
        open_store(ObjectSettings(url="s3://bucket"), tmp_path)


def test_an_object_that_came_to_the_store_shortened_is_removed_and_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RemoteStore(MemoryStore(), "memory:/", retry_seconds=30)
    sizes = iter([2, 3])
    monkeypatch.setattr(store, "_head", lambda _: next(sizes))
    assert store.put_if_absent("a", b"abc")
    assert store.get("a") == b"abc"


def test_an_object_that_is_always_shortened_is_never_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RemoteStore(MemoryStore(), "memory:/", retry_seconds=0.3)
    monkeypatch.setattr(store, "_head", lambda _: 2)
    with pytest.raises(Unavailable, match="2 of 3 bytes; it is removed"):
        store.put_if_absent("a", b"abc")
    assert list(store.list("")) == []


def answer(status: int, code: str = "") -> Exception:
    return RuntimeError(
        f"Error performing PUT http://x/y in 1ms - Server returned non-2xx status code: {status} Some Words:"
        f" <Error><Code>{code}</Code></Error>"
    )


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (answer(404, "NoSuchKey"), NoSuchObject, "there is no object s3://b/a"),
        (FileNotFoundError("x"), NoSuchObject, "there is no object"),
        (answer(404, "NoSuchBucket"), SettingError, "create it, or correct PINPIPE_OBJECTS__URL"),
        (answer(301, "PermanentRedirect"), SettingError, "set PINPIPE_OBJECTS__REGION"),
        (answer(400, "AuthorizationHeaderMalformed"), SettingError, "set PINPIPE_OBJECTS__REGION"),
        (answer(400, "InvalidArgument"), SettingError, "InvalidArgument"),
        (answer(401), Forbidden, r"\(401\).*allow s3:PutObject"),
        (answer(403, "RequestTimeTooSkewed"), Forbidden, "clock is wrong"),
        (answer(403, "ExpiredToken"), Forbidden, "log in again"),
        (answer(400, "ExpiredToken"), Forbidden, "log in again"),
        (answer(400, "InvalidToken"), Forbidden, "log in again"),
        (answer(400, "RequestTimeout"), Unavailable, "RequestTimeout"),
        (answer(501, "NotImplemented"), SettingError, "honours If-None-Match"),
        (answer(429, "TooManyRequests"), Unavailable, "TooManyRequests"),
        (answer(500), Unavailable, "500"),
        (RuntimeError("connection reset"), Unavailable, "connection reset"),
        (
            RuntimeError("error sending http://169.254.169.254/latest"),
            Forbidden,
            "no credentials",
        ),
        (UnauthenticatedError("External AWS credential provider"), Forbidden, "no credentials"),
        (RuntimeError("Error performing PUT http://h/credentials.json: reset"), Unavailable, "reset"),
    ],
)
def test_a_refusal_says_what_to_do(error: Exception, kind: type[PipelineError], said: str) -> None:
    with pytest.raises(kind, match=said):
        raise refusal(error, "s3://b/a", "PutObject")


def test_a_full_disk_while_fetching_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RemoteStore(MemoryStore(), "memory:/", retry_seconds=0)
    store.put_if_absent("a", b"abc")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DiskFull, match="no room left for memory:/a"):
        store.fetch(["a"], tmp_path)


class Failing:
    """Fails so often before it gives what it has."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise Unavailable("the store of s3://b/a does not answer")
        return "found"


def test_a_store_that_is_away_is_named_at_once_and_only_once() -> None:
    patience = Patience("http://10.0.0.1:8333", seconds=30)
    with capture_logs() as said:
        assert patience.repeated(Failing(2)) == "found"
        assert patience.repeated(Failing(0)) == "found"
    away, back = said
    assert (away["log_level"], away["store"], away["up_to_seconds"]) == (
        "warning",
        "http://10.0.0.1:8333",
        30,
    )
    assert (back["event"], back["store"]) == ("the store answers again", "http://10.0.0.1:8333")


def test_a_store_that_stays_away_is_given_up() -> None:
    with capture_logs() as said, pytest.raises(Unavailable):
        Patience("x", seconds=0.3).repeated(Failing(100))
    assert len(said) == 1


def test_a_listing_that_breaks_off_shows_each_object_once(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryStore()
    store = RemoteStore(memory, "memory:/", retry_seconds=30)
    keys = [f"t/{number}" for number in range(4)]
    for key in keys:
        store.put_if_absent(key, b"")
    metas = next(iter(obstore.list(memory)))
    breaks = iter([True, False])

    def listing(*_: Any, **__: Any) -> Iterator[Sequence[Any]]:
        yield metas[:2]
        if next(breaks):
            raise GenericError("connection reset")
        yield metas[2:]

    monkeypatch.setattr(obstore, "list", listing)
    assert sorted(found.key for found in store.list("t")) == keys
