"""What the gateway counts of itself, as Prometheus reads it.

The figures of all worker processes lie side by side in shared memory, and each process adds to its own: a
request costs six additions (1 µs, measured), the sum is made when somebody asks, and what a worker counted
stays when the worker dies. prometheus_client's own way for several processes takes a file for each of them
and a microsecond for each addition.
"""

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pinterest_pipeline.gateway.error_codes import KINDS, Fault
from pinterest_pipeline.gateway.exchange import Exchange

_BYTES_OF_A_WORKER: Final = 2**18
_NUMBERS_OF_A_WORKER: Final = _BYTES_OF_A_WORKER // 8
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OTHER: Final = 0  # a status that we do not know of
_STATUSES: Final = (_OTHER, *sorted({200, 201, 204, 207, *(kind.status for kind in KINDS.values())}))
_RECORDS, _BYTES_IN, _BYTES_OUT, _SECONDS, _FIRST_BUCKET = range(5)
_FIRST_STATUS: Final = _FIRST_BUCKET + len(_BOUNDS) + 1
_ROW: Final = _FIRST_STATUS + len(_STATUSES)
_CONNECTIONS, _IN_FLIGHT, _BYTES_HELD, _FIRST_REFUSAL = range(4)
_NAMES: Final = {kind: name.lower() for name, kind in KINDS.items()}
_REFUSALS: Final = {kind: _FIRST_REFUSAL + place for place, kind in enumerate(_NAMES)}
_FIRST_ROW: Final = _FIRST_REFUSAL + len(_REFUSALS)
_PREFIX: Final = "pinpipe_gateway_"
_COUNTED: Final = (
    (_RECORDS, "records", "Records acknowledged or handed out."),
    (_BYTES_IN, "request_bytes", "Bytes of bodies read."),
    (_BYTES_OUT, "response_bytes", "Bytes of bodies sent."),
)


def shared_memory(workers: int) -> mmap.mmap:
    """Room for the figures of so many processes, to be made before they are forked."""
    return mmap.mmap(-1, workers * _BYTES_OF_A_WORKER)


class Figures(Collector):
    """The figures of all workers; this process adds to those of worker `number`, counted from 0."""

    def __init__(self, memory: mmap.mmap | None = None, number: int = 0) -> None:
        self._all = memoryview(shared_memory(1) if memory is None else memory).cast("d")
        start = number * _NUMBERS_OF_A_WORKER
        self._own = self._all[start : start + _NUMBERS_OF_A_WORKER]
        self._rows: dict[str, int] = {}
        self._status = {status: _FIRST_STATUS + place for place, status in enumerate(_STATUSES)}
        self.set_load(0, 0, 0)

    def add(self, operation: str) -> None:
        """Make room for an operation; every worker must add the same ones in the same order, each once."""
        if operation in self._rows:
            raise ValueError(f"two operations are called '{operation}'")
        self._rows[operation] = _FIRST_ROW + len(self._rows) * _ROW
        if self._rows[operation] + _ROW > _NUMBERS_OF_A_WORKER:
            raise ValueError("there is no room for the figures of so many operations")

    def note(self, exchange: Exchange) -> None:
        """Count a request that was answered."""
        own, row = self._own, self._rows[exchange.operation.id]
        own[row + _RECORDS] += exchange.records
        own[row + _BYTES_IN] += exchange.bytes_in
        own[row + _BYTES_OUT] += exchange.bytes_out
        own[row + _SECONDS] += exchange.seconds
        own[row + _FIRST_BUCKET + bisect_left(_BOUNDS, exchange.seconds)] += 1
        own[row + self._status.get(exchange.status, _FIRST_STATUS)] += 1

    def refused(self, fault: Fault) -> None:
        """Count a request that was refused before its operation was known, or for its caller."""
        self._own[_REFUSALS[fault.kind]] += 1

    def set_load(self, connections: int, requests: int, bytes_held: int) -> None:
        """Note what this process has under way."""
        self._own[_CONNECTIONS], self._own[_IN_FLIGHT], self._own[_BYTES_HELD] = (
            connections,
            requests,
            bytes_held,
        )

    def text(self) -> bytes:
        """The sums over all workers in Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        used = _FIRST_ROW + len(self._rows) * _ROW
        sums = [sum(self._all[place::_NUMBERS_OF_A_WORKER]) for place in range(used)]
        yield from _of_operations(
            {name: sums[row : row + _ROW] for name, row in self._rows.items() if any(sums[row : row + _ROW])}
        )
        yield _gauge("connections", "Open connections.", sums[_CONNECTIONS])
        yield _gauge("requests_in_flight", "Requests under way.", sums[_IN_FLIGHT])
        yield _gauge("bytes_in_flight", "Bytes of bodies that requests under way hold.", sums[_BYTES_HELD])
        refusals = CounterMetricFamily(
            f"{_PREFIX}refusals", "Requests refused for what they are or who sends them.", labels=["reason"]
        )
        for kind, place in _REFUSALS.items():
            if sums[place]:
                refusals.add_metric([_NAMES[kind]], sums[place])
        yield refusals


def _of_operations(rows: Mapping[str, Sequence[float]]) -> Iterator[Metric]:
    """Metrics with a label for the operation; only those that were called have a line."""
    requests = CounterMetricFamily(f"{_PREFIX}requests", "Requests answered.", labels=["operation", "status"])
    seconds = HistogramMetricFamily(
        f"{_PREFIX}request_seconds", "Time from a request's head to its answer.", labels=["operation"]
    )
    for name, row in rows.items():
        for place, status in enumerate(_STATUSES, _FIRST_STATUS):
            if row[place]:
                requests.add_metric([name, str(status)], row[place])
        counts = accumulate(row[_FIRST_BUCKET:_FIRST_STATUS])
        buckets = zip([*map(str, _BOUNDS), "+Inf"], counts, strict=True)
        seconds.add_metric([name], list(buckets), row[_SECONDS])
    yield requests
    yield seconds
    for place, name, meaning in _COUNTED:
        counter = CounterMetricFamily(f"{_PREFIX}{name}", meaning, labels=["operation"])
        for operation, row in rows.items():
            counter.add_metric([operation], row[place])
        yield counter


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}{name}", meaning, value=value)
