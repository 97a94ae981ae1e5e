import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog

TOPIC = "124df56aef51.pin"
MEDIA = "application/vnd.kafka.v2+json"
JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"

OBJECTS = st.dictionaries(
    st.text(max_size=10),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.lists(st.text(max_size=5), max_size=3),
    max_size=6,
)


def stored(log: SqliteEventLog) -> list[StoredRecord]:
    return [record for partition in log.ends(TOPIC) for record in log.read(TOPIC, partition, 0, 1_000)]


def test_a_record_is_answered_with_its_place(client: Any, topics: SqliteEventLog) -> None:
    answer = client.produce(b'{"records":[{"value":{"index": 1}}]}')
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA)
    assert answer.json() == {
        "offsets": [{"partition": 0, "offset": 0, "error_code": None, "error": None}],
        "key_schema_id": None,
        "value_schema_id": None,
    }
    assert topics.read(TOPIC, 0, 0, 1)[0].value == b'{"index": 1}'


@given(values=st.lists(OBJECTS, min_size=1, max_size=3))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_object_comes_back_from_the_log(
    client: Any, topics: SqliteEventLog, values: list[dict[str, Any]]
) -> None:
    body = json.dumps({"records": [{"value": value} for value in values]}, ensure_ascii=False).encode()
    places = client.produce(body).json()["offsets"]
    assert len(places) == len(values)
    for value, place in zip(values, places, strict=True):
        (record,) = topics.read(TOPIC, place["partition"], place["offset"], 1)
        assert json.loads(record.value or b"") == value


def test_keys_and_partitions_are_kept(client: Any, topics: SqliteEventLog) -> None:
    body = b'{"records":[{"key":"7528","value":1},{"key":"7528","value":2},{"value":null,"partition":1}]}'
    places = [place["partition"] for place in client.produce(body).json()["offsets"]]
    assert places[0] == places[1]
    assert places[2] == 1
    assert sorted(record.value or b"" for record in stored(topics)) == [b"", b"1", b"2"]
    assert {record.key for record in stored(topics)} == {b'"7528"', None}


def test_single_records_are_refused_and_the_others_land(client: Any, topics: SqliteEventLog) -> None:
    large = json.dumps("x" * 3_000)
    body = f'{{"records":[{{"value":1,"partition":0}},{{"value":{large}}},{{"value":2,"partition":9}}]}}'
    answer = client.produce(body.encode())
    assert answer.status_code == 200
    good, too_large, unknown = answer.json()["offsets"]
    assert good == {"partition": 0, "offset": 0, "error_code": None, "error": None}
    assert (too_large["partition"], too_large["offset"], too_large["error_code"]) == (None, None, 413)
    assert "3002" in too_large["error"]
    assert unknown["error_code"] == 40402
    assert "partition 9" in unknown["error"]
    assert [record.value for record in stored(topics)] == [b"1"]


def test_only_too_large_records_are_413(client: Any, topics: SqliteEventLog) -> None:
    record = {"value": "x" * 3_000}
    answer = client.produce(json.dumps({"records": [record, record]}).encode())
    assert (answer.status_code, answer.json()["error_code"]) == (413, 413)
    assert stored(topics) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"index":1}', 422, 422),
        (b'{"records":[]}', 422, 422),
        (b"not json", 422, 42203),
        (b'{"records":[{"value":NaN}]}', 422, 42203),
        (b'{"records":[{"value":' + b"[" * 8_000 + b"]" * 8_000 + b"}]}", 422, 42203),
        (b'{"records":[' + b"{}," * 100 + b"{}]}", 413, 413),
        (b" " * 20_001, 413, 413),
    ],
)
def test_a_bad_body_lands_nothing(
    client: Any, topics: SqliteEventLog, body: bytes, status: int, code: int
) -> None:
    answer = client.produce(body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA)
    assert answer.json()["error_code"] == code
    assert answer.json()["message"]
    assert stored(topics) == []


@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "application/vnd.kafka.v2+json",
        "application/x-www-form-urlencoded",
    ],
)
def test_other_content_types_are_415(client: Any, media: str) -> None:
    answer = client.produce(b'{"records":[{"value":1}]}', media=media)
    assert (answer.status_code, answer.json()["error_code"]) == (415, 415)
    assert "application/vnd.kafka.json.v2+json" in answer.json()["message"]


