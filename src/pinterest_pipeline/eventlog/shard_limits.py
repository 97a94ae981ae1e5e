"""What a shard of Kinesis takes and gives in a second, held by token buckets that all processes share.

1 MiB and 1,000 records a second go in; 2 MiB and 5 reads a second come out. Source: "Quotas and limits" of
the developer guide of Kinesis Data Streams. A read may return more than is left, and a record that is larger
than a bucket goes in when that is full; the ones after it wait then.
"""

import fcntl
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import unusable

RECORDS: Final = 1_000
BYTES_IN: Final = 2**20
READS: Final = 5
BYTES_OUT: Final = 2 * 2**20

_BURST: Final = 1.0
"""Seconds' worth that a bucket holds."""

_LONGEST: Final = _BURST + 10 * 2**20 / BYTES_IN
"""Seconds after which any bucket is full again: more can only come of a clock that was set back."""

_HAIR: Final = 1e-6  # seconds; what sums of floating point numbers may be off
_STATE: Final = struct.Struct("<dddd")


class Bucket:
    """A bucket, known by the time (seconds since 1970) at which it is full again."""

    def __init__(self, full_at: float, rate: float) -> None:
        self.full_at = full_at
        self._rate = rate

    def would_hold(self, amount: float, now: float) -> bool:
        """Whether so much is in it, or as much as ever can be."""
        self.full_at = min(max(self.full_at, now), now + _LONGEST)
        return self.full_at + min(amount / self._rate, _BURST) <= now + _BURST + _HAIR

    def take(self, amount: float) -> None:
        self.full_at += amount / self._rate


class ShardLimits:
    """The buckets of all shards in one file, 32 bytes each. Raises Unavailable or DiskFull.

    Only a power cut may give back what was used in the last second before it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(self._path, error) from error
        self._mine = threading.Lock()  # the lock of the file tells processes apart, not threads

    def admit(self, shard: int, sizes: Sequence[int], now_ms: int) -> list[bool]:
        """Which records of these sizes a shard takes now, one after the other; `shard` is its id."""
        now, admitted = now_ms / 1000, []
        with self._buckets(shard) as (records, bytes_in, _, _):
            for size in sizes:
                fits = records.would_hold(1, now) and bytes_in.would_hold(size, now)
                if fits:
                    records.take(1)
                    bytes_in.take(size)
                admitted.append(fits)
        return admitted

    def admit_read(self, shard: int, now_ms: int) -> bool:
        """Whether a shard may be read now."""
        now = now_ms / 1000
        with self._buckets(shard) as (_, _, reads, bytes_out):
            fits = reads.would_hold(1, now) and bytes_out.would_hold(1, now)
            if fits:
                reads.take(1)
        return fits

    def note_read(self, shard: int, size: int) -> None:
        """Take the bytes that a read came to, also more than there are."""
        with self._buckets(shard) as (_, _, _, bytes_out):
            bytes_out.take(size)

    def close(self) -> None:
        os.close(self._file)

    @contextmanager
    def _buckets(self, shard: int) -> Iterator[tuple[Bucket, Bucket, Bucket, Bucket]]:
        place = shard * _STATE.size
        try:
            with self._mine:
                fcntl.lockf(self._file, fcntl.LOCK_EX, _STATE.size, place)
                try:
                    found = os.pread(self._file, _STATE.size, place)
                    full_at = _STATE.unpack(found) if len(found) == _STATE.size else (0.0,) * 4
                    buckets = (
                        Bucket(full_at[0], RECORDS), Bucket(full_at[1], BYTES_IN),
                        Bucket(full_at[2], READS), Bucket(full_at[3], BYTES_OUT),
                    )  # fmt: skip
                    yield buckets
                    os.pwrite(self._file, _STATE.pack(*(bucket.full_at for bucket in buckets)), place)
                finally:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, _STATE.size, place)
        except OSError as error:
            raise unusable(self._path, error) from error
