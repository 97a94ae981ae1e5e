"""Delta's jars for Spark: from Maven Central once, each checked against its digest."""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from pinterest_pipeline.errors import DiskFull, Unavailable, is_disk_full

DELTA_VERSION: Final = "4.4.0"
_CENTRAL: Final = "https://repo1.maven.org/maven2/io/delta"
_PATIENCE_SECONDS: Final = 60.0
# Artifact -> SHA-256. Unity Catalog's client, on which delta-storage also depends, is not needed here.
_JARS: Final = {
    "delta-spark_4.2_2.13": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "delta-storage": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
}

Say = Callable[[str], None]


def delta_jars(cache: Path, say: Say) -> Path:
    """The folder with Delta's jars, downloaded into `cache` when they are not there.

    Raises Unavailable when Maven Central does not answer as it should, DiskFull.
    """
    folder = cache.expanduser() / f"delta-spark-{DELTA_VERSION}"
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _turn(folder.parent):  # several processes may ask at once
            if not folder.exists():
                say(f"downloading Delta {DELTA_VERSION} for Spark (10 MB, once) into {folder} ...")
                _download(folder)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"no room for Delta's jars in {folder.parent}", "free 20 MB") from error
        raise
    return folder


@contextmanager
def _turn(cache: Path) -> Iterator[None]:
    with (cache / "delta-spark.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(folder: Path) -> None:
    """Fetch into a folder of its own, then move it: a folder that is there is complete."""
    with tempfile.TemporaryDirectory(prefix="partial-delta-", dir=folder.parent) as name:
        complete = Path(name) / "complete"
        complete.mkdir()
        for artifact, digest in _JARS.items():
            jar = f"{artifact}-{DELTA_VERSION}.jar"
            (complete / jar).write_bytes(_fetched(f"{_CENTRAL}/{artifact}/{DELTA_VERSION}/{jar}", digest))
        complete.rename(folder)


def _fetched(url: str, digest: str) -> bytes:
    try:
        content = httpx.get(url, timeout=_PATIENCE_SECONDS, follow_redirects=True).raise_for_status().content
    except httpx.HTTPError as error:
        raise Unavailable(
            f"Delta's jars cannot be had: {url}: {error}", "Maven Central is asked for them; try again"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise Unavailable(
            f"{url} gave a file that is not Delta {DELTA_VERSION}", "look at what stands between; try again"
        )
    return content