@pytest.mark.parametrize("name", ["avro", "jsonschema", "protobuf"])
def test_formats_with_a_schema_are_415_and_say_why(client: Any, name: str) -> None:
    answer = client.produce(b'{"records":[{"value":1}]}', media=f"application/vnd.kafka.{name}.v2+json")
    assert answer.status_code == 415
    assert "no" in answer.json()["message"]
    assert "schema registry" in answer.json()["message"]


def test_plain_json_is_json(client: Any, topics: SqliteEventLog) -> None:
    assert client.produce(b'{"records":[{"value":"YQ=="}]}', media="application/json").status_code == 200
    assert [record.value for record in stored(topics)] == [b'"YQ=="']


def test_a_content_type_may_have_parameters(client: Any) -> None:
    media = "Application/vnd.kafka.JSON.v2+json; charset=utf-8"
    assert client.produce(b'{"records":[{"value":1}]}', media=media).status_code == 200


def test_an_unknown_topic_is_404(client: Any) -> None:
    answer = client.produce(b'{"records":[{"value":1}]}', topic="nobody")
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40401)
    assert "nobody" in answer.json()["message"]
    assert client.get("/topics/nobody").json()["error_code"] == 40401


@pytest.mark.parametrize("topic", ["x" * 250, "a%20b", "caf%C3%A9"])
def test_an_impossible_name_is_400(client: Any, topic: str) -> None:
    answer = client.produce(b'{"records":[{"value":1}]}', topic=topic)
    assert (answer.status_code, answer.json()["error_code"]) == (400, 40002)


def test_topics_are_listed_without_streams(client: Any, topics: SqliteEventLog) -> None:
    topics.create("another", 1)
    answer = client.get("/topics")
    assert (answer.headers["content-type"], answer.json()) == (MEDIA, [TOPIC, "another"])


def test_a_topic_is_described(client: Any) -> None:
    answer = client.get(f"/topics/{TOPIC}").json()
    assert (answer["name"], answer["configs"]) == (TOPIC, {})
    assert [partition["partition"] for partition in answer["partitions"]] == [0, 1]


def test_binary_records_are_bytes(client: Any, topics: SqliteEventLog) -> None:
    body = b'{"records":[{"value":"AP8=","key":"gA=="},{"value":""},{"value":null},{}]}'
    assert client.produce(body, media=BINARY).status_code == 200
    found = {(record.key, record.value) for record in stored(topics)}
    assert found == {(b"\x80", b"\x00\xff"), (None, b""), (None, None)}


@pytest.mark.parametrize("value", ['"YQ"', '"Y Q="', '"-_-_"', '"\u00e9"', "5", "{}", "true"])
def test_what_is_no_base64_is_422(client: Any, topics: SqliteEventLog, value: str) -> None:
    answer = client.produce(f'{{"records":[{{"value":{value}}}]}}'.encode(), media=BINARY)
    assert (answer.status_code, answer.json()["error_code"]) == (422, 422)
    assert "records[0].value" in answer.json()["message"]
    assert stored(topics) == []


@pytest.mark.parametrize("partition", ["true", '"0"', "1.0", "1e0", "-1", "2147483648", "9" * 100, "[]"])
def test_a_partition_is_a_whole_number(client: Any, topics: SqliteEventLog, partition: str) -> None:
    for media in (JSON, BINARY):
        body = f'{{"records":[{{"value":null,"partition":{partition}}}]}}'.encode()
        answer = client.produce(body, media=media)
        assert (answer.status_code, answer.json()["error_code"]) == (422, 422)
    assert stored(topics) == []


