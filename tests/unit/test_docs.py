"""What the documents say is what the code has."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pinterest_pipeline import errors
from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.config import (
    OWN_S3,
    STORE_FORMS,
    Credentials,
    GatewaySettings,
    explained,
    load_credentials,
)
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.error_codes import KINDS
from pinterest_pipeline.gateway.kinesis_wire import KinesisWire
from pinterest_pipeline.gateway.v3 import v3_operations
from pinterest_pipeline.sink.keys import KEYS, Key

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_every_answer_is_described_with_its_place() -> None:
    described = re.findall(r"^\| (\d) \| `(\w+)` \|", text("docs/reference/answers.md"), re.MULTILINE)
    assert described == [(str(analysis.number), analysis.name) for analysis in load()]


def test_every_exit_code_is_described() -> None:
    described = {
        int(code) for code in re.findall(r"^\| (\d+) \|", text("docs/reference/exit-codes.md"), re.MULTILINE)
    }
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PipelineError)
    }
    assert described == raised | {0, 130, 141}


def test_every_error_of_the_gateway_is_described() -> None:
    described = text("docs/reference/http-api.md")
    assert all(f"| {kind.kafka} | {kind.kinesis} | {kind.when} |" in described for kind in KINDS.values())


def test_every_operation_of_rest_v3_is_described(tmp_path: Path) -> None:
    described = text("docs/reference/kafka-rest-v3.md")
    with closing(SqliteEventLog(tmp_path / "log", kafka_partition, 2**20)) as log:
        operations = v3_operations(GatewaySettings(), log)
    assert len(operations) > 20
    missing = [one.id for one in operations if f"`{one.method} {one.path}`" not in described]
    assert missing == []


def test_every_operation_of_kinesis_is_described_with_its_scope(tmp_path: Path) -> None:
    described = text("docs/reference/kinesis-api.md")
    with closing(SqliteStreamLog(tmp_path / "log", 2**20)) as log:
        operations = KinesisWire(GatewaySettings(), log).operations()
    assert len(operations) == 19
    rows = [f"| `{one.says}` | {one.access.verb} |" for one in operations if one.access is not None]
    assert [row for row in rows if row not in described] == []


def test_every_setting_of_kinesis_is_described() -> None:
    described = text("docs/reference/kinesis-api.md") + text("docs/reference/kinesis.md")
    settings = [name for name, _, _ in explained() if name.startswith("PINPIPE_KINESIS__")]
    assert len(settings) == 6
    assert all(f"| `{name}` |" in described for name in settings)


def test_every_key_of_the_sink_is_described_with_what_it_does() -> None:
    described = text("docs/reference/sink.md")
    rows: dict[str, Callable[[Key], tuple[str, ...]]] = {
        "honoured": lambda key: (f"`{key.default}`" if key.default else "", key.meaning),
        "refused": lambda key: (
            " or ".join(f"`{value}`" if value else "empty" for value in key.allowed),
            key.meaning,
        ),
        "without effect": lambda key: (key.meaning,),
    }
    missing = [
        key.name
        for key in KEYS
        if " | ".join((f"| `{key.name}`", *rows[key.kind](key))) + " |" not in described
    ]
    assert missing == []
    named = re.findall(r"^\| `([a-z0-9.]+)` \|", described, re.MULTILINE)
    assert sorted(named) == sorted(key.name for key in KEYS)


def test_every_setting_says_what_it_is() -> None:
    assert all(meaning.endswith(".") for _, _, meaning in explained())


def test_every_setting_of_streams_and_tables_is_described_with_its_default() -> None:
    described = text("docs/reference/streaming.md")
    groups = ("PINPIPE_STREAM__", "PINPIPE_TABLES__")
    rows = [(name, default.removesuffix(".0")) for name, default, _ in explained() if name.startswith(groups)]
    assert rows
    assert [name for name, default in rows if f"| `{name}` | {default} |" not in described] == []


def test_every_setting_and_form_of_the_object_store_is_described() -> None:
    described = text("docs/reference/objects.md")
    settings = [name for name, _, _ in explained() if name.startswith("PINPIPE_OBJECTS__")]
    assert all(f"| `{name}` |" in described for name in settings)
    assert all(f"| `{form}` |" in described for form in (*STORE_FORMS.values(), OWN_S3))


def test_the_example_credentials_can_be_read_and_name_every_key() -> None:
    path = REPOSITORY / "db_creds.yaml.example"
    assert load_credentials(path).database_url().drivername == "sqlite"
    assert all(f"{key}:" in path.read_text() for key in Credentials.model_fields)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


def test_every_room_of_the_code_is_in_the_architecture() -> None:
    package = REPOSITORY / "src/pinterest_pipeline"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    described = set(re.findall(r"^\| `(\w+)` \|", text("docs/architecture.md"), re.MULTILINE))
    assert described == rooms
