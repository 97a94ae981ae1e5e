"""Which operation a request is for: a tree of path segments, with API Gateway's stage before it or not."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pinterest_pipeline.gateway.error_codes import NOT_FOUND, UNKNOWN_ACTION, WRONG_METHOD, Fault
from pinterest_pipeline.gateway.operations import PUBLIC, Api, Operation
from pinterest_pipeline.gateway.responses import KINESIS_MEDIA, KINESIS_WIRE_MEDIA

_SHOWN: Final = 200  # characters of a path in an error


def unrouted(api: Api) -> Operation:
    """Stands for whatever no operation of a part of the API answers."""

    async def refuse(request: Request) -> Fault:
        allowed: Sequence[str] = request.scope["allowed"]
        kind = WRONG_METHOD if allowed else NOT_FOUND
        headers = (("allow", ", ".join(allowed)),) if allowed else ()
        return Fault(kind, f"{request.method} {request.url.path[:_SHOWN]}: {kind.when}", headers)

    return Operation(
        id=f"no_{api}",
        api=api,
        method="",
        path="",
        handler=refuse,
        says="No such route",
        access=PUBLIC,
        answers={},
        media=KINESIS_MEDIA,
    )


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    methods: dict[str, tuple[ASGIApp, list[str]]] = field(default_factory=dict)
    """For each method: the application, and the names of the parameters on the way here."""


class Router:
    """An application that hands each request to the application of its operation.

    A stage (`/dev`, `/test`, `/prod` and the like) is one lower-case segment before the first segment of an
    operation's path; it is taken off the path and left in the scope as `stage`. Starlette's router tries one
    route after the other, below two layers of its own (20 of the 150 µs of processor time of a produce,
    measured); here the number of operations does not matter.
    """

    def __init__(self, operations: Sequence[Operation], endpoint: Callable[[Operation], ASGIApp]) -> None:
        """`operations` are those with a path; the others stand for what has no route."""
        self._root = _Node()
        routed = [operation for operation in operations if not operation.target]
        for operation in routed:
            self._add(operation, endpoint(operation))
        self._targets = {one.target.encode(): endpoint(one) for one in operations if one.target}
        self._no_target = endpoint(_no_target([one.target for one in operations if one.target]))
        self._apis: dict[str, Api] = {operation.path.split("/")[1]: operation.api for operation in routed}
        apis: set[Api] = {"service", *self._apis.values()}
        self._unrouted = {api: endpoint(unrouted(api)) for api in sorted(apis)}
        names = "|".join(re.escape(name) for name in self._apis if name)
        self._stage = re.compile(rf"/(?!(?:{names})(?:/|$))[a-z0-9]+(?=/)")

    def _add(self, operation: Operation, app: ASGIApp) -> None:
        node, names = self._root, []
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        node.methods[operation.method] = (app, names)
        if operation.method == "GET":
            node.methods["HEAD"] = (app, names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path: str = scope["path"]
        stage = self._stage.match(path)
        if stage:
            path = path[stage.end() :]
            scope["stage"], scope["path"] = stage[0], path
        segments = path.split("/")
        values: list[str] = []
        if path == "/" and scope["method"] == "POST" and (target := _target(scope)) is not None:
            scope["path_params"] = {}
            await self._targets.get(target, self._no_target)(scope, receive, send)
            return
        node = _found(self._root, segments, 1, values) if not segments[0] else None
        app, names = node.methods.get(scope["method"], (None, [])) if node else (None, [])
        if app is None:
            scope["allowed"] = sorted(node.methods) if node else []
            app = self._unrouted[self._apis.get(segments[1] if len(segments) > 1 else "", "service")]
        scope["path_params"] = dict(zip(names, values, strict=False))
        await app(scope, receive, send)


def _target(scope: Scope) -> bytes | None:
    """The X-Amz-Target of a request."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value for name, value in headers if name == b"x-amz-target"), None)


def _no_target(known: Sequence[str]) -> Operation:
    """Stands for whatever X-Amz-Target names none of these operations."""
    names = ", ".join(sorted(target.rpartition(".")[2] for target in known))

    async def refuse(request: Request) -> Fault:
        target = request.headers["x-amz-target"][:_SHOWN]
        answered = f"what is: {names}" if names else "ask Kinesis, where this gateway's streams are"
        return Fault(UNKNOWN_ACTION, f"'{target}' is not answered here; {answered}")

    return Operation(
        id="no_kinesis_wire",
        api="kinesis_wire",
        method="POST",
        path="/",
        handler=refuse,
        says="No such operation",
        access=PUBLIC,
        answers={},
        media=KINESIS_WIRE_MEDIA,
    )


def _found(node: _Node, segments: list[str], place: int, values: list[str]) -> _Node | None:
    """The node of a path below this one; a segment's own name goes before a parameter."""
    if place == len(segments):
        return node if node.methods else None
    segment = segments[place]
    child = node.children.get(segment)
    found = _found(child, segments, place + 1, values) if child else None
    if found is None and node.parameter is not None and segment:
        values.append(segment)
        found = _found(node.parameter, segments, place + 1, values)
        if found is None:
            values.pop()
    return found


async def _lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to begin or to end: the logs belong to whoever made the application."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
