"""The server's address is chosen once and kept to its owner."""

import socket
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from pinterest_pipeline.config import ObjectSettings
from pinterest_pipeline.errors import BadInput, MissingPart
from pinterest_pipeline.s3server import address
from pinterest_pipeline.s3server.address import PARTS, Address, object_settings, read, write
from pinterest_pipeline.s3server.server import S3Server


def chosen(folder: Path) -> Address:
    """What a server would choose now that did not begin to listen."""
    with ExitStack() as kept:
        return address.chosen(folder, kept)


def test_ports_are_different_and_keys_are_new_for_each_folder(tmp_path: Path) -> None:
    first, second = chosen(tmp_path), chosen(tmp_path)
    assert len(set(first.ports)) == 2 * len(PARTS)
    assert first.secret_access_key != second.secret_access_key
    assert first.access_key_id != second.access_key_id


@pytest.mark.parametrize("content", [b"", b'{"ports":[1', b'{"ports":"x"}', b"[]"])
def test_a_damaged_address_is_named_with_its_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "server.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"server\.json does not say.*remove the file"):
        object_settings(tmp_path, ObjectSettings())
    (tmp_path / "server.json").unlink()
    assert chosen(tmp_path).ports


def test_an_address_that_was_written_is_chosen_again_while_its_ports_are_free(tmp_path: Path) -> None:
    first = chosen(tmp_path)
    write(tmp_path, first)
    assert stat.S_IMODE((tmp_path / "server.json").stat().st_mode) == 0o600
    assert chosen(tmp_path) == read(tmp_path) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.ports[3]))
        other.listen()
        moved = chosen(tmp_path)
    assert first.ports[3] not in moved.ports
    assert (moved.access_key_id, moved.secret_access_key) == (
        first.access_key_id,
        first.secret_access_key,
    )


def test_the_ports_are_nobody_elses_before_the_server_listens(tmp_path: Path) -> None:
    with ExitStack() as kept, socket.socket() as other:
        found = address.chosen(tmp_path, kept)
        for port in found.ports:
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
        write(tmp_path, found)
        assert not set(chosen(tmp_path / "other").ports) & set(found.ports)


def test_the_settings_reach_the_server_and_keep_the_rest(tmp_path: Path) -> None:
    first = chosen(tmp_path)
    write(tmp_path, first)
    found = object_settings(tmp_path, ObjectSettings(url="pinpipe:s3", retry_seconds=3))
    assert (found.url, found.endpoint, found.retry_seconds) == ("s3://pinpipe", first.endpoint, 3)
    assert first.secret_access_key not in repr(found)


def test_a_server_that_is_not_installed_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match=r"make extras.*\[s3-server\]"):
        S3Server(tmp_path)
