"""The OpenAPI 3.1 document of any list of operations (pure).

Paths, parameters, bodies, answers and errors are read off the operations and off the types they name, so
that the document cannot say anything else than the gateway does.
Rules: https://spec.openapis.org/oas/v3.1.1
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from pinterest_pipeline.gateway.error_codes import (
    EVERYWHERE,
    MEDIA_TYPE,
    NOT_FOUND,
    OF_ACCESS,
    QUOTA_EXCEEDED,
    RATE_EXCEEDED,
    RETRIABLE,
    UNAUTHENTICATED,
    Kind,
    kafka_v3_code,
    kinesis_status,
)
from pinterest_pipeline.gateway.operations import (
    IDEMPOTENCY_KEY,
    PATH_NUMBERS,
    Access,
    Api,
    Operation,
    Parameter,
)
from pinterest_pipeline.gateway.responses import (
    JSON_MEDIA,
    KAFKA_MEDIA,
    KINESIS_MEDIA,
    KINESIS_WIRE_MEDIA,
    KafkaError,
    KinesisError,
)

Json = dict[str, Any]

TAGS: Final[dict[Api, str]] = {
    "kafka_v2": "Kafka: REST proxy v2",
    "kafka_v3": "Kafka: REST v3",
    "kinesis": "Kinesis",
    "kinesis_wire": "Kinesis: the API of AWS",
    "service": "The gateway itself",
}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_REFERENCE: Final = "#/components/schemas/{name}"
_KEYS: Final[Json] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key of the gateway"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token"},
}


_LATER: Final = (RATE_EXCEEDED, QUOTA_EXCEEDED)  # whose faults say themselves when
_ECHOED: Final[Json] = {
    "Idempotency-Key": {"description": "The key of the request, which was kept", "schema": {"type": "string"}}
}
_NAME: Final[Json] = {"type": "string", "minLength": 1}
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_PATH_SCHEMAS: Final[Mapping[str, Json]] = dict.fromkeys(PATH_NUMBERS, _NUMBER) | {
    "topic": _NAME | {"pattern": "^[a-zA-Z0-9._-]{1,249}$"},
    "topic_name": _NAME | {"pattern": "^[a-zA-Z0-9._-]{1,249}$"},
    "stream": _NAME | {"pattern": "^[a-zA-Z0-9._-]{1,128}$"},
}


def document(operations: Sequence[Operation], version: str, *, secured: bool = False) -> Json:
    """The document of these operations; `secured` when no request without a key is answered."""
    writer = _Writer(operations, secured)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = writer.operation(operation)
    used = {operation.api for operation in operations}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Pinterest data pipeline: the gateway",
            "version": version,
            "description": "Records go in over HTTP; success is answered only once they are durable. "
            "Every path may stand behind one more lower-case segment, a stage: `/dev/topics`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for api, name in TAGS.items() if api in used],
        "paths": paths,
        "components": {"schemas": writer.components, "securitySchemes": _KEYS},
    }


class _Writer:
    """Writes operations, with the schemas of all types that any of them names."""

    def __init__(self, operations: Sequence[Operation], secured: bool) -> None:
        types = [KafkaError, KinesisError, *(type_ for one in operations for type_ in _types(one))]
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self._schemas = {id(type_): schema for type_, schema in zip(types, schemas, strict=True)}
        self._secured = secured

    def operation(self, operation: Operation) -> Json:
        written: Json = {
            "operationId": operation.id,
            "summary": operation.says,
            "tags": [TAGS[operation.api]],
            "parameters": [*_path_parameters(operation.path), *map(self._parameter, operation.parameters)],
            "responses": dict(sorted((self._answers(operation) | self._faults(operation)).items())),
            "security": self._security(operation.access),
        }
        if operation.access is not None:
            written["description"] = _needs(operation.access)
            written["x-access"] = {"verb": operation.access.verb, "noun": operation.access.noun}
        if operation.body is not None:
            written["requestBody"] = {
                "required": operation.body.required,
                "content": self._content(operation.body.media, operation.body.type, operation.body.types),
            }
        return written

    def _security(self, access: Access | None) -> list[Json]:
        if access is None:
            return []
        return [*([] if self._secured else [{}]), *({name: []} for name in _KEYS)]

    def _parameter(self, parameter: Parameter) -> Json:
        return {
            "name": parameter.name,
            "in": parameter.place,
            "required": parameter.required,
            "description": parameter.says,
            "schema": self._schemas[id(parameter.type)],
        }

    def _answers(self, operation: Operation) -> Json:
        answers: Json = {}
        for status, type_ in operation.answers.items():
            answers[str(status)] = {"description": HTTPStatus(status).phrase}
            if type_ is not None:
                media = (operation.media, *operation.other_media)
                answers[str(status)]["content"] = self._content(media, type_, {})
            if IDEMPOTENCY_KEY in operation.parameters:
                answers[str(status)]["headers"] = _ECHOED
        return answers

    def _content(self, media: Sequence[str], type_: Any, types: Mapping[str, Any]) -> Json:
        """What may come in each media type: `type_`, unless `types` names another one."""
        return {name: {"schema": self._schemas[id(types.get(name, type_))]} for name in media}

    def _faults(self, operation: Operation) -> Json:
        by_status: dict[int, list[Kind]] = {}
        for kind in _kinds(operation):
            by_status.setdefault(_status(operation.api, kind), []).append(kind)
        media = (FAULT_MEDIA[operation.api], *operation.other_media)
        return {str(status): _fault(operation.api, media, kinds) for status, kinds in by_status.items()}


def _types(operation: Operation) -> Iterator[Any]:
    if operation.body is not None:
        yield operation.body.type
        yield from operation.body.types.values()
    yield from (parameter.type for parameter in operation.parameters)
    yield from (type_ for type_ in operation.answers.values() if type_ is not None)


def _path_parameters(path: str) -> Iterator[Json]:
    for name in _PLACEHOLDER.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _NAME)}


def _needs(access: Access) -> str:
    what = f"the {access.noun} that `{access.of}` names" if access.of else f"any {access.noun}"
    return f"Needs leave to {access.verb} {what}."


def _kinds(operation: Operation) -> list[Kind]:
    """What may go wrong, each kind once; a parameter of a path may hold what fits no route."""
    unrouted = (NOT_FOUND,) if "{" in operation.path else ()
    guarded = OF_ACCESS if operation.access is not None else ()
    encoded = (MEDIA_TYPE,) if operation.body is not None else ()
    return list(dict.fromkeys((*operation.faults, *encoded, *guarded, *unrouted, *EVERYWHERE)))


def _status(api: Api, kind: Kind) -> int:
    return kinesis_status(kind) if api == "kinesis" else kind.status


def _fault(api: Api, media: Sequence[str], kinds: Sequence[Kind]) -> Json:
    codes = list(dict.fromkeys(_code(api, kind) for kind in kinds))
    field, type_ = ("__type", KinesisError) if api == "kinesis" else ("error_code", KafkaError)
    schema = {"$ref": _REFERENCE.format(name=type_.__name__), "properties": {field: {"enum": codes}}}
    fault: Json = {
        "description": "; ".join(f"{_code(api, kind)}: {kind.when}" for kind in kinds),
        "content": {name: {"schema": schema} for name in media},
    }
    headers = _headers(kinds)
    return fault | ({"headers": headers} if headers else {})


def _headers(kinds: Sequence[Kind]) -> Json:
    """The headers that come with errors of one status."""
    headers: Json = {}
    later = [kind for kind in kinds if kind in (*RETRIABLE, *_LATER)]
    if later:
        headers["Retry-After"] = {
            "description": "Seconds after which to try again",
            "required": len(later) == len(kinds),
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
        }
    if UNAUTHENTICATED in kinds:
        headers["WWW-Authenticate"] = {
            "description": "How to show a key",
            "required": True,
            "schema": {"type": "string"},
        }
    return headers


def _code(api: Api, kind: Kind) -> int | str:
    if api == "kinesis":
        return kind.kinesis
    return kind.kafka if api == "kafka_v2" else kafka_v3_code(kind)


FAULT_MEDIA: Final[Mapping[Api, str]] = {
    "kafka_v2": KAFKA_MEDIA,
    "kafka_v3": JSON_MEDIA,
    "kinesis": KINESIS_MEDIA,
    "kinesis_wire": KINESIS_WIRE_MEDIA,
    "service": JSON_MEDIA,
}
