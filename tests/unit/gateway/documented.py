"""Whether an answer is one that the gateway's own OpenAPI document announces."""

import re
from typing import Any

import httpx
import jsonschema_rs

Json = dict[str, Any]


def check(document: Json, method: str, path: str, answer: httpx.Response) -> None:
    """Asserts that status, media type, headers and body are documented; a path without a route is 404."""
    methods = _methods(document["paths"], path)
    if method == "OPTIONS" and answer.status_code != 405:
        return  # a browser's preflight is no operation
    if methods is None:
        assert answer.status_code == 404, (path, answer.status_code)
        return
    if answer.status_code == 405:
        assert {known.upper() for known in methods} <= set(answer.headers["allow"].split(", "))
        return
    operation = methods["get" if method == "HEAD" else method.lower()]
    documented = operation["responses"].get(str(answer.status_code))
    assert documented is not None, f"{method} {path} answers {answer.status_code}, which is not documented"
    for name, header in documented.get("headers", {}).items():
        assert not header.get("required") or name in answer.headers
    if method != "HEAD":
        _check_body(document, documented, answer)


def _methods(paths: Json, path: str) -> Json | None:
    """What is at a path, with or without a stage before it; its own name goes before a parameter."""
    stages = f"^/(?!(?:{'|'.join({known.split('/')[1] for known in paths} - {''})})/)[a-z0-9]+(?=/)"
    for candidate in (path, re.sub(stages, "", path)):
        for template in sorted(paths, key=lambda template: template.count("{")):
            if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), candidate):
                methods: Json = paths[template]
                return methods
    return None


def _check_body(document: Json, documented: Json, answer: httpx.Response) -> None:
    content = documented.get("content")
    if content is None:
        assert answer.content == b""
        assert "content-type" not in answer.headers
        return
    media = answer.headers["content-type"]
    assert media in content
    described = content[media]
    if not media.partition(";")[0].endswith("json"):
        return
    schemas = [described["schema"]]
    lines = [answer.content]
    if answer.status_code == 200 and answer.content.endswith(b"\n"):  # a stream of receipts
        lines = answer.content.splitlines()
        schemas.append({"$ref": "#/components/schemas/KafkaError"})
    schema = {"anyOf": schemas, "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    for line in lines:
        validator.validate(httpx.Response(200, content=line).json())
