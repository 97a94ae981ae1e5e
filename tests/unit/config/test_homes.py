"""A working folder remembers where its topics and objects are."""

from pathlib import Path

import pytest

from pinterest_pipeline.config import load_settings, remember
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.local import chosen_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("named_by", ["environment", "file", "default"])
def test_a_choice_is_kept_for_every_later_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    folder = Path("pinpipe-data") if named_by == "default" else tmp_path / "other"
    if named_by == "environment":
        monkeypatch.setenv("PINPIPE_DATA", str(folder))
    elif named_by == "file":
        Path("pinpipe.toml").write_text(f'data = "{folder}"\n')
    folder.mkdir()
    remember(chosen_settings(load_settings(), on_kafka=True, on_s3=True))
    settings = load_settings()
    assert (settings.data, settings.log.home, settings.objects.url) == (folder, "kafka", "pinpipe:s3")


def test_the_environment_comes_before_what_the_folder_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(chosen_settings(load_settings(data=tmp_path), on_kafka=True, on_s3=False))
    monkeypatch.setenv("PINPIPE_LOG__HOME", "sqlite")
    monkeypatch.setenv("PINPIPE_LOG__PARTITIONS", "5")
    settings = load_settings(data=tmp_path)
    assert (settings.log.home, settings.log.partitions, settings.objects.url) == ("sqlite", 5, "")
    assert load_settings(data=tmp_path / "another").log.home == "sqlite"


def test_a_misspelt_variable_is_told_the_name_it_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINPIPE_GATEWAY__PROT", "8083")
    with pytest.raises(SettingError, match=r"did you mean PINPIPE_GATEWAY__PORT\?"):
        load_settings()
