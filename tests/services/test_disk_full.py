"""A full disk is one clear message and the right exit code; with room again everything goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import pinpipe

pytestmark = pytest.mark.services


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 6 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


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
