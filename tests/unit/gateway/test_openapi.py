import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from pinterest_pipeline.gateway import openapi, openapi_page
from pinterest_pipeline.gateway.error_codes import NOT_FOUND, UNAVAILABLE, UNKNOWN_TOPIC
from pinterest_pipeline.gateway.operations import PUBLIC, Access, Api, Body, Operation, Parameter
from pinterest_pipeline.gateway.responses import Answer
from tests.unit.gateway import documented


@pytest.fixture
def document(client: Any) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def operation(api: Api, **options: Any) -> Operation:
    async def handler(_: Any) -> Answer:
        raise AssertionError

    given: dict[str, Any] = {
        "id": "one",
        "method": "GET",
        "path": "/one/{topic}",
        "handler": handler,
        "says": "One",
        "access": PUBLIC,
        "answers": {200: dict[str, str]},
        "media": "application/json",
    }
    return Operation(api=api, **(given | options))


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_operation_has_an_id_of_its_own_a_summary_and_every_parameter_of_its_path(
    document: dict[str, Any],
) -> None:
    ids = [one["operationId"] for one in operations(document)]
    assert len(ids) == len(set(ids)) > 30
    assert all(one["summary"] and one["tags"] for one in operations(document))
    for path, methods in document["paths"].items():
        for one in methods.values():
            named = [parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"]
            assert named == re.findall(r"\{(\w+)\}", path)


def test_the_document_describes_itself_and_the_page(document: dict[str, Any]) -> None:
    assert {"/openapi.json", "/docs"} <= document["paths"].keys()


def test_every_error_says_its_codes_and_what_may_pass_says_when(document: dict[str, Any]) -> None:
    for one in operations(document):
        for status, answer in one["responses"].items():
            if int(status) < 400:
                continue
            content = next(iter(answer["content"].values()))
            (codes,) = (field["enum"] for field in content["schema"]["properties"].values())
            assert all(str(code) in answer["description"] for code in codes)
            assert ("Retry-After" in answer.get("headers", {})) == (status in ("429", "503"))


@pytest.mark.parametrize(
    ("api", "field", "code", "status", "media"),
    [
        ("kafka_v2", "error_code", 40401, "404", "application/vnd.kafka.v2+json"),
        ("kafka_v3", "error_code", 40403, "404", "application/json"),
        ("kinesis", "__type", "ResourceNotFoundException", "400", "application/json"),
    ],
)
def test_an_error_is_described_as_its_part_writes_it(
    api: Api, field: str, code: int | str, status: str, media: str
) -> None:
    described = openapi.document([operation(api, faults=(UNKNOWN_TOPIC,))], "1")
    answers = described["paths"]["/one/{topic}"]["get"]["responses"]
    assert code in answers[status]["content"][media]["schema"]["properties"][field]["enum"]
    assert str(NOT_FOUND.status) in answers
    assert str(UNAVAILABLE.status) in answers


def test_what_a_caller_needs() -> None:
    listed = [operation("kafka_v2", access=Access("read", "topic", "topic"))]
    described = openapi.document(listed, "1")["paths"]["/one/{topic}"]["get"]
    assert described["security"] == [{}, {"key": []}, {"bearer": []}]
    assert described["x-access"] == {"verb": "read", "noun": "topic"}
    assert "`topic`" in described["description"]
    secured = openapi.document(listed, "1", secured=True)["paths"]["/one/{topic}"]["get"]
    assert secured["security"] == [{"key": []}, {"bearer": []}]
    public = openapi.document([operation("kafka_v2")], "1", secured=True)["paths"]["/one/{topic}"]["get"]
    assert public["security"] == []


def test_bodies_and_parameters_have_their_types() -> None:
    one = operation(
        "kafka_v2",
        body=Body(dict[str, int], ("a/b", "c/d"), required=False),
        parameters=(Parameter("X-Count", "header", int, "How many", required=True),),
        answers={204: None},
    )
    described = openapi.document([one], "1")["paths"]["/one/{topic}"]["get"]
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    content = {"a/b": {"schema": schema}, "c/d": {"schema": schema}}
    assert described["requestBody"] == {"required": False, "content": content}
    assert described["parameters"][1]["schema"] == {"type": "integer"}
    assert described["parameters"][1]["required"]
    assert described["responses"]["204"] == {"description": "No Content"}


@pytest.mark.parametrize(
    ("status", "content", "media"),
    [
        (418, b"{}", "application/vnd.kafka.v2+json"),
        (200, b"[1]", "application/vnd.kafka.v2+json"),
        (200, b"[]", "text/plain"),
        (503, b'{"error_code":50302,"message":""}', "application/vnd.kafka.v2+json"),
        (500, b'{"error_code":500,"message":""}', "application/vnd.kafka.v2+json"),
    ],
)
def test_an_answer_that_is_not_documented_is_found(
    document: dict[str, Any], status: int, content: bytes, media: str
) -> None:
    right = httpx.Response(200, content=b'["a"]', headers={"content-type": "application/vnd.kafka.v2+json"})
    documented.check(document, "GET", "/dev/topics", right)
    wrong = httpx.Response(status, content=content, headers={"content-type": media})
    with pytest.raises((AssertionError, ValueError)):
        documented.check(document, "GET", "/dev/topics", wrong)


def test_the_page_names_every_operation_and_schema_and_loads_nothing(
    client: Any, document: dict[str, Any]
) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = answer.text
    assert all(f'<details id="{one["operationId"]}">' in page for one in operations(document))
    assert all(f'id="schema-{name}"' in page for name in document["components"]["schemas"])
    anchors = set(re.findall('href="#([^"]+)"', page))
    assert anchors <= set(re.findall('id="([^"]+)"', page))
    assert re.findall(r"(?:src|href)=\"(?!#)([^\"]+)", page) == ["openapi.json"]


def test_the_page_escapes_what_it_shows() -> None:
    hostile = operation("kafka_v2", id="<b>", says="<script>`</code><i>`")
    assert openapi_page.repr_json([1, 0, True, False, None, 'a"']) == '[1,0,true,false,null,"a\\""]'
    page = openapi_page.render(openapi.document([hostile], "<u>"))
    assert not re.search("<(script|i|b|u)>", page)
    assert "&lt;script&gt;<code>&lt;/code&gt;&lt;i&gt;</code>" in page
