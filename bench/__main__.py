"""`make bench`: `python -m bench [ingest|answers|sink] [--posts N]`; prints a table of figures and ratios."""

import argparse
import tempfile
from pathlib import Path

from bench import answers, ingest, sink


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["ingest", "answers", "sink"], help="ingest, answers, sink"
    )
    parser.add_argument("--posts", type=int, default=1_000_000, help="posts of 'answers', records of 'sink'")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pinpipe-bench-", dir=Path.cwd()) as folder:
        if "ingest" in arguments.what:
            ingest.run(Path(folder))
        if "answers" in arguments.what:
            answers.run(Path(folder), arguments.posts)
        if "sink" in arguments.what:
            sink.run(Path(folder), arguments.posts)


if __name__ == "__main__":
    main()
