import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from pinterest_pipeline.gateway.operations import PUBLIC, Api, Operation
from pinterest_pipeline.gateway.routes import Router

ROUTES: list[tuple[str, str, Api]] = [
    ("GET", "/topics", "kafka_v2"),
    ("POST", "/topics/{topic}", "kafka_v2"),
    ("GET", "/v3/{cluster}/topics/{topic}", "kafka_v3"),
    ("GET", "/v3/{cluster}/topics/-/configs", "kafka_v3"),
    ("GET", "/v3/{cluster}/topics/{topic}/partitions", "kafka_v3"),
    ("POST", "/v3/{cluster}/topics/{topic_name}/records:batch", "kafka_v3"),
]


def asked(method: str, path: str) -> tuple[str, dict[str, str], list[str]]:
    """What a request comes to: the operation, its path parameters, and the methods that it might have had."""
    found: list[tuple[str, dict[str, str], list[str]]] = []

    def endpoint(operation: Operation) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            found.append((operation.id, scope["path_params"], scope.get("allowed", [])))

        return app

    async def nothing(*_: Any) -> Any: ...

    operations = [
        Operation(f"{method} {path}", api, method, path, nothing, "", PUBLIC, {}, "")
        for method, path, api in ROUTES
    ]
    asyncio.run(
        Router(operations, endpoint)({"type": "http", "method": method, "path": path}, nothing, nothing)
    )
    (one,) = found
    return one


@pytest.mark.parametrize("stage", ["", "/dev", "/v2"])
@pytest.mark.parametrize(
    ("method", "path", "operation", "parameters"),
    [
        ("GET", "/topics", "GET /topics", {}),
        ("HEAD", "/topics", "GET /topics", {}),
        ("POST", "/topics/topics", "POST /topics/{topic}", {"topic": "topics"}),
        ("GET", "/v3/a/topics/-", "GET /v3/{cluster}/topics/{topic}", {"cluster": "a", "topic": "-"}),
        ("GET", "/v3/a/topics/-/configs", "GET /v3/{cluster}/topics/-/configs", {"cluster": "a"}),
        (
            "GET",
            "/v3/a/topics/-/partitions",
            "GET /v3/{cluster}/topics/{topic}/partitions",
            {"cluster": "a", "topic": "-"},
        ),
        (
            "POST",
            "/v3/a/topics/b/records:batch",
            "POST /v3/{cluster}/topics/{topic_name}/records:batch",
            {"cluster": "a", "topic_name": "b"},
        ),
    ],
)
def test_a_path_leads_to_its_operation(
    stage: str, method: str, path: str, operation: str, parameters: dict[str, str]
) -> None:
    assert asked(method, stage + path)[:2] == (operation, parameters)


@pytest.mark.parametrize(
    ("method", "path", "operation", "allowed"),
    [
        ("DELETE", "/topics", "no_kafka_v2", ["GET", "HEAD"]),
        ("GET", "/topics/a", "no_kafka_v2", ["POST"]),
        ("GET", "/topics/", "no_kafka_v2", []),
        ("GET", "/v3/a", "no_kafka_v3", []),
        ("GET", "/v3//topics/a", "no_kafka_v3", []),
        ("GET", "/", "no_service", []),
        ("GET", "", "no_service", []),
        ("GET", "*", "no_service", []),
        ("GET", "topics", "no_service", []),
        ("GET", "//topics", "no_service", []),
        ("GET", "/dev/dev/topics", "no_service", []),
    ],
)
def test_what_has_no_route_is_answered_as_its_part_of_the_api_answers(
    method: str, path: str, operation: str, allowed: list[str]
) -> None:
    assert asked(method, path) == (operation, {}, allowed)
