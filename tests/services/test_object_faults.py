"""S3 behind a network that fails: nothing torn is seen as whole, and put_if_absent tells the truth."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.config import ObjectSettings, variables
from pinterest_pipeline.errors import Forbidden, SettingError, Unavailable
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.store import open_store
from tests.command import pinpipe
from tests.faults import Fault, FaultProxy

pytestmark = pytest.mark.services

CONTENT = bytes(range(256)) * 4_000
PASSING = [fault for fault in Fault if fault is not Fault.FORBIDDEN]
NOT_CARRIED_OUT = [Fault.INTERNAL_ERROR, Fault.SLOW_DOWN, Fault.RESET_REQUEST]
CARRIED_OUT = [Fault.SWALLOW, Fault.ERROR_AFTER]


@pytest.fixture
def proxy(s3: ObjectSettings) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def direct(s3_prefix: ObjectSettings, tmp_path: Path) -> ObjectStore:
    """The store as it is, without the proxy."""
    return open_store(s3_prefix, tmp_path)


@pytest.fixture
def behind(s3_prefix: ObjectSettings, proxy: FaultProxy) -> ObjectSettings:
    """What reaches the same store through the proxy; it gives up soon."""
    changes = {"endpoint": proxy.endpoint, "timeout_seconds": 1.0, "retry_seconds": 20.0}
    return s3_prefix.model_copy(update=changes)


@pytest.fixture
def store(behind: ObjectSettings, tmp_path: Path) -> ObjectStore:
    return open_store(behind, tmp_path)


@pytest.mark.parametrize("fault", PASSING)
def test_a_put_outlives_a_fault_and_knows_its_own_object(
    store: ObjectStore, direct: ObjectStore, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.fail(fault, method="PUT")
    assert store.put_if_absent("a", CONTENT)
    assert direct.get("a") == CONTENT
    assert not store.put_if_absent("a", CONTENT)


@pytest.mark.parametrize("fault", CARRIED_OUT)
def test_another_writers_object_is_never_taken_for_our_own(
    store: ObjectStore, direct: ObjectStore, proxy: FaultProxy, fault: Fault
) -> None:
    direct.put_if_absent("a", CONTENT)
    proxy.fail(fault, method="PUT")
    assert not store.put_if_absent("a", CONTENT)


@pytest.mark.parametrize("fault", PASSING)
def test_what_is_read_through_a_fault_is_whole(
    store: ObjectStore, direct: ObjectStore, proxy: FaultProxy, fault: Fault, tmp_path: Path
) -> None:
    direct.put_if_absent("a", CONTENT)
    proxy.fail(fault, method="GET")
    assert store.get("a") == CONTENT
    proxy.fail(fault, method="GET")
    assert store.fetch(["a"], tmp_path)[0].read_bytes() == CONTENT
    proxy.fail(fault, method="GET")
    assert store.tail("a", 1_000) == CONTENT[-1_000:]


@pytest.mark.parametrize("fault", [*NOT_CARRIED_OUT, Fault.HANG])
def test_a_fault_that_does_not_pass_is_said_and_nothing_is_there(
    behind: ObjectSettings,
    store: ObjectStore,
    direct: ObjectStore,
    proxy: FaultProxy,
    fault: Fault,
    tmp_path: Path,
) -> None:
    hasty = open_store(behind.model_copy(update={"retry_seconds": 1.0, "timeout_seconds": 0.3}), tmp_path)
    proxy.fail(fault, times=None)
    with pytest.raises(Unavailable, match="does not answer"):
        hasty.put_if_absent("a", CONTENT)
    assert direct.head("a") is None
    proxy.heal()
    assert store.put_if_absent("a", CONTENT)


@pytest.mark.parametrize("fault", CARRIED_OUT)
def test_answers_that_never_come_leave_a_whole_object_and_an_error(
    behind: ObjectSettings, direct: ObjectStore, proxy: FaultProxy, fault: Fault, tmp_path: Path
) -> None:
    store = open_store(behind.model_copy(update={"retry_seconds": 1.0}), tmp_path)
    proxy.fail(fault, times=None)
    with pytest.raises(Unavailable):
        store.put_if_absent("a", CONTENT)
    assert direct.get("a") == CONTENT


@pytest.mark.parametrize("fault", PASSING)
def test_a_listing_outlives_a_fault_and_is_whole(
    store: ObjectStore, direct: ObjectStore, proxy: FaultProxy, fault: Fault
) -> None:
    keys = [f"t/{number}" for number in range(5)]
    for key in keys:
        direct.put_if_absent(key, b"x")
    proxy.fail(fault, method="GET")
    assert [found.key for found in store.list("t")] == keys


def test_a_refusal_names_the_permission_and_is_not_repeated(store: ObjectStore, proxy: FaultProxy) -> None:
    proxy.fail(Fault.FORBIDDEN, times=None)
    with pytest.raises(Forbidden, match=r"PutObject of s3://.*/a \(AccessDenied\).*allow s3:PutObject"):
        store.put_if_absent("a", b"x")
    assert len(proxy.requests) == 1
    with pytest.raises(Forbidden, match="allow s3:ListBucket"):
        list(store.list(""))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"access_key_id": "UNKNOWN"}, "does not know the access key"),
        ({"secret_access_key": "wrong"}, "PINPIPE_OBJECTS__SECRET_ACCESS_KEY"),
    ],
)
def test_a_wrong_key_says_which_setting_is_wrong(
    s3: ObjectSettings, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    store = open_store(ObjectSettings.model_validate(s3.model_dump() | changes), tmp_path)
    for ask in (lambda: store.put_if_absent("a", b"x"), lambda: list(store.list(""))):
        with pytest.raises(Forbidden, match=said) as raised:
            ask()
        assert "wrong" not in raised.value.problem


def test_a_bucket_that_is_not_there_is_a_wrong_setting(s3: ObjectSettings, tmp_path: Path) -> None:
    store = open_store(s3.model_copy(update={"url": "s3://no-such-bucket/x"}), tmp_path)
    with pytest.raises(SettingError, match=r"no bucket for s3://no-such-bucket/x.*PINPIPE_OBJECTS__URL"):
        list(store.list(""))
    with pytest.raises(SettingError, match="no bucket"):
        store.get("a")


def test_the_doctor_names_what_is_wrong_with_a_store(s3: ObjectSettings, tmp_path: Path) -> None:
    settings = dict(variables(s3, "PINPIPE_OBJECTS__"))
    assert "✓ objects: s3://pinpipe" in pinpipe(tmp_path, "doctor", settings=settings).stdout
    settings["PINPIPE_OBJECTS__URL"] = "s3://no-such-bucket"
    found = pinpipe(tmp_path, "doctor", settings=settings)
    assert "✗ objects: there is no bucket for s3://no-such-bucket" in found.stdout
    assert found.returncode == 1


def test_a_server_that_is_gone_is_said_to_be(s3: ObjectSettings, tmp_path: Path) -> None:
    with FaultProxy(s3.endpoint) as proxy:
        changes = {"endpoint": proxy.endpoint, "retry_seconds": 0.5}
        store = open_store(s3.model_copy(update=changes), tmp_path)
    with pytest.raises(Unavailable, match="does not answer"):
        store.get("a")


def test_who_waits_for_a_store_sees_which_and_how_long(s3: ObjectSettings, tmp_path: Path) -> None:
    with FaultProxy(s3.endpoint) as proxy:
        settings = dict(variables(s3, "PINPIPE_OBJECTS__"))
        settings |= {"PINPIPE_OBJECTS__ENDPOINT": proxy.endpoint, "PINPIPE_OBJECTS__RETRY_SECONDS": "2"}
    gone = pinpipe(tmp_path, "load", settings=settings)
    assert gone.returncode == 3
    waiting, _, given_up = gone.stderr.rpartition("\nerror:")
    assert "the store fails; trying again" in waiting
    assert f"store={proxy.endpoint}" in waiting
    assert "up_to_seconds=2.0" in waiting
    assert "does not answer" in given_up
