"""The names of the original: topics `<id>.pin`, streams `streaming-<id>-pin`, tables `<id>_pin_table`."""

from typing import Final, Literal, get_args

Table = Literal["pin", "geo", "user"]
TABLES: Final[tuple[Table, ...]] = get_args(Table)

Branch = Literal["batch", "stream"]
BRANCHES: Final[tuple[Branch, ...]] = get_args(Branch)

QUARANTINE: Final = "quarantine"


def topic(pipeline_id: str, table: Table) -> str:
    return f"{pipeline_id}.{table}"


def stream(pipeline_id: str, table: Table) -> str:
    return f"streaming-{pipeline_id}-{table}"


def source(branch: Branch, pipeline_id: str, table: Table) -> str:
    """The topic or the stream that a branch reads a table from."""
    return topic(pipeline_id, table) if branch == "batch" else stream(pipeline_id, table)


def catalog_table(pipeline_id: str, table: Table) -> str:
    """The name of a table in a Spark catalog, where each branch has a schema and several ids may share it."""
    return f"{pipeline_id}_{table}_table"


def delta_table(branch: Branch, pipeline_id: str, table: Table) -> str:
    """The folder of a clean table: `pin` in the batch branch, `<id>_pin_table` in the stream branch."""
    return table if branch == "batch" else catalog_table(pipeline_id, table)
