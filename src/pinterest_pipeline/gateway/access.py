"""Who may do what: the guard before every operation that is not public, and what a handler may ask of it.

A caller shows its key in the header `x-api-key`, as for API Gateway, or as `Authorization: Bearer`. What is
checked is the operation that was found for the request and the name as its handler will read it, never the
text of the path.
"""

import ipaddress
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway.audit import AuditLog
from pinterest_pipeline.gateway.error_codes import NOT_ALLOWED, UNAUTHENTICATED, UNKNOWN_KEY, Fault, Kind
from pinterest_pipeline.gateway.exchange import Guard
from pinterest_pipeline.gateway.keys import Keyring, KeyFile
from pinterest_pipeline.gateway.operations import Noun, Operation, Verb
from pinterest_pipeline.gateway.plans import Usage
from pinterest_pipeline.gateway.scopes import Grant

_CHALLENGE: Final = (("www-authenticate", 'Bearer realm="pinpipe"'),)
_HOW: Final = "send it as the header x-api-key, or as Authorization: Bearer"


def allows(request: Request, verb: Verb, noun: Noun, name: str) -> bool:
    """Whether the caller may do this; a handler asks it for names that it does not find in the path."""
    grant: Grant | None = request.scope.get("grant")
    return grant is None or grant.allows(verb, noun, name)


def visible(request: Request, noun: Noun, names: Iterable[str]) -> list[str]:
    """Those of the names that the caller may describe."""
    return [name for name in names if allows(request, "describe", noun, name)]


def refused(verb: Verb, noun: Noun, name: str | None) -> Fault:
    """The fault for what the caller's key does not allow."""
    of = f"{noun} '{name[:100]}'" if name is not None else f"any {noun}"
    return Fault(NOT_ALLOWED, f"the key has no scope to {verb} {of}")


def guards(settings: GatewaySettings, address: str, folder: Path, audit: Path) -> tuple[Guard, ...]:
    """The guards of a gateway that listens on this address; none when it is open.

    `folder` holds the keys and what is used of their plans, `audit` is the file of refused calls. Raises
    SettingError when it would listen to a network though there is no key.
    """
    if not _needs_keys(settings, address):
        return ()
    file = KeyFile(folder / "keys.sqlite")
    if not _is_loopback(address) and not any(not key.ended(time.time()) for key in file.keys()):
        raise SettingError(
            f"the gateway would listen on {address}, which is not this machine alone, and there is no key",
            "make one: pinpipe keys create --name … --scope …; or say that anyone may send and read:"
            " PINPIPE_GATEWAY__ACCESS=open",
        )
    return (Gate(Keyring(file), Usage(folder / "usage"), AuditLog(audit)),)


def _needs_keys(settings: GatewaySettings, address: str) -> bool:
    if settings.access == "auto":
        return not _is_loopback(address)
    return settings.access == "keys"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


class Gate:
    """A guard that asks for a key; it leaves `caller` and `grant` in the scope of the request."""

    def __init__(self, keyring: Keyring, usage: Usage, audit: AuditLog) -> None:
        self._keyring = keyring
        self._usage = usage
        self._audit = audit

    def __call__(self, request: Request, operation: Operation) -> Fault | None:
        if operation.access is None:
            return None
        scope, access = request.scope, operation.access
        name = scope["path_params"][access.of] if access.of else None
        fault = self._identify(scope)
        if fault is None and not scope["grant"].allows(access.verb, access.noun, name):
            fault = refused(access.verb, access.noun, name)
        if fault is None:
            fault = self._usage.take(scope["slot"], scope["plan"], time.time())
        if fault is not None:
            self._note(scope, operation, name, fault)
        return fault

    def _identify(self, scope: Scope) -> Fault | None:
        text = _key_text(scope["headers"])
        if isinstance(text, Fault):
            return text
        found = self._keyring.find(text)
        if found is None:
            return _unauthenticated(UNKNOWN_KEY, "the API key is not known")
        key, grant = found
        scope["caller"], scope["grant"], scope["slot"], scope["plan"] = key.id, grant, key.slot, key.plan
        ended = key.ended(time.time())
        return _unauthenticated(UNKNOWN_KEY, f"the API key {ended}") if ended else None

    def _note(self, scope: Scope, operation: Operation, name: str | None, fault: Fault) -> None:
        client = scope.get("client")
        self._audit.note(
            status=fault.kind.status,
            reason=fault.message,
            caller=scope.get("caller", ""),
            operation=operation.id,
            resource=(name or "")[:255],
            remote=f"{client[0]}:{client[1]}" if client else "",
        )


def _key_text(headers: Iterable[tuple[bytes, bytes]]) -> bytes | Fault:
    """The one key that the headers hold."""
    keys, authorizations = [], []
    for name, value in headers:
        if name == b"x-api-key":
            keys.append(value)
        elif name == b"authorization":
            authorizations.append(value)
    if len(keys) > 1 or len(authorizations) > 1:
        return _unauthenticated(UNAUTHENTICATED, f"more than one API key was sent; {_HOW}")
    for authorization in authorizations:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            keys.append(token.strip())
    if not keys:
        return _unauthenticated(UNAUTHENTICATED, f"no API key was sent; {_HOW}")
    if keys[0] != keys[-1]:
        return _unauthenticated(UNAUTHENTICATED, f"two different API keys were sent; {_HOW}")
    return keys[0]


def _unauthenticated(kind: Kind, message: str) -> Fault:
    return Fault(kind, message, _CHALLENGE)
