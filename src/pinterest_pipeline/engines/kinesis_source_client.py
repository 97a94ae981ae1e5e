"""Kinesis by boto3, for the driver and the tasks of the source `kinesis`."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import boto3  # type: ignore[import-untyped] # it has no types
from botocore.config import Config  # type: ignore[import-untyped] # it has no types
from botocore.credentials import (  # type: ignore[import-untyped] # it has no types
    RefreshableCredentials,
)
from botocore.exceptions import (  # type: ignore[import-untyped] # it has no types
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.session import get_session  # type: ignore[import-untyped] # it has no types

from pinterest_pipeline.engines.kinesis_source_offsets import Lineage
from pinterest_pipeline.engines.kinesis_source_options import KinesisOptions
from pinterest_pipeline.errors import (
    AWS_THROTTLED,
    Fatal,
    Forbidden,
    Retryable,
    SettingError,
    Throttled,
    Unavailable,
)

_WAITS: Final = tuple(min(2.0**tries, 20.0) for tries in range(11))  # seconds; about two minutes in all
_REFUSED: Final = frozenset(
    {
        "AccessDeniedException",
        "AccessDenied",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)


class Described(NamedTuple):
    """A stream: when it was created (ms since 1970) and how long it keeps records (ms)."""

    created: int
    retention_ms: int


class Answer(NamedTuple):
    """Records of a shard, as boto3 has them; how to go on, or None at its end; how far behind the end."""

    records: list[dict[str, Any]]
    next_iterator: str | None
    behind_ms: int
    now: int
    """The service's clock, ms since 1970, to the second."""


class Kinesis:
    """The operations that the source needs; several threads may use it.

    What may pass by itself (throttling, a service that does not answer) is tried again with growing waits.
    Raises Forbidden, Throttled, Unavailable and Fatal.
    """

    def __init__(self, options: KinesisOptions) -> None:
        self._options = options
        with explained():
            self._client = _session(options).client(
                "kinesis",
                endpoint_url=options.endpoint or None,
                config=Config(retries={"total_max_attempts": 1}),
            )

    def describe(self, stream: str) -> Described:
        found = self._ask("describe_stream_summary", **self._of(stream))["StreamDescriptionSummary"]
        hours = found["RetentionPeriodHours"]
        return Described(milliseconds(found["StreamCreationTimestamp"]), hours * 3_600_000)

    def now(self, stream: str) -> int:
        """The service's clock (ms since 1970), to the second."""
        return _clock(self._ask("list_shards", **self._of(stream), MaxResults=1))

    def shards(self, stream: str, since: int | None = None) -> Lineage:
        """Each shard and its parents; with `since` (ms since 1970) only those open at that time or later."""
        body: dict[str, Any] = self._of(stream)
        if since is not None:
            body["ShardFilter"] = {"Type": "FROM_TIMESTAMP", "Timestamp": since / 1000}
        lineage: dict[str, tuple[str, ...]] = {}
        while body:
            page = self._ask("list_shards", **body, MaxResults=self._options.max_shards_per_describe)
            for shard in page["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                lineage[shard["ShardId"]] = tuple(filter(None, parents))
            body = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
        return lineage

    def iterator(self, stream: str, shard: str, kind: str, **at: Any) -> str:
        asked = self._of(stream) | {"ShardId": shard, "ShardIteratorType": kind}
        found = self._ask("get_shard_iterator", **asked, **at)
        return str(found["ShardIterator"])

    def get(self, iterator: str, most: int) -> Answer:
        body = {"StreamARN": self._options.stream_arn} if self._options.stream_arn else {}
        found = self._ask("get_records", ShardIterator=iterator, Limit=most, **body)
        return Answer(
            found["Records"],
            found.get("NextShardIterator"),
            found.get("MillisBehindLatest", 0),
            _clock(found),
        )

    def _ask(self, operation: str, **request: Any) -> dict[str, Any]:
        """The answer. The retries of boto3 have one quota, and several readers of a shard use it up."""
        for wait in _WAITS:
            try:
                return self._ask_once(operation, request)
            except Retryable:
                time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 -- no secret depends on it
        return self._ask_once(operation, request)

    def _ask_once(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        with explained():
            answer: dict[str, Any] = getattr(self._client, operation)(**request)
            return answer

    def _of(self, stream: str) -> dict[str, Any]:
        if self._options.stream_arn:
            return {"StreamARN": self._options.stream_arn}
        return {"StreamName": stream}


class Gone(Fatal):
    """What was asked for is not there (any more): a stream, a shard, a place in it."""


class Expired(Fatal):
    """The iterator was not used for too long."""


@contextmanager
def explained() -> Iterator[None]:
    """boto3's errors as ours."""
    try:
        yield
    except ClientError as error:
        raise _translated(error.response) from error
    except NoCredentialsError:
        raise Forbidden(
            "there are no credentials for Kinesis", "give awsAccessKey and awsSecretKey, or a profile of AWS"
        ) from None
    except NoRegionError:
        raise SettingError("the region of the streams is not known", "give the option region") from None
    except (NotConnected, HTTPClientError) as error:
        raise Unavailable(
            f"Kinesis does not answer: {error}", "see the options region and endpoint"
        ) from error
    except BotoCoreError as error:
        raise Fatal(f"Kinesis cannot be asked: {error}", "see the options of the source") from error


def _translated(response: dict[str, Any]) -> Exception:
    error = response.get("Error", {})
    code, message = error.get("Code", ""), error.get("Message", "")
    text = f"Kinesis answers {code}: {message}"
    if code == "ExpiredIteratorException":
        return Expired(text)
    if code in ("ResourceNotFoundException", "InvalidArgumentException"):
        return Gone(text)
    if code in _REFUSED:
        return Forbidden(
            text, "the source needs DescribeStreamSummary, ListShards, GetShardIterator, GetRecords"
        )
    if code in AWS_THROTTLED:
        return Throttled(text, "lower maxFetchRate, or read with fewer queries at once")
    if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return Unavailable(text, "try again later")
    return Fatal(text)


def milliseconds(time: datetime) -> int:
    """A time of boto3 in milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def _clock(answer: dict[str, Any]) -> int:
    return milliseconds(parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]))


def _session(options: KinesisOptions) -> Any:
    secret, token = options.aws_secret_key, options.session_token
    session = boto3.Session(
        aws_access_key_id=options.aws_access_key or None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        region_name=options.region or None,
    )
    return _in_role(session, options) if options.role_arn else session


def _in_role(session: Any, options: KinesisOptions) -> Any:
    """A session in the role, whose keys are asked for again before they end."""
    sts = session.client("sts", endpoint_url=options.sts_endpoint or None)
    request = {"RoleArn": options.role_arn, "RoleSessionName": options.role_session_name or "pinpipe"}
    if options.role_external_id:
        request["ExternalId"] = options.role_external_id

    def keys() -> dict[str, str]:
        found = sts.assume_role(**request)["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }

    own = get_session()
    own._credentials = RefreshableCredentials.create_from_metadata(keys(), keys, "assume-role")
    own.set_config_variable("region", session.region_name)
    return boto3.Session(botocore_session=own)
