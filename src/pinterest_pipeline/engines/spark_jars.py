"""Delta's jars for Spark: from Maven Central once, each checked against its digest."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.parts import Jars, Say, jars_folder

DELTA_VERSION: Final = "4.4.0"
_DELTA: Final = Jars(
    owner="Delta",
    title=f"Delta {DELTA_VERSION} for Spark",
    name="delta-spark",
    version=DELTA_VERSION,
    size="10 MB",
    room="20 MB",
)
_CENTRAL: Final = "https://repo1.maven.org/maven2/io/delta"
_PATIENCE_SECONDS: Final = 60.0
# Artifact -> SHA-256. Unity Catalog's client, on which delta-storage also depends, is not needed here.
_JARS: Final = {
    "delta-spark_4.2_2.13": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "delta-storage": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
}


def delta_jars(cache: Path, say: Say) -> Path:
    """The folder with Delta's jars, downloaded into `cache` when they are not there.

    Raises Unavailable when Maven Central does not answer as it should, DiskFull.
    """
    return jars_folder(_DELTA, cache, say, _downloaded)


def _downloaded(work: Path) -> Iterator[Path]:
    for artifact, digest in _JARS.items():
        jar = work / f"{artifact}-{DELTA_VERSION}.jar"
        jar.write_bytes(_fetched(f"{_CENTRAL}/{artifact}/{DELTA_VERSION}/{jar.name}", digest))
        yield jar


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
