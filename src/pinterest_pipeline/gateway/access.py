"""Who may do what: the guard before every operation that is not public, and what a handler may ask of it.

A caller shows its key in the header `x-api-key`, as for API Gateway, or as `Authorization: Bearer`; or it
signs its requests to Kinesis' own API, as the clients of AWS do. What is checked is the operation that was
found for the request and the name as its handler will read it, never the text of the path.
"""

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway import sigv4
from pinterest_pipeline.gateway.audit import AuditLog
from pinterest_pipeline.gateway.error_codes import (
    INCOMPLETE_SIGNATURE,
    NOT_ALLOWED,
    UNAUTHENTICATED,
    UNKNOWN_KEY,
    Fault,
    Kind,
)
from pinterest_pipeline.gateway.exchange import Guard, read_body
from pinterest_pipeline.gateway.keys import Key, KeyFile, Keyring
from pinterest_pipeline.gateway.operations import Noun, Operation, Verb
from pinterest_pipeline.gateway.plans import Usage
from pinterest_pipeline.gateway.scopes import Grant

_FOLDER: Final = "gateway"
_CHALLENGE: Final = (("www-authenticate", 'Bearer realm="pinpipe"'),)
_KEY_HEADERS: Final = (b"x-api-key", b"authorization")
_HOW: Final = "send it as the header x-api-key, or as Authorization: Bearer"
_HOW_ELSE: Final = (
    "sign the request with the access key of one (pinpipe keys create), or send it as x-api-key"
)


def allows(request: Request, verb: Verb, noun: Noun, name: str) -> bool:
    """Whether the caller may do this."""
    grant: Grant | None = request.scope.get("grant")
    return grant is None or grant.allows(verb, noun, name)


def denied(request: Request, verb: Verb, noun: Noun, name: str) -> Fault | None:
    """Why the caller may not do this: what a handler asks for a name that is in the body, not in the path."""
    if allows(request, verb, noun, name):
        return None
    request.scope["resource"] = name
    return _refused(verb, noun, name)


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
    return (Gate(Keyring(key_file(data)), usage, audit, on_refusal, settings.max_body_bytes),)


def _needs_keys(settings: GatewaySettings, address: str) -> bool:
    if settings.access == "auto":
        return not _is_loopback(address)
    return settings.access == "keys"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


class Gate:
    """A guard that asks for a key.

    It leaves `caller` and `grant` in the scope of the request, the `resource` that it is about, and `refuse`,
    which takes down that the call was refused, by this guard or by the handler.
    """

    def __init__(
        self,
        keyring: Keyring,
        usage: Usage,
        audit: AuditLog,
        on_refusal: Callable[[Fault], None],
        max_body_bytes: int,
    ) -> None:
        self._keyring = keyring
        self._usage = usage
        self._audit = audit
        self._on_refusal = on_refusal
        self._max_body_bytes = max_body_bytes

    async def __call__(self, request: Request, operation: Operation) -> Fault | None:
        if operation.access is None:
            return None
        scope, access = request.scope, operation.access
        scope["resource"] = name = scope["path_params"][access.of] if access.of else None
        scope["refuse"] = partial(self._refuse, scope, operation)
        if operation.target and _is_signed(scope["headers"]):
            fault = await self._identify_signer(request)
        else:
            fault = self._identify(scope, operation)
        if fault is None and not scope["grant"].allows(access.verb, access.noun, name):
            fault = _refused(access.verb, access.noun, name)
        return fault or self._usage.take(scope["slot"], scope["caller"], scope["plan"], time.time())

    def _identify(self, scope: Scope, operation: Operation) -> Fault | None:
        text = _key_text(scope["headers"], _HOW_ELSE if operation.target else _HOW)
        if isinstance(text, Fault):
            return text
        found = self._keyring.find(text)
        if found is None:
            return _unauthenticated(UNKNOWN_KEY, "the API key is not known")
        return _admit(scope, *found)

    async def _identify_signer(self, request: Request) -> Fault | None:
        """As `_identify`; nothing is said of a key, or taken from its plan, before its signature is good."""
        scope = request.scope
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if sum(name == b"authorization" for name, _ in headers) > 1:
            return Fault(INCOMPLETE_SIGNATURE, "there is more than one Authorization")
        signed = sigv4.signed(headers, time.time())
        if isinstance(signed, Fault):
            return signed
        found = self._keyring.signer(signed.access_key_id)
        if found is None:
            return _unauthenticated(UNKNOWN_KEY, "The security token included in the request is invalid.")
        key, grant, secret = found
        body = await read_body(request, self._max_body_bytes)
        if isinstance(body, Fault):
            return body
        path, query = scope["raw_path"], scope["query_string"]
        fault = sigv4.mismatch(signed, secret, request.method, path, query, headers, body)
        return fault or _admit(scope, key, grant)

    def _refuse(self, scope: Scope, operation: Operation, fault: Fault) -> None:
        self._on_refusal(fault)
        client = scope.get("client")
        self._audit.note(
            status=fault.kind.status,
            reason=fault.message,
            caller=scope.get("caller", ""),
            operation=operation.id,
            resource=(scope["resource"] or "")[:255],
            remote=f"{client[0]}:{client[1]}" if client else "",
        )


def _admit(scope: Scope, key: Key, grant: Grant) -> Fault | None:
    """Note whose request it is; why the key is not good any more."""
    scope["caller"], scope["grant"], scope["slot"], scope["plan"] = key.id, grant, key.slot, key.plan
    ended = key.ended(time.time())
    return _unauthenticated(UNKNOWN_KEY, f"the API key {ended}") if ended else None


def _is_signed(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the signature is what the caller shows; beside a key in `x-api-key` it means nothing."""
    return sigv4.is_signed(headers) and not any(name == b"x-api-key" and value for name, value in headers)


def _key_text(headers: Iterable[tuple[bytes, bytes]], how: str) -> bytes | Fault:
    """The one key that the headers hold."""
    found = [header for header in headers if header[0] in _KEY_HEADERS]
    if len({name for name, _ in found}) < len(found):
        return _unauthenticated(UNAUTHENTICATED, f"a header with a key was sent twice; {how}")
    keys = {text for name, value in found if (text := _shown(name, value))}
    if len(keys) > 1:
        return _unauthenticated(UNAUTHENTICATED, f"two different API keys were sent; {how}")
    return keys.pop() if keys else _unauthenticated(UNAUTHENTICATED, f"no API key was sent; {how}")


def _shown(name: bytes, value: bytes) -> bytes:
    """The key that a header holds; none in an Authorization of another scheme."""
    if name == b"x-api-key":
        return value
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _unauthenticated(kind: Kind, message: str) -> Fault:
    return Fault(kind, message, _CHALLENGE)
