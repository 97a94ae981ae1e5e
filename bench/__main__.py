"""`make bench`: `python -m bench [WHAT ...]`: figures and ratios, each beside a peer or the limit."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import answers, freshness, freshness_spark, gateway, ingest, kinesis, scale, sink, sink_memory

_RUNS: Final[dict[str, Callable[[Path, argparse.Namespace], None]]] = {
    "ingest": lambda folder, _: ingest.run(folder),
    "gateway": lambda folder, _: gateway.run(folder),
    "sink": lambda folder, asked: sink.run(folder, asked.posts),
    "answers": lambda folder, asked: answers.run(folder, asked.posts),
    "kinesis": lambda folder, _: kinesis.run(folder),
    "freshness": lambda folder, asked: freshness.run(folder, asked.seconds),
    "freshness-spark": lambda folder, asked: freshness.measure(
        folder / "freshness-spark", freshness_spark.SPARK, asked.seconds, 0
    ),
    "memory": lambda folder, asked: sink_memory.run(folder, asked.posts),
    "scale": lambda folder, asked: scale.run(folder, asked.posts),
}
_LONG: Final = ("memory", "scale")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    usual = [name for name in _RUNS if name not in _LONG]
    parser.add_argument(
        "what", nargs="*", default=usual, help=f"of {', '.join(_RUNS)}; all but the last two unless said"
    )
    parser.add_argument(
        "--posts", type=int, default=1_000_000, help="posts of 'answers' and 'scale', records of the sinks"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long 'freshness' sends")
    asked = parser.parse_args()
    if unknown := set(asked.what) - set(_RUNS):
        parser.error(f"there is no benchmark '{min(unknown)}'; there are {', '.join(_RUNS)}")
    with tempfile.TemporaryDirectory(prefix="pinpipe-bench-", dir=Path.cwd()) as folder:
        for name in asked.what:
            _RUNS[name](Path(folder), asked)


if __name__ == "__main__":
    main()
