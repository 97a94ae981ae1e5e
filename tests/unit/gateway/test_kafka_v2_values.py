"""What is sent to a topic as JSON or bytes comes to a consumer as it was sent, or is refused."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from tests.asking import BINARY, JSON, Asking, Consumer

TOPIC = "124df56aef51.pin"


class _Shown(msgspec.Struct):
    key: msgspec.Raw
    value: msgspec.Raw


_shown = msgspec.json.Decoder(list[_Shown])

NUMBERS = st.integers().map(str) | st.sampled_from(["1e400", "-0", "-0.0", "1E+2", "0.10", "9" * 100])
TEXTS = st.text(max_size=20).map(json.dumps) | st.text(st.characters(codec="utf-8"), max_size=20).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
SCALARS = st.sampled_from(["null", "true", "false", '""', "[]", "{}", "0", '"\\u0000"']) | NUMBERS | TEXTS


def _object(fields: list[tuple[str, str]]) -> str:
    return "{" + " , ".join(f"{json.dumps(name)}: {value}" for name, value in fields) + "}"


TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ " + ",".join(items) + "]")
        # Few names, so that some of them come twice in one object.
        | st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=4).map(_object)
    ),
    max_leaves=8,
)


@pytest.fixture
def gateway(topics: SqliteEventLog, streams: SqliteStreamLog, tmp_path: Path) -> Iterator[Asking]:
    store = ConsumerStore(tmp_path / "gateway")
    yield Asking(create_app(GatewaySettings(), topics, streams, consumers=store))
    store.close()


def read(consumer: Consumer, places: list[tuple[int, int]]) -> list[_Shown]:
    """The records at these places, in this order."""
    found: dict[tuple[int, int], _Shown] = {}
    while len(found) < len(places):
        answer = consumer.get()
        assert answer.status_code == 200, answer.text
        places_read = [(record["partition"], record["offset"]) for record in answer.json()]
        assert places_read
        found |= zip(places_read, _shown.decode(answer.content), strict=True)
    return [found[place] for place in places]


FEW = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def sent(gateway: Asking, body: str, media: str) -> list[tuple[int, int]] | None:
    answer = gateway.send(
        "POST",
        f"/topics/{TOPIC}",
        content=body.encode(errors="surrogatepass"),
        headers={"Content-Type": media},
    )
    if answer.status_code == 422:
        assert answer.json()["message"]
        return None
    assert answer.status_code == 200, answer.text
    return [(place["partition"], place["offset"]) for place in answer.json()["offsets"]]


def consumer_of(gateway: Asking, format_: str) -> Consumer:
    gateway.send("DELETE", "/consumers/g/instances/one")
    consumer = gateway.consumer(settings={"format": format_, "auto.offset.reset": "latest"})
    consumer.subscribe(TOPIC)
    parts = {"partitions": [{"topic": TOPIC, "partition": number} for number in range(2)]}
    consumer.done("/positions/end", parts)
    return consumer


@FEW
@given(values=st.lists(TREES, min_size=1, max_size=5))
def test_any_json_comes_back_letter_by_letter(gateway: Asking, values: list[str]) -> None:
    consumer = consumer_of(gateway, "json")
    body = '{"records":[' + ",".join(f'{{"value": {value} }}' for value in values) + "]}"
    places = sent(gateway, body, JSON)
    if places is None:
        assert any("\\ud" in value for value in values)  # half of a pair of UTF-16: no text at all
        return
    assert [bytes(record.value).decode() for record in read(consumer, places)] == values


@FEW
@given(keys=st.lists(TREES, min_size=1, max_size=5))
def test_any_json_key_comes_back_with_its_value(gateway: Asking, keys: list[str]) -> None:
    consumer = consumer_of(gateway, "json")
    body = '{"records":[' + ",".join(f'{{"key":{key},"value":1}}' for key in keys) + "]}"
    places = sent(gateway, body, JSON)
    if places is not None:
        found = [json.loads(bytes(record.key)) for record in read(consumer, places)]
        assert found == [json.loads(key) for key in keys]


@FEW
@given(values=st.lists(st.none() | st.binary(max_size=50), min_size=1, max_size=5))
def test_any_bytes_come_back(gateway: Asking, values: list[bytes | None]) -> None:
    consumer = consumer_of(gateway, "binary")
    shown = [None if value is None else base64.b64encode(value).decode() for value in values]
    body = json.dumps({"records": [{"value": value, "key": value} for value in shown]})
    places = sent(gateway, body, BINARY)
    assert places is not None
    found = [
        (json.loads(bytes(record.key)), json.loads(bytes(record.value))) for record in read(consumer, places)
    ]
    assert found == [(value, value) for value in shown]


@pytest.mark.parametrize("value", ['"\\ud800"', '"\ud800"', "NaN", "Infinity", "'a'", "01", "[1,]", "{a:1}"])
def test_what_is_no_json_is_refused(gateway: Asking, topics: SqliteEventLog, value: str) -> None:
    assert sent(gateway, f'{{"records":[{{"value":{value}}}]}}', JSON) is None
    assert topics.ends(TOPIC) == {0: 0, 1: 0}
