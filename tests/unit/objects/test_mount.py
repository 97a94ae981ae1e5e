import pytest

from pinterest_pipeline.errors import Forbidden, SettingError
from pinterest_pipeline.objects.mount import KEY, KEY_ID, mounted
from tests.databricks_stand_in import Dbutils
from tests.dbfs_stand_in import Mounts

GOOD = "good/key+with@signs"


def dbutils(fs: Mounts, key: str = GOOD) -> Dbutils:
    return Dbutils(secrets={("pins", KEY_ID): "AKIAEXAMPLE", ("pins", KEY): key}, fs=fs)


def test_a_bucket_is_mounted_once_and_no_key_is_in_its_address() -> None:
    fs = Mounts(GOOD)
    for _ in range(2):
        assert mounted(dbutils(fs), "posts", "pins") == "/mnt/posts"
    assert [(mount.mountPoint, mount.source) for mount in fs.mounts()] == [("/mnt/posts", "s3a://posts")]


def test_a_mount_that_was_half_done_is_made_anew() -> None:
    fs = Mounts(GOOD, dies=1)
    with pytest.raises(RuntimeError, match="half done"):
        mounted(dbutils(fs), "posts", "pins")
    assert fs.mounts() != []
    assert mounted(dbutils(fs), "posts", "pins") == "/mnt/posts"
    assert fs.ls("/mnt/posts") == ["topics/"]


def test_wrong_keys_leave_no_mount_behind_and_are_not_repeated() -> None:
    fs = Mounts(GOOD)
    with pytest.raises(Forbidden, match="scope 'pins'") as raised:
        mounted(dbutils(fs, "bad-key"), "posts", "pins")
    assert fs.mounts() == []
    assert "bad-key" not in str(raised.value)
    assert mounted(dbutils(fs), "posts", "pins") == "/mnt/posts"


def test_the_mount_of_another_source_is_left_alone() -> None:
    fs = Mounts(GOOD)
    fs.mount("wasbs://others", "/mnt/posts", extra_configs={"fs.s3a.secret.key": GOOD})
    with pytest.raises(SettingError, match="another source"):
        mounted(dbutils(fs), "posts", "pins")
    assert [mount.source for mount in fs.mounts()] == ["wasbs://others"]
