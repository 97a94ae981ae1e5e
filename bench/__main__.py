"""`make bench`: `python -m bench [ingest|gateway|sink|answers|freshness]`; prints figures and ratios."""

import argparse
import tempfile
from pathlib import Path

from bench import answers, freshness, gateway, ingest, sink


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        default=["ingest", "gateway", "sink", "answers", "freshness"],
        help="any of the default five",
    )
    parser.add_argument("--posts", type=int, default=1_000_000, help="posts of 'answers', records of 'sink'")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long 'freshness' sends")
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
        if "freshness" in arguments.what:
            freshness.run(Path(folder), arguments.seconds)


if __name__ == "__main__":
    main()
