"""The options of the source `kinesis` are Databricks', by name, default and bound."""

import pickle
from typing import Any

import pytest

from pinterest_pipeline.engines.kinesis_source_options import (
    NO_EFFECT,
    KinesisOptions,
    kinesis_options,
    option_names,
)
from pinterest_pipeline.engines.kinesis_source_position import milliseconds
from pinterest_pipeline.errors import SettingError

# As Databricks' documentation lists them ("Connect to Amazon Kinesis").
DEFAULTS = {
    "initialPosition": "latest",
    "maxRecordsPerFetch": 10_000,
    "maxFetchRate": 1.0,
    "maxFetchDuration": "10s",
    "minFetchPeriod": "400ms",
    "fetchBufferSize": "20gb",
    "shardsPerTask": 5,
    "shardFetchInterval": "1s",
    "maxShardsPerDescribe": 100,
    "consumerMode": "polling",
}
WITHOUT_A_DEFAULT = {
    "streamName",
    "streamARN",
    "region",
    "endpoint",
    "awsAccessKey",
    "awsSecretKey",
    "sessionToken",
    "roleArn",
    "roleExternalId",
    "roleSessionName",
    "stsEndpoint",
}
TUNING_OF_DATABRICKS = {"coalesceThresholdBlockSize", "coalesceBinSize", "avoidEmptyBatches"}


def refusal(**given: str) -> str:
    with pytest.raises(SettingError) as caught:
        kinesis_options({"streamName": "s"} | given)
    return str(caught.value)


def test_names_and_defaults_are_those_of_databricks() -> None:
    fields = {field.alias: field.default for field in KinesisOptions.model_fields.values()}
    assert set(fields) == set(DEFAULTS) | WITHOUT_A_DEFAULT
    assert {name: fields[name] for name in DEFAULTS} == DEFAULTS
    assert all(not fields[name] for name in WITHOUT_A_DEFAULT)
    assert set(NO_EFFECT) >= TUNING_OF_DATABRICKS
    assert set(option_names()) == set(fields)


def test_what_the_defaults_mean() -> None:
    options = kinesis_options({"streamName": "a, b"})
    assert options.streams == ("a", "b")
    assert (options.max_fetch_duration, options.min_fetch_period) == (10.0, 0.4)
    assert (options.fetch_buffer_size, options.bytes_a_second) == (20 * 2**30, 10**6)
    assert options.initial_position == "latest"


def test_names_are_case_insensitive_and_an_arn_names_one_stream() -> None:
    arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/pins"
    options = kinesis_options({"STREAMarn": arn, "maxrecordsperfetch": "7", "endpoint": "kinesis.example:99"})
    assert options.streams == ("pins",)
    assert options.max_records_per_fetch == 7
    assert options.endpoint == "https://kinesis.example:99"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"maxFetchRate": "2.5"}, "maxFetchRate"),
        ({"maxFetchRate": "fast"}, "maxFetchRate"),
        ({"maxRecordsPerFetch": "10001"}, "maxRecordsPerFetch"),
        ({"minFetchPeriod": "100ms"}, "minFetchPeriod"),
        ({"maxFetchDuration": "10"}, "maxFetchDuration: write it like 10s"),
        ({"fetchBufferSize": "much"}, "fetchBufferSize: write it like 20gb"),
        ({"shardsPerTask": "0"}, "shardsPerTask"),
        ({"maxShardsPerDescribe": "20000"}, "maxShardsPerDescribe"),
        ({"consumerMode": "efo"}, "consumerMode: only polling is built here"),
        ({"initialPosition": "newest"}, "initialPosition: write one of latest, trim_horizon"),
        ({"streamARN": "arn:aws:sns:x"}, "streamARN"),
        ({"streamName": ""}, "streamName or streamARN"),
        ({"streamName": "a,a"}, "streamName: a stream is named twice"),
        ({"streamName": "a b"}, "'a b' is no name of a stream"),
        ({"awsAccessKey": "k"}, "awsAccessKey and awsSecretKey go together"),
        ({"roleSessionName": "r"}, "go with roleArn"),
        ({"sessionToken": "t"}, "sessionToken goes with"),
        ({"endpoint": "http://a/b"}, "endpoint"),
        ({"serviceCredential": "c"}, "only Databricks keeps"),
        ({"maxRecordPerFetch": "1"}, "did you mean maxRecordsPerFetch?"),
        ({"colour": "red"}, "it has streamName"),
    ],
)
def test_what_is_wrong_or_unknown_is_refused_by_its_name(given: dict[str, str], says: str) -> None:
    assert says in refusal(**given)


def test_a_wrong_secret_is_not_repeated_and_none_is_printed() -> None:
    keys = {"awsAccessKey": "a", "awsSecretKey": "hidden"}
    assert "hidden" not in refusal(**keys, shardsPerTask="hidden")
    options = kinesis_options({"streamName": "s"} | keys)
    assert "hidden" not in repr(options)
    assert pickle.loads(pickle.dumps(options)) == options


def test_what_databricks_alone_tunes_is_taken_without_effect() -> None:
    given = dict.fromkeys(NO_EFFECT, "1") | {"streamName": "s"}
    assert kinesis_options(given) == kinesis_options({"streamName": "s"})


NOON_UTC = 1_593_079_200_000


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("latest", "latest"),
        ("TRIM_HORIZON", "trim_horizon"),
        ("earliest", "trim_horizon"),
        ('{"at_timestamp": "06/25/2020 10:00:00 GMT"}', NOON_UTC),
        ('{"at_timestamp": "06/25/2020 03:00:00 PDT", "format": "MM/dd/yyyy HH:mm:ss ZZZ"}', NOON_UTC),
        ('{"at_timestamp": "2020-06-25 10:00:00.5", "format": "yyyy-MM-dd HH:mm:ss.SSS"}', NOON_UTC + 500),
        ('{"at_timestamp": "2020-06-25T12:00:00+02:00", "format": "yyyy-MM-dd\'T\'HH:mm:ssXXX"}', NOON_UTC),
        (
            '{"at_timestamp": "2020/6/25 10:00:00 Europe/London", "format": "yyyy/M/d H:mm:ss VV"}',
            NOON_UTC - 3_600_000,
        ),
    ],
)
def test_all_forms_of_the_initial_position(text: str, position: Any) -> None:
    assert kinesis_options({"streamName": "s", "initialPosition": text}).initial_position == position


@pytest.mark.parametrize(
    ("text", "java_format", "says"),
    [
        ("10:00", "HH:mm:ss", "does not fit"),
        ("Thu", "EEE", "'EEE' in the format is not known"),
        ("10 US", "HH z", "'US' is no time zone"),
        ("10 UTC +0000", "HH z Z", "names one part of a time twice"),
        ("1 XYZ", "d ZZZ", "'XYZ' is no time zone"),
        ("31/02/2020", "dd/MM/yyyy", "day"),
    ],
)
def test_a_time_that_cannot_be_read_is_refused(text: str, java_format: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        milliseconds(text, java_format)
