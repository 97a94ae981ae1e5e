"""One request at a time for each consumer instance, among all gateways of a folder."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from pinterest_pipeline.gateway.consumer_file import translated


@dataclass(slots=True)
class Turn:
    """The turn on an instance, until it is ended; the system ends it when its process dies."""

    id: int
    _descriptor: int

    def end(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


class Turns:
    """Turns as locks on one empty file for each instance: ids of instances are never given twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, id_: int) -> Turn | None:
        """The turn, or None while somebody else has it; never waits. Raises DiskFull, Unavailable."""
        path = self._folder / str(id_)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                os.close(descriptor)
                raise
        except BlockingIOError:
            return None
        except OSError as error:
            raise translated(error, path) from error
        return Turn(id_, descriptor)

    def forget(self, id_: int) -> None:
        """Remove the file of an instance that is no more; its turn ends as any other. Raises Unavailable."""
        path = self._folder / str(id_)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise translated(error, path) from error
