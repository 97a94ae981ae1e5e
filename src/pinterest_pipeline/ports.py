"""Ports of loopback for servers of one's own, which are told theirs and listen there some seconds later."""

import socket
import sys
from contextlib import ExitStack, closing
from typing import Final

HOST: Final = "127.0.0.1"


def keep(kept: ExitStack, port: int = 0) -> int:
    """A port, this one or any, that the system gives to nobody else until `kept` is closed.

    A server that sets SO_REUSEADDR, as those in Java and in Go do, may listen there all the same, as long as
    nobody does: see `let_listen`. Raises OSError when the port is taken.
    """
    held = kept.enter_context(closing(socket.socket()))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, port))
    return int(held.getsockname()[1])


def let_listen(kept: ExitStack) -> None:
    """Let servers listen at the ports that are kept, which only Linux does without their being given free."""
    if sys.platform != "linux":
        kept.close()
