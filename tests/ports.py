"""Ports for servers that cannot tell which one the system gave them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pinterest_pipeline.ports import keep, let_listen


@contextmanager
def kept_ports(count: int) -> Iterator[list[int]]:
    """Ports of loopback for servers that start in the block; the system gives them to nobody else."""
    with ExitStack() as kept:
        ports = [keep(kept) for _ in range(count)]
        let_listen(kept)
        yield ports
