"""What the clients of one process may take of it together, and how long each may keep it waiting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.gateway.error_codes import OVERLOADED, Fault

LINGER_SECONDS: Final = 2.0
FULL: Final = Fault(OVERLOADED, "the gateway holds as many bytes of requests as it takes; try again")

RefusalObserver = Callable[[Fault, str], None]
"""Told each request that was refused before its operation was known, and the address of its client."""


class Budget:
    """Bytes that all requests under way hold together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold so many bytes more, if they fit; fewer always do."""
        if size > 0 and self.held + size > self._most:
            return False
        self.held += size
        return True


class Hold:
    """What one request holds of the budget, until it holds nothing."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def resize(self, size: int) -> bool:
        """Hold so many bytes in all, if they fit."""
        if not self._budget.take(size - self.size):
            return False
        self.size = size
        return True


class Phase(Enum):
    """What a connection waits for."""

    HEAD = "the head of a request"
    BODY = "the body of a request"
    ANSWER = "our answer"
    NEXT = "another request"
    END = "the client to close"


@dataclass(frozen=True, slots=True)
class Limits:
    """What all connections of a process share."""

    settings: GatewaySettings
    budget: Budget
    seconds: Mapping[Phase, float]
    on_refusal: RefusalObserver


def limits(settings: GatewaySettings, on_refusal: RefusalObserver) -> Limits:
    seconds = {
        Phase.HEAD: settings.header_seconds,
        Phase.BODY: settings.body_seconds,
        Phase.ANSWER: float("inf"),
        Phase.NEXT: settings.keep_alive_seconds,
        Phase.END: LINGER_SECONDS,
    }
    return Limits(settings, Budget(settings.max_bytes_in_flight), seconds, on_refusal)
