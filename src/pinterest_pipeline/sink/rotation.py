"""When an object is closed (pure)."""

from dataclasses import dataclass, field

from pinterest_pipeline.config import SinkSettings


@dataclass(slots=True)
class OpenObject:
    """The lines of one topic-partition that wait for their object."""

    start: int
    opened: float
    """Monotonic seconds at which the first line came."""
    end: int
    """Offset after the last line."""
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes, newlines included."""

    def add(self, line: bytes, offset: int) -> None:
        self.lines.append(line)
        self.size += len(line) + 1
        self.end = offset + 1

    def content(self) -> bytes:
        return b"\n".join(self.lines) + b"\n"

    def is_full(self, settings: SinkSettings) -> bool:
        return len(self.lines) >= settings.flush_size or self.size >= settings.flush_bytes

    def is_old(self, settings: SinkSettings, now: float) -> bool:
        return now - self.opened >= settings.flush_seconds
