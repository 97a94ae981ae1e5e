"""A port that is kept for a server is nobody else's, and the server may listen there."""

import socket
import sys
from contextlib import ExitStack

import pytest

from pinterest_pipeline.ports import HOST, keep, let_listen


def test_a_kept_port_is_taken_for_all_others_and_free_afterwards() -> None:
    with socket.socket() as other:
        with ExitStack() as kept:
            port = keep(kept)
            with pytest.raises(OSError, match="in use"):
                other.bind((HOST, port))
        other.bind((HOST, port))


def test_a_server_may_listen_at_a_port_that_is_kept() -> None:
    with ExitStack() as kept:
        ports = [keep(kept) for _ in range(3)]
        let_listen(kept)
        for port in ports:
            with (
                socket.create_server((HOST, port)),
                socket.create_connection((HOST, port), timeout=30) as client,
            ):
                assert client.getpeername() == (HOST, port)


def test_a_port_where_somebody_listens_cannot_be_kept() -> None:
    with (
        socket.create_server((HOST, 0)) as other,
        ExitStack() as kept,
        pytest.raises(OSError, match="in use"),
    ):
        keep(kept, other.getsockname()[1])


def test_where_a_kept_port_lets_nobody_listen_it_is_given_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with ExitStack() as kept, socket.socket() as other:
        port = keep(kept)
        let_listen(kept)
        other.bind((HOST, port))
