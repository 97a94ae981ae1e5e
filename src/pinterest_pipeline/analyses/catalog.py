"""The analyses: one `.sql` file each, with a header that says what it asks and how it is drawn."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from pinterest_pipeline.errors import BadInput

_HEADERS: Final = ("number", "question", "chart")


@dataclass(frozen=True, slots=True)
class Analysis:
    """One question: `sql` is Spark SQL over the clean tables as relations `pin`, `geo` and `user`."""

    name: str
    question: str
    chart: str
    sql: str
    number: int


def load() -> list[Analysis]:
    """Every analysis, by number; raises BadInput for a file whose header cannot be read."""
    return list(_load())


@cache
def _load() -> tuple[Analysis, ...]:
    folder = files(__package__)
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    analyses = [parse(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")) for entry in found]
    return tuple(sorted(analyses, key=lambda analysis: (analysis.number, analysis.name)))


def parse(name: str, text: str) -> Analysis:
    """One analysis from its file: `-- number: 1`, `-- question: …`, `-- chart: …`, then the SQL."""
    header: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.removeprefix("--").partition(":")
        if line.startswith("--") and colon and key.strip() in _HEADERS:
            header[key.strip()] = value.strip()
    missing = [key for key in _HEADERS if not header.get(key)]
    if missing:
        raise BadInput(f"{name}.sql lacks the header {', '.join(missing)}", "write it as '-- question: ...'")
    if not header["number"].isdecimal():
        raise BadInput(f"{name}.sql has '{header['number']}' for its number", "write '-- number: 9'")
    return Analysis(name, header["question"], header["chart"], text, int(header["number"]))
