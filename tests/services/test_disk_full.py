"""A full disk is one clear message and the right exit code; with room again everything goes on."""

from pathlib import Path

import pytest

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.sink.verification import manifest_problems
from pinterest_pipeline.workspace import Workspace
from tests.command import pinpipe
from tests.services.sink_process import SinkProcess, until

pytestmark = pytest.mark.services


def test_filling_a_full_disk_says_so_and_works_again_with_room(small_disk: Path) -> None:
    (small_disk / "db_creds.yaml").write_text("URL: sqlite:///posts.sqlite\n")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(5 * 2**20))
    full = pinpipe(small_disk, "fill", "--count", "5000")
    assert full.returncode == 6, full.stderr
    assert "Traceback" not in full.stderr
    assert "error:" in full.stderr
    ballast.unlink()
    again = pinpipe(small_disk, "fill", "--count", "1000")
    assert again.returncode == 0, again.stderr
    assert "1,000 posts" in again.stdout


def test_a_demo_on_a_full_disk_ends_with_the_right_code(small_disk: Path) -> None:
    done = pinpipe(small_disk, "demo")
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr


def test_a_sink_on_a_full_disk_says_so_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    log = Workspace(load_settings(data=tmp_path / "data")).topics_log()
    topic = f"{load_settings().pipeline_id}.pin"
    log.create(topic, 1)
    log.append(topic, [Record(b'{"text":"%s"}' % (b"x" * 900)) for _ in range(2_000)]).result()
    settings = {
        "PINPIPE_DATA": str(tmp_path / "data"),
        "PINPIPE_OBJECTS__URL": (small_disk / "objects").as_uri(),
        "PINPIPE_SINK__FLUSH_SIZE": "500",
    }
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(5 * 2**20))
    full = pinpipe(tmp_path, "sink", settings=settings)
    assert full.returncode == 6, full.stderr
    assert "Traceback" not in full.stderr
    ballast.unlink()
    sink = SinkProcess(tmp_path, settings)
    until(lambda: log.committed("sink", topic) == {0: 2_000}, [sink])
    assert sink.stop() == 0
    assert manifest_problems(FolderStore(small_disk / "objects"), "topics", (topic, 0), 0, 2_000) == []
    log.close()
