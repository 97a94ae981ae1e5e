"""Settings of Kafka become properties of its client, or are refused in words."""

from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from pinterest_pipeline import errors
from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.eventlog.base import Record, Refusal
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import refusal, translated
from pinterest_pipeline.eventlog.kafka_topics import Topic
from pinterest_pipeline.eventlog.partitioners import kafka_partition

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (KafkaSettings(security_protocol="SASL_SSL"), "SASL_MECHANISM"),
        (KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512"), "SASL_PASSWORD"),
        (KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="AWS_MSK_IAM"), "REGION"),
        (KafkaSettings(properties={"linger.mss": SecretStr("5")}), "linger.mss"),
        (KafkaSettings(security_protocol="SSL", ssl_ca=Path("missing.pem")), r"missing\.pem"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: KafkaSettings, said: str) -> None:
    with pytest.raises(errors.SettingError, match=said):
        Clients("127.0.0.1:1", settings).admin()


@pytest.mark.parametrize("given", [("acks", "1"), ("max.poll.interval.ms", "1000")])
def test_what_a_producer_or_consumer_refuses_is_refused_at_start(
    given: tuple[str, str], tmp_path: Path
) -> None:
    settings = KafkaSettings(properties={given[0]: SecretStr(given[1])})
    with pytest.raises(errors.SettingError, match=given[0]):
        KafkaEventLog("127.0.0.1:1", settings, kafka_partition, 4_096, tmp_path / "intents.sqlite")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, errors.UnknownTopic),
        (KafkaError.TOPIC_ALREADY_EXISTS, errors.TopicExists),
        (KafkaError.GROUP_ID_NOT_FOUND, errors.UnknownGroup),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, errors.Forbidden),
        (KafkaError._AUTHENTICATION, errors.Forbidden),
        (KafkaError.ILLEGAL_GENERATION, errors.Fenced),
        (KafkaError.UNKNOWN_MEMBER_ID, errors.Fenced),
        (KafkaError.INVALID_REPLICATION_FACTOR, errors.BadInput),
        (KafkaError._TIMED_OUT, errors.Unavailable),
        (KafkaError.KAFKA_STORAGE_ERROR, errors.Unavailable),
    ],
)
def test_an_error_of_kafka_is_one_of_ours(code: int, kind: type[errors.PipelineError]) -> None:
    assert type(translated(KafkaError(code), "pin")) is kind


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, "record_too_large"),
        (KafkaError.INVALID_TIMESTAMP, "invalid_timestamp"),
        (KafkaError.THROTTLING_QUOTA_EXCEEDED, "throttled"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "forbidden"),
        (KafkaError.POLICY_VIOLATION, "rejected"),
        (KafkaError._MSG_TIMED_OUT, "not_acknowledged"),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, "not_acknowledged"),
    ],
)
def test_a_record_that_is_not_known_to_be_refused_may_have_landed(code: int, expected: str) -> None:
    assert refusal(KafkaError(code)).code == expected


def placed(records: list[Record], topic: Topic, now: int = NOW) -> list[object]:
    places = topic.places(records, now, lambda key, partitions: len(key) % partitions, 10)
    return [place.code if isinstance(place, Refusal) else place for place in places]


def test_records_are_placed_by_partition_key_or_turn() -> None:
    topic = Topic("id", 3, before_ms=1_000, after_ms=100)
    records = [Record(b""), Record(b"", partition=2), Record(b"", b"kk"), Record(b"")]
    assert placed(records, topic) == [1, 2, 2, 1]


def test_what_has_no_key_stays_with_a_partition_for_a_moment() -> None:
    topic = Topic("id", 3, before_ms=1_000, after_ms=100)
    times = [NOW, NOW + 9, NOW + 10, NOW + 19, NOW + 5_000, NOW - 5_000]
    assert [placed([Record(b"")], topic, time) for time in times] == [[1], [1], [2], [2], [0], [1]]


def test_what_a_topic_does_not_take_is_refused_here() -> None:
    topic = Topic("id", 2, before_ms=1_000, after_ms=100)
    times = [NOW - 1_001, NOW - 1_000, NOW, NOW + 100, NOW + 101, 0, -1]
    assert placed([Record(b"", partition=0, timestamp=time) for time in times], topic) == [
        "invalid_timestamp", 0, 0, 0, "invalid_timestamp", "invalid_timestamp", "invalid_timestamp"
    ]  # fmt: skip
    large = [
        Record(b"x" * 10),
        Record(b"x" * 10, b"k"),
        Record(None, partition=2),
        Record(None, partition=-1),
    ]
    assert placed(large, topic) == [1, "record_too_large", "unknown_partition", "unknown_partition"]


def threads_of_librdkafka() -> set[str]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it ended meanwhile
            if task.joinpath("comm").read_text().startswith("rdk:"):
                found.add(task.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for its threads")
def test_a_closed_log_leaves_no_thread_behind(tmp_path: Path) -> None:
    """It might ask for a token, and there collect its own client, at which librdkafka ends the process."""
    before = threads_of_librdkafka()  # an earlier test's client may be ending just now
    log = KafkaEventLog("127.0.0.1:1", KafkaSettings(), kafka_partition, 4_096, tmp_path / "intents.sqlite")
    assert threads_of_librdkafka() - before
    log.close()
    assert not threads_of_librdkafka() - before
