"""`make bench`: `python -m bench [ingest|gateway|sink|answers|memory] [--posts N]`; figures and ratios."""

import argparse
import tempfile
from pathlib import Path

from bench import answers, gateway, ingest, sink, sink_memory


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["ingest", "gateway", "sink", "answers"], help="any of these, or memory"
    )
    parser.add_argument(
        "--posts", type=int, default=1_000_000, help="posts of 'answers', records of the sinks"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pinpipe-bench-", dir=Path.cwd()) as folder:
        if "ingest" in arguments.what:
            ingest.run(Path(folder))
        if "gateway" in arguments.what:
            gateway.run(Path(folder))
        if "sink" in arguments.what:
            sink.run(Path(folder), arguments.posts)
        if "memory" in arguments.what:
            sink_memory.run(Path(folder), arguments.posts)
        if "answers" in arguments.what:
            answers.run(Path(folder), arguments.posts)


if __name__ == "__main__":
    main()
