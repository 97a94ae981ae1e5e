"""`make bench`: `python -m bench [ingest|gateway|sink|answers|kinesis] [--posts N]`: figures and ratios."""

import argparse
import tempfile
from pathlib import Path

from bench import answers, gateway, ingest, kinesis, sink


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        default=["ingest", "gateway", "sink", "answers", "kinesis"],
        help="any of the default five",
    )
    parser.add_argument("--posts", type=int, default=1_000_000, help="posts of 'answers', records of 'sink'")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pinpipe-bench-", dir=Path.cwd()) as folder:
        if "ingest" in arguments.what:
            ingest.run(Path(folder))
        if "gateway" in arguments.what:
            gateway.run(Path(folder))
        if "sink" in arguments.what:
            sink.run(Path(folder), arguments.posts)
        if "answers" in arguments.what:
            answers.run(Path(folder), arguments.posts)
        if "kinesis" in arguments.what:
            kinesis.run(Path(folder))


if __name__ == "__main__":
    main()
