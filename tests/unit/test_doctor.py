"""The doctor looks at what the settings ask for, and at nothing else."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.doctor import Finding, examine
from pinterest_pipeline.local import State


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a folder of its own; a group of them is given as a mapping."""
    return lambda **groups: load_settings(data=tmp_path, db_creds=tmp_path / "db_creds.yaml", **groups)


def examined(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings)}


def test_kafka_and_s3_are_looked_at_only_when_asked_for(settings: Any) -> None:
    assert not {"Kafka", "Kafka's node", "S3 server", "objects"} & examined(settings()).keys()
    found = examined(settings(log={"home": "kafka"}, objects={"url": "pinpipe:s3"}))
    assert found["Kafka's node"].found.endswith("java")
    assert found["S3 server"].found.endswith("weed")


def test_missing_parts_name_commands_that_bring_them(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = examined(settings(log={"home": "kafka"}, objects={"url": "pinpipe:s3"}))
    for name, extra in {"Kafka's node": "kafka", "S3 server": "s3-server"}.items():
        assert not found[name].is_well
        assert "make extras" in found[name].remedy
        assert f"[{extra}]" in found[name].remedy


def test_brokers_that_are_away_are_named(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinterest_pipeline.doctor._PATIENCE_SECONDS", 1.0)
    found = examined(settings(log={"home": "kafka"}, kafka={"bootstrap_servers": "127.0.0.1:1"}))["Kafka"]
    assert not found.is_well
    assert "Kafka at 127.0.0.1:1 does not answer" in found.found


def test_kinesis_that_is_away_is_named(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Kinesis" not in examined(settings())
    monkeypatch.setattr("pinterest_pipeline.doctor._PATIENCE_SECONDS", 1.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    groups = {"log": {"streams_home": "kinesis"}, "kinesis": {"endpoint": "http://127.0.0.1:1"}}
    found = examined(settings(**groups))["Kinesis"]
    assert not found.is_well
    assert "Kinesis at http://127.0.0.1:1 does not answer" in found.found


def test_kinesis_without_its_client_names_what_brings_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pinterest_pipeline.eventlog.kinesis", None)
    found = examined(settings(log={"streams_home": "kinesis"}))["Kinesis"]
    assert not found.is_well
    assert "[aws]" in found.remedy
    assert "make extras" in found.remedy


def test_the_port_of_an_own_up_is_no_complaint(settings: Any, tmp_path: Path) -> None:
    state = State(os.getpid(), "http://127.0.0.1:8082", {})
    (tmp_path / "up.json").write_bytes(msgspec.json.encode(state))
    port = examined(settings())["gateway's port"]
    assert port.is_well
    assert state.gateway in port.found