def test_a_path_may_name_the_partition(client: Any, topics: SqliteEventLog) -> None:
    body = b'{"records":[{"key":"a","value":1},{"key":"b","value":2,"partition":1}]}'
    answer = client.produce(body, topic=f"{TOPIC}/partitions/1")
    assert [(place["partition"], place["offset"]) for place in answer.json()["offsets"]] == [(1, 0), (1, 1)]
    assert [record.value for record in topics.read(TOPIC, 1, 0, 9)] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("2", b'{"records":[{"value":1}]}', 404, 40402),
        ("2147483648", b'{"records":[{"value":1}]}', 404, 40402),
        ("one", b'{"records":[{"value":1}]}', 404, 40402),
        ("-1", b'{"records":[{"value":1}]}', 404, 40402),
        ("1", b'{"records":[{"value":1,"partition":0}]}', 422, 422),
    ],
)
def test_a_wrong_partition_in_a_path(
    client: Any, topics: SqliteEventLog, path: str, body: bytes, status: int, code: int
) -> None:
    answer = client.produce(body, topic=f"{TOPIC}/partitions/{path}")
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert stored(topics) == []


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__transaction_state", "__anything"])
def test_nobody_writes_to_topics_of_the_cluster(client: Any, topics: SqliteEventLog, topic: str) -> None:
    topics.create(topic, 1)
    answer = client.produce(b'{"records":[{"value":1}]}', topic=topic)
    assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)
    assert topics.ends(topic) == {0: 0}


def test_a_log_that_is_away_is_503_and_says_when_to_come_again(client: Any, topics: SqliteEventLog) -> None:
    topics.close()
    answer = client.produce(b'{"records":[{"value":1}]}')
    assert (answer.status_code, answer.json()["error_code"]) == (503, 50302)
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/", "/dev/"])
def test_the_root_is_an_empty_object(client: Any, method: str, path: str) -> None:
    answer = client.send(method, path)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"{}", MEDIA)


@pytest.mark.parametrize(
    ("accept", "status", "media"),
    [
        ("*/*", 200, MEDIA),
        ("application/*", 200, MEDIA),
        ("application/json", 200, "application/json"),
        (f"application/json, {MEDIA};q=0.5", 200, "application/json"),
        (f"text/html, application/json;q=0.1, {MEDIA}", 200, MEDIA),
        ("text/html", 406, MEDIA),
        (f"{MEDIA};q=0", 406, MEDIA),
        (f"*/*, {MEDIA};q=0, application/json;q=nonsense", 406, MEDIA),
    ],
)
def test_the_answer_comes_as_the_caller_likes_it(client: Any, accept: str, status: int, media: str) -> None:
    for path in ("/topics", f"/topics/{TOPIC}", "/brokers", "/"):
        answer = client.get(path, {"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (status, media)


def test_partitions_are_described(client: Any, topics: SqliteEventLog) -> None:
    client.produce(b'{"records":[{"value":1,"partition":1}]}')
    partitions = client.get(f"/topics/{TOPIC}/partitions").json()
    assert partitions == client.get(f"/topics/{TOPIC}").json()["partitions"]
    assert client.get(f"/topics/{TOPIC}/partitions/1").json() == partitions[1]
    leader = partitions[1]["leader"]
    assert partitions[1] == {
        "partition": 1,
        "leader": leader,
        "replicas": [{"broker": leader, "leader": True, "in_sync": True}],
    }
    assert client.get(f"/topics/{TOPIC}/partitions/1/offsets").json() == {
        "beginning_offset": 0,
        "end_offset": 1,
    }
    assert client.get("/brokers").json() == {"brokers": [leader]}


@pytest.mark.parametrize("number", ["2", "-1", "x", "99999999999"])
@pytest.mark.parametrize("what", ["", "/offsets"])
def test_an_unknown_partition_is_404(client: Any, number: str, what: str) -> None:
    answer = client.get(f"/topics/{TOPIC}/partitions/{number}{what}")
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40402)
    answer = client.get(f"/topics/nobody/partitions/{number}{what}")
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40401)


def test_a_partition_that_has_just_gone_is_404(
    client: Any, topics: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the topic and that at its offsets, another topic has got its name."""
    was = topics.describe(TOPIC)
    topics.delete(TOPIC)
    topics.create(TOPIC, 1)
    monkeypatch.setattr(topics, "describe", lambda _: was)
    of_v3 = f"/v3/clusters/{topics.cluster().id}/topics/{TOPIC}/partitions/1/records"
    for path in (f"/topics/{TOPIC}/partitions/1/offsets", of_v3, f"{of_v3}?timestamp=0"):
        assert client.get(path).status_code == 404, path
