"""The batch branch over S3: loads read what is new once, in bounded steps, and leave no copies behind."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.config import ObjectSettings, Settings, load_settings
from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.objects.layout import ObjectName
from pinterest_pipeline.pipeline import answers, load_batch, table_account
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.workspace import Workspace
from tests.faults import Fault, FaultProxy
from tests.landing import line, position
from tests.oracle import answers as oracle_answers

pytestmark = pytest.mark.services

POSTS = list(generate(60))
PER_OBJECT = 10


@pytest.fixture
def proxy(s3: ObjectSettings) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def settings(s3_prefix: ObjectSettings, proxy: FaultProxy, tmp_path: Path) -> Settings:
    changes = {"endpoint": proxy.endpoint, "retry_seconds": 0.5}
    return load_settings(data=tmp_path / "data", objects=s3_prefix.model_copy(update=changes))


def land(workspace: Workspace, first: int, last: int) -> None:
    """Write the posts from `first` to before `last` as objects, as the sink would."""
    store = workspace.objects()
    for start in range(first, last, PER_OBJECT):
        for table in TABLES:
            topic = names.topic(workspace.settings.pipeline_id, table)
            rows = [wire_row(post[table]) for post in POSTS[start : start + PER_OBJECT]]
            lines = [
                line(row, position("batch", start + number, _topic=topic)) for number, row in enumerate(rows)
            ]
            name = ObjectName(topic, 0, start)
            assert store.put_if_absent(name.key(workspace.settings.sink.topics_dir), b"".join(lines))


def load(workspace: Workspace) -> list[int]:
    """Lines read of each table."""
    with workspace.engine() as engine:
        return [loaded.read for loaded in load_batch(workspace, engine).values()]


def expected(count: int) -> dict[str, list[dict[str, object]]]:
    posts = [{str(table): wire_row(post[table]) for table in TABLES} for post in POSTS]
    return oracle_answers(json.loads(json.dumps(posts[:count])))


def fetched(proxy: FaultProxy) -> list[str]:
    """Names of the objects whose content was asked for."""
    paths = [request.split(" ")[1] for request in proxy.requests if request.startswith("GET ")]
    return sorted({path.rpartition("/")[2] for path in paths if ".json" in path})


@pytest.mark.parametrize("fetch_bytes", [1, 20_000, 2**30])
def test_loads_in_steps_of_any_size_answer_alike_and_balance(settings: Settings, fetch_bytes: int) -> None:
    objects = settings.objects.model_copy(update={"fetch_bytes": fetch_bytes})
    workspace = Workspace(settings.model_copy(update={"objects": objects}))
    land(workspace, 0, 60)
    assert load(workspace) == [60, 60, 60]
    with workspace.engine() as engine:
        assert answers(workspace, engine, "batch") == expected(60)
    for table in TABLES:
        account = table_account(workspace, "batch", table)
        assert (account.landed, account.clean, account.problems) == (60, 60, [])
    assert list(workspace.spill.iterdir()) == []


def test_a_second_load_fetches_only_new_objects(settings: Settings, proxy: FaultProxy) -> None:
    workspace = Workspace(settings)
    land(workspace, 0, 40)
    assert load(workspace) == [40, 40, 40]
    proxy.requests.clear()
    assert load(workspace) == [0, 0, 0]
    assert fetched(proxy) == []
    land(workspace, 40, 50)
    proxy.requests.clear()
    assert load(workspace) == [10, 10, 10]
    assert len(fetched(proxy)) == 3
    assert all("0000000040" in name for name in fetched(proxy))


def test_a_load_that_the_store_stops_goes_on_later(settings: Settings, proxy: FaultProxy) -> None:
    workspace = Workspace(settings)
    land(workspace, 0, 60)
    proxy.fail(Fault.CUT_ANSWER, method="GET", times=None)
    with pytest.raises(Unavailable, match=r"does not answer|came with"):
        load(workspace)
    assert list(workspace.spill.iterdir()) == []
    proxy.heal()
    assert load(workspace) == [60, 60, 60]
    with workspace.engine() as engine:
        assert answers(workspace, engine, "batch") == expected(60)
