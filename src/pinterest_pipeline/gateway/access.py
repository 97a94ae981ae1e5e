"""Who may do what: the guard before every operation that is not public, and what a handler may ask of it.

A caller shows its key in the header `x-api-key`, as for API Gateway, or as `Authorization: Bearer`. What is
checked is the operation that was found for the request and the name as its handler will read it, never the
text of the path.
"""

import ipaddress
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway.audit import AuditLog
from pinterest_pipeline.gateway.error_codes import NOT_ALLOWED, UNAUTHENTICATED, UNKNOWN_KEY, Fault, Kind
from pinterest_pipeline.gateway.exchange import Guard
from pinterest_pipeline.gateway.keys import KeyFile, Keyring
from pinterest_pipeline.gateway.operations import Noun, Operation, Verb
from pinterest_pipeline.gateway.plans import Usage
from pinterest_pipeline.gateway.scopes import Grant

_FOLDER: Final = "gateway"
_CHALLENGE: Final = (("www-authenticate", 'Bearer realm="pinpipe"'),)
_KEY_HEADERS: Final = (b"x-api-key", b"authorization")
_HOW: Final = "send it as the header x-api-key, or as Authorization: Bearer"


def allows(request: Request, verb: Verb, noun: Noun, name: str) -> bool:
    """Whether the caller may do this."""
    grant: Grant | None = request.scope.get("grant")
    return grant is None or grant.allows(verb, noun, name)


def denied(request: Request, verb: Verb, noun: Noun, name: str) -> Fault | None:
    """What a handler asks for a name that is in the body and not in the path: why the caller may not do this.

    The event loop's thread must ask, as it writes the audit log.
    """
    if allows(request, verb, noun, name):
        return None
    fault = _refused(verb, noun, name)
    request.scope["refuse"](name, fault)
    return fault


def visible(request: Request, noun: Noun, names: Iterable[str]) -> list[str]:
    """Those of the names that the caller may describe."""
    return [name for name in names if allows(request, "describe", noun, name)]


def _refused(verb: Verb, noun: Noun, name: str | None) -> Fault:
    of = f"{noun} '{name[:100]}'" if name is not None else f"any {noun}"
    return Fault(NOT_ALLOWED, f"the key has no scope to {verb} {of}")


def key_file(data: Path) -> KeyFile:
    """The keys of a working folder."""
    return KeyFile(data / _FOLDER / "keys.sqlite")


def check(settings: GatewaySettings, address: str, data: Path) -> None:
    """Raises SettingError when a gateway on this address would ask a network for keys that nobody has."""
    if not _is_loopback(address) and lacks_key(settings, address, data):
        raise SettingError(
            f"the gateway would listen on {address}, which is not this machine alone, and there is no key",
            "make one: pinpipe keys create --name … --scope …; or say that anyone may send and read:"
            " PINPIPE_GATEWAY__ACCESS=open",
        )


def lacks_key(settings: GatewaySettings, address: str, data: Path) -> bool:
    """Whether a gateway on this address refuses everybody: it asks for keys, and nobody has one."""
    return _needs_keys(settings, address) and all(key.ended(time.time()) for key in key_file(data).read())


def guards(
    settings: GatewaySettings, address: str, data: Path, on_refusal: Callable[[Fault], None]
) -> tuple[Guard, ...]:
    """The guards of a gateway that listens on this address; none when it is open.

    `data` is the working folder: keys and what is used of their plans are in `gateway`, refused calls in
    `logs/audit.log`. `on_refusal` is told of each refused call.
    """
    if not _needs_keys(settings, address):
        return ()
    usage, audit = Usage(data / _FOLDER / "usage"), AuditLog(data / "logs" / "audit.log")
    return (Gate(Keyring(key_file(data)), usage, audit, on_refusal),)


def _needs_keys(settings: GatewaySettings, address: str) -> bool:
    if settings.access == "auto":
        return not _is_loopback(address)
    return settings.access == "keys"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


class Gate:
    """A guard that asks for a key; it leaves `caller` and `grant` in the scope of the request."""

    def __init__(
        self, keyring: Keyring, usage: Usage, audit: AuditLog, on_refusal: Callable[[Fault], None]
    ) -> None:
        self._keyring = keyring
        self._usage = usage
        self._audit = audit
        self._on_refusal = on_refusal

    def __call__(self, request: Request, operation: Operation) -> Fault | None:
        if operation.access is None:
            return None
        scope, access = request.scope, operation.access
        name = scope["path_params"][access.of] if access.of else None
        scope["refuse"] = refuse = partial(self._refuse, scope, operation)
        fault = self._identify(scope)
        if fault is None and not scope["grant"].allows(access.verb, access.noun, name):
            fault = _refused(access.verb, access.noun, name)
        if fault is None:
            fault = self._usage.take(scope["slot"], scope["plan"], time.time())
        if fault is not None:
            refuse(name, fault)
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

    def _refuse(self, scope: Scope, operation: Operation, name: str | None, fault: Fault) -> None:
        self._on_refusal(fault)
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
    found = [header for header in headers if header[0] in _KEY_HEADERS]
    if len({name for name, _ in found}) < len(found):
        return _unauthenticated(UNAUTHENTICATED, f"a header with a key was sent twice; {_HOW}")
    keys = {text for name, value in found if (text := _shown(name, value))}
    if len(keys) > 1:
        return _unauthenticated(UNAUTHENTICATED, f"two different API keys were sent; {_HOW}")
    return keys.pop() if keys else _unauthenticated(UNAUTHENTICATED, f"no API key was sent; {_HOW}")


def _shown(name: bytes, value: bytes) -> bytes:
    """The key that a header holds; none in an Authorization of another scheme."""
    if name == b"x-api-key":
        return value
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _unauthenticated(kind: Kind, message: str) -> Fault:
    return Fault(kind, message, _CHALLENGE)
