"""Names, lines and triggers of the stream branch on Spark; the rest needs a session (tests/services)."""

import pickle
from functools import partial
from typing import Any

import pytest

from pinterest_pipeline.engines.spark_stream import StreamTables, run, trigger
from pinterest_pipeline.stream_notebook import access, default


class Secrets:
    def get(self, scope: str, key: str) -> str:
        return f"{key} of {scope}"


def test_tables_lie_in_a_schema_or_in_a_folder() -> None:
    there = StreamTables("main.posts", "124df56aef51")
    here = StreamTables("/some where/tables/", "124df56aef51")
    assert there.name("pin") == "main.posts.`124df56aef51_pin_table`"
    assert there.quarantine() == "main.posts.`quarantine`"
    assert here.name("geo") == "delta.`/some where/tables/124df56aef51_geo_table`"
    assert pickle.loads(pickle.dumps(there)) == there


def test_a_trigger_is_all_that_is_there_or_an_interval() -> None:
    assert trigger("AvailableNow") == {"availableNow": True}
    assert trigger("5 seconds") == {"processingTime": "5 seconds"}


class Query:
    """A query that is done, or that has failed."""

    def __init__(self, error: str = "") -> None:
        self._error = error
        self.stopped = False

    @property
    def isActive(self) -> bool:  # noqa: N802 - Spark's name
        return not self.stopped and not self._error

    def awaitTermination(self, timeout: int | None = None) -> bool:  # noqa: N802 - Spark's name
        if self._error:
            raise RuntimeError(self._error)
        return timeout is None

    def stop(self) -> None:
        self.stopped = True


def begun(query: Query) -> Any:
    return query


def test_one_query_that_fails_stops_the_others_and_is_told() -> None:
    queries = [Query(), Query("it failed"), Query()]
    with pytest.raises(RuntimeError, match="it failed"):
        run([partial(begun, query) for query in queries], "5 seconds")
    assert all(query.stopped for query in queries)


def test_queries_that_end_by_themselves_come_one_after_the_other() -> None:
    queries = [Query(), Query("it failed"), Query()]
    started: list[Query] = []

    def begin(query: Query) -> Any:
        started.append(query)
        return query

    with pytest.raises(RuntimeError, match="it failed"):
        run([partial(begin, query) for query in queries], "availableNow")
    assert started == queries[:2]
    assert all(query.stopped for query in started)


def test_defaults_fit_where_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default("endpoint") == "http://127.0.0.1:8082"
    assert default("tables").endswith("pinpipe-data/spark/tables")
    monkeypatch.setenv("PINPIPE_GATEWAY__HOST", "::1")
    assert default("endpoint") == "http://[::1]:8082"
    monkeypatch.setenv("PINPIPE_GATEWAY__TLS_CERTIFICATE", "cert.pem")
    monkeypatch.setenv("PINPIPE_GATEWAY__TLS_KEY", "key.pem")
    assert default("endpoint") == "https://[::1]:8082"
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert default("endpoint") == ""
    assert default("tables") == "workspace.pinterest_stream"


def test_access_is_by_secrets_by_the_computes_role_or_by_any_key_at_another_endpoint() -> None:
    assert access(Secrets(), "", "") == {}
    assert access(Secrets(), "http://gateway", "") == {
        "endpoint": "http://gateway",
        "awsAccessKey": "any",
        "awsSecretKey": "any",
    }
    assert access(Secrets(), "", "aws", "streams") == {"serviceCredential": "streams"}
    assert access(Secrets(), "", "aws") == {
        "awsAccessKey": "aws_access_key_id of aws",
        "awsSecretKey": "aws_secret_access_key of aws",
    }
