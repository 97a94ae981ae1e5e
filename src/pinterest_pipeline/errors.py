"""One tree of errors, told apart by what to do about them.

PipelineError            says what was wrong, what was found, what to do; carries an exit code
├── BadRecord            one record cannot be read: quarantine it, go on
├── Retryable            may pass by itself: back off and try again
│   ├── Unavailable      a part does not answer
│   ├── KeyInFlight      the first request of an idempotency key is not over
│   ├── Throttled        a shard has taken or given all that it does in a second
│   └── Fenced           another member of the group holds the partitions now
└── Fatal                will not pass by itself: stop and say so
    ├── SettingError     a setting is missing, unknown or out of bounds
    ├── BadInput         a file or an argument holds something that cannot be read
    │   ├── DamagedTable      files of a table cannot be read
    │   ├── UnknownPartition  the topic has no such partition
    │   ├── StreamReplaced    the stream that a table was read from is gone, or another one has its name
    │   └── RecordsExpired    records left a stream before they were read
    ├── PortInUse        another process listens where we should
    ├── AlreadyRunning   another process of the same room works in the same folder
    ├── DiskFull         the disk has no room left
    ├── UnknownTopic     the event log has no such topic or stream
    ├── TopicExists      the event log has that topic or stream already
    ├── StreamInUse      a stream is being made, changed or deleted
    ├── LimitExceeded    more streams, shards or tags than there may be
    ├── UnknownGroup     the event log knows no such group of consumers
    ├── UnknownConsumer  the gateway has no such consumer instance
    ├── ConsumerExists   the gateway has a consumer instance of that name already
    ├── IllegalState     what is asked for does not go with what the consumer instance does now
    ├── NoSuchObject     the store holds no object at a key
    ├── KeyReused        an idempotency key came again with another request
    ├── Forbidden        a login or a permission was refused
    ├── MissingPart      an optional part of the pipeline is not installed
    └── Disagreement     the figures of two ways to count do not agree
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class PipelineError(Exception):
    """What was wrong, and what the reader can do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}" if remedy else problem)


class BadRecord(PipelineError):
    exit_code = 4


class Retryable(PipelineError):
    exit_code = 3


class Unavailable(Retryable):
    pass


class KeyInFlight(Retryable):
    def __init__(self) -> None:
        super().__init__(
            "the first request with this idempotency key is not over", "send again a little later"
        )


class Throttled(Retryable):
    pass


class Fenced(Retryable):
    pass


class Fatal(PipelineError):
    pass


class SettingError(Fatal):
    exit_code = 2


class BadInput(Fatal):
    exit_code = 4


class DamagedTable(BadInput):
    def __init__(self, reason: object) -> None:
        super().__init__(
            f"a table cannot be read: {reason}",
            "remove the folder of that table: the next load makes it again, of the objects or the stream",
        )


class PortInUse(Fatal):
    exit_code = 5


class AlreadyRunning(Fatal):
    exit_code = 5


class DiskFull(Fatal):
    exit_code = 6


class UnknownTopic(Fatal):
    exit_code = 4

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no topic or stream is named '{name}'", "create it, or check the spelling")


class UnknownPartition(BadInput):
    def __init__(self, topic: str, partition: int | str) -> None:
        super().__init__(f"'{topic}' has no partition {partition}", "ask for its partitions first")


class StreamReplaced(BadInput):
    pass


class RecordsExpired(BadInput):
    pass


class TopicExists(Fatal):
    exit_code = 4

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"a topic or stream named '{name}' exists already")


class StreamInUse(Fatal):
    exit_code = 4


class LimitExceeded(Fatal):
    exit_code = 4


class UnknownGroup(Fatal):
    exit_code = 4

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no group of consumers is named '{name}'")


class UnknownConsumer(Fatal):
    exit_code = 4


class ConsumerExists(Fatal):
    exit_code = 4


class IllegalState(Fatal):
    exit_code = 4


class NoSuchObject(Fatal):
    exit_code = 4

    def __init__(self, where: str) -> None:
        super().__init__(f"there is no object {where}", "it was deleted, or it is the wrong store")


class KeyReused(Fatal):
    exit_code = 4

    def __init__(self) -> None:
        super().__init__(
            "this idempotency key was used for another request",
            "give each request a key of its own; repeat a request unchanged",
        )


class Forbidden(Fatal):
    exit_code = 7


class MissingPart(Fatal):
    exit_code = 2

    def __init__(self, problem: str, extra: str) -> None:
        """`extra` is the name of the group of dependencies that brings the part."""
        chore = "spark" if extra == "spark" else "extras"
        super().__init__(problem, f"in the project's folder: make {chore}, or pip install '.[{extra}]'")


class Disagreement(Fatal):
    exit_code = 1


NO_SPACE_TEXTS = ("no space left", "disk is full", "disk full", "quota exceeded", "out of disk")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of any library says that the disk has no room left."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(text in str(error).lower() for text in NO_SPACE_TEXTS)


AWS_THROTTLED = frozenset(
    {
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
    }
)
"""What AWS calls it when requests come too fast: each passes."""

_MISSING = re.compile(r'No files found that match the pattern "(.*)"')  # DuckDB's words


@contextmanager
def missing_named() -> Iterator[None]:
    """A file that a library misses is an object that is gone: small ones are merged while others read."""
    try:
        yield
    except Exception as error:
        said = _MISSING.search(str(error))
        if isinstance(error, FileNotFoundError) or said:
            raise NoSuchObject(said[1] if said else str(getattr(error, "filename", ""))) from error
        raise


def unusable(path: Path, error: OSError) -> PipelineError:
    """What it means that the system does not let us use a file."""
    if is_disk_full(error):
        return DiskFull(f"the disk of {path} is full", "free some space")
    return Unavailable(f"{path} cannot be used: {error.strerror}")
