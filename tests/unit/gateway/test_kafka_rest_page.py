"""Every example of the page on the REST API v2 is answered as the page says, and no operation lacks one."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumers import ConsumerOperations
from pinterest_pipeline.gateway.kafka_v2 import KafkaV2
from pinterest_pipeline.gateway.kafka_v2_topics import KafkaV2Topics
from tests.asking import Asking

PAGE = Path(__file__).parents[3] / "docs/reference/kafka-rest-v2.md"
ADDRESS = "http://127.0.0.1:8082"

Example = tuple[str, str, dict[str, str], str]
"""Method, address, headers and body."""


def examples() -> list[tuple[Example, str]]:
    """The requests of the page with the text that is printed as their answers."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ (.*)\n([^$]*)", "".join(blocks), re.MULTILINE)
    return [(_example(command), answer.strip()) for command, answer in commands]


def _example(command: str) -> Example:
    program, *words = shlex.split(command)
    assert program == "curl"
    options = dict.fromkeys(("-X", "-d"), "")
    headers: dict[str, str] = {}
    while len(words) > 1:
        option, value, *words = words
        if option == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        else:
            options[option] = value
    return options["-X"] or ("POST" if options["-d"] else "GET"), words[0], headers, options["-d"]


def ask(asking: Asking, example: Example) -> httpx.Response:
    method, address, headers, body = example
    return asking.send(method, address, content=body or None, headers=headers)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "log.sqlite", lambda key, partitions: 0, 2**20)
    log.create("pin", 1)
    log.create("bytes", 1)
    yield log
    log.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConsumerStore]:
    store = ConsumerStore(tmp_path / "gateway")
    yield store
    store.close()


def test_every_example_is_answered_as_printed(
    log: SqliteEventLog, streams: SqliteStreamLog, store: ConsumerStore
) -> None:
    asking = Asking(create_app(GatewaySettings(), log, streams, consumers=store))
    found = examples()
    assert len(found) > 30
    for example, printed in found:
        answer = ask(asking, example)
        shown = answer.text.strip() if answer.status_code != 204 else ""
        assert (example, shown) == (example, printed)


def test_every_operation_has_an_example(log: SqliteEventLog, store: ConsumerStore) -> None:
    settings = GatewaySettings()
    operations = [
        *KafkaV2(settings, log).operations(),
        *KafkaV2Topics(log).operations(),
        *ConsumerOperations(settings, log, store).operations(),
    ]
    asked = {
        (method, address.removeprefix(ADDRESS).partition("?")[0]) for (method, address, _, _), _ in examples()
    }
    without = [
        operation.id
        for operation in operations
        if not any(
            method == operation.method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", operation.path), path)
            for method, path in asked
        )
    ]
    assert without == []
