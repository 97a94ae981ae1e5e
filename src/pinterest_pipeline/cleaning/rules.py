"""What is dirty and what it becomes, what a column must look like, and the clean columns: all as data.

Every expression is Spark SQL that DuckDB reads alike (through sqlglot). Three traps are stepped around here:
a regular expression ends in `\\z`, since Java's `$` also matches before a last newline; a text is guarded
by a regular expression before TRY_CAST, since engines differ in what they forgive; and there is no TRIM,
for which DuckDB takes a no-break space for a blank.
"""

from dataclasses import dataclass
from typing import Final

from pinterest_pipeline.records.names import Branch, Table


@dataclass(frozen=True, slots=True)
class Rule:
    """Replace a dirty text: where `when` holds the column becomes `then`; a column's first match wins.

    `when` and `then` are Spark SQL over the raw text columns of `table`.
    """

    id: str
    table: Table
    column: str
    when: str
    then: str
    says: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """Give a text its type: `sql` over the text columns (rules applied) is null when the text does not fit.

    A text that is there but does not fit sends its row to quarantine; so does a missing one if `required`.
    """

    column: str
    sql: str
    expected: str
    required: bool = False


def literal(text: str) -> str:
    """A text as a Spark SQL literal; a doubled quote would not do: Spark reads two literals side by side."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _error_text(table: Table, column: str, name: str, text: str) -> Rule:
    says = f"'{text}' stands for no value: null" if text else "an empty text stands for no value: null"
    return Rule(f"{table}.{column}.{name}", table, column, f"`{column}` = {literal(text)}", "NULL", says)


_CUT = "\u2026\u00a0"  # an ellipsis and a no-break space, where the scraper cut a long text
_SAVED = "Local save in "

RULES: Final[tuple[Rule, ...]] = (
    _error_text("pin", "title", "no_title", "No Title Data Available"),
    _error_text("pin", "title", "empty", ""),
    _error_text("pin", "description", "no_story", "No description available Story format"),
    _error_text("pin", "description", "no_description", "No description available"),
    Rule(
        "pin.description.cut",
        "pin",
        "description",
        f"`description` LIKE '%{_CUT}'",
        "SUBSTRING(`description`, 1, LENGTH(`description`) - 1)",
        "a cut text keeps its ellipsis and loses the no-break space behind it",
    ),
    _error_text("pin", "follower_count", "user_error", "User Info Error"),
    _error_text("pin", "poster_name", "user_error", "User Info Error"),
    _error_text("pin", "tag_list", "no_tags", "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"),
    _error_text("pin", "image_src", "image_error", "Image src error."),
    Rule(
        "pin.save_location.prefix",
        "pin",
        "save_location",
        f"`save_location` LIKE '{_SAVED}/%'",
        f"SUBSTRING(`save_location`, {len(_SAVED) + 1})",
        f"the words '{_SAVED.strip()}' are cut off: the path stays",
    ),
)


def rules_of(table: Table) -> tuple[Rule, ...]:
    """The rules of one table, in order; a rule's place here is its bit in the column `_rules`."""
    return tuple(rule for rule in RULES if rule.table == table)


def _guarded(column: str, pattern: str, cast: str) -> str:
    return f"CASE WHEN `{column}` RLIKE '{pattern}' THEN TRY_CAST(`{column}` AS {cast}) END"


def _digits(column: str, most: int, cast: str, expected: str, required: bool = False) -> Conversion:
    return Conversion(column, _guarded(column, rf"^[0-9]{{1,{most}}}\\z", cast), expected, required)


def _followers(column: str) -> Conversion:
    """Counts as 437, 26k, 1.5M: exact decimals, never floating point, rounded half up.

    27 digits leave room for the factor: DuckDB raises on an overflow, which would stop a whole batch.
    A JSON number may have an exponent by the time it is text: engines spell 26000000.0 differently.
    """
    number = f"TRY_CAST(SUBSTRING(`{column}`, 1, LENGTH(`{column}`) - 1) AS DECIMAL(27, 9))"
    suffixes = "\n    ".join(
        rf"WHEN `{column}` RLIKE '^[0-9]{{1,9}}([.][0-9]{{1,9}})?[{letters}]\\z' "
        f"THEN TRY_CAST(ROUND({number} * {factor}) AS BIGINT)"
        for letters, factor in (("kK", 1_000), ("mM", 1_000_000), ("bB", 1_000_000_000))
    )
    plain = (
        rf"WHEN `{column}` RLIKE '^[0-9]{{1,18}}([.]0{{1,9}})?\\z' "
        f"THEN TRY_CAST(TRY_CAST(`{column}` AS DECIMAL(27, 9)) AS BIGINT)"
    )
    value = f"TRY_CAST(`{column}` AS DECIMAL(27, 9))"
    exponent = (
        rf"WHEN `{column}` RLIKE '^[0-9]{{1,18}}([.][0-9]{{1,17}})?[eE][+]?[0-9]{{1,2}}\\z' "
        f"THEN CASE WHEN {value} = ROUND({value}) THEN TRY_CAST({value} AS BIGINT) END"
    )
    return Conversion(
        column,
        f"CASE\n    {suffixes}\n    {plain}\n    {exponent}\n  END",
        "a count such as 437, 26k, 1.5M or 2B",
    )


def _coordinate(column: str, bound: int) -> Conversion:
    number = r"^-?[0-9]{1,3}([.][0-9]{1,40})?([eE][-+]?[0-9]{1,3})?\\z"
    value = _guarded(column, number, "DOUBLE")
    return Conversion(
        column,
        f"CASE WHEN {value} BETWEEN -{bound} AND {bound} THEN {value} END",
        f"degrees from -{bound} to {bound}",
    )


_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\z"


def _date(column: str) -> Conversion:
    """The three forms seen on the wire; a date that no calendar has (30 February) does not fit."""
    rearranged = (
        f"CONCAT(SUBSTRING(`{column}`, 7, 4), '-', SUBSTRING(`{column}`, 1, 2), '-', "
        f"SUBSTRING(`{column}`, 4, 2), ' ', SUBSTRING(`{column}`, 13, 8))"
    )
    return Conversion(
        column,
        f"CASE\n    WHEN `{column}` RLIKE '^[12][0-9]{{3}}-[01][0-9]-[0-3][0-9][ T]{_CLOCK}' "
        f"THEN TRY_CAST(`{column}` AS TIMESTAMP)\n    "
        f"WHEN `{column}` RLIKE '^[01][0-9]/[0-3][0-9]/[12][0-9]{{3}}, {_CLOCK}' "
        f"THEN TRY_CAST({rearranged} AS TIMESTAMP)\n  END",
        "YYYY-MM-DD HH:MM:SS, YYYY-MM-DDTHH:MM:SS or MM/DD/YYYY, HH:MM:SS",
    )


_IND: Final = _digits("ind", 18, "BIGINT", "a whole number of at most 18 digits", required=True)

CONVERSIONS: Final[dict[Table, tuple[Conversion, ...]]] = {
    "pin": (_IND, _followers("follower_count")),
    "geo": (_IND, _coordinate("latitude", 90), _coordinate("longitude", 180), _date("timestamp")),
    "user": (_IND, _digits("age", 3, "INT", "a whole number of at most 3 digits"), _date("date_joined")),
}


def _position_text(column: str) -> Conversion:
    return Conversion(column, f"`{column}`", "a position in the log", required=True)


# Kafka marks a record without a timestamp by -1.
_TIMESTAMP: Final = Conversion(
    "_timestamp",
    _guarded("_timestamp", r"^-?[0-9]{1,18}\\z", "BIGINT"),
    "milliseconds since 1970",
    required=True,
)

POSITIONS: Final[dict[Branch, tuple[Conversion, ...]]] = {
    "batch": (
        _position_text("_topic"),
        _digits("_partition", 9, "INT", "a position in the log", required=True),
        _digits("_offset", 18, "BIGINT", "a position in the log", required=True),
        _TIMESTAMP,
    ),
    "stream": (
        _position_text("_stream"),
        _position_text("_shard"),
        _position_text("_sequence"),
        _TIMESTAMP,
    ),
}

_SAME: Final = {name: f"`{name}`" for name in ("ind", "country", "timestamp", "age", "date_joined")}

# Clean column -> Spark SQL over the converted columns, in the order of the clean tables.
CLEAN_COLUMNS: Final[dict[Table, dict[str, str]]] = {
    "pin": {
        name: f"`{name}`"
        for name in (
            "ind",
            "unique_id",
            "title",
            "description",
            "follower_count",
            "poster_name",
            "tag_list",
            "is_image_or_video",
            "image_src",
            "save_location",
            "category",
        )
    },
    "geo": {
        "ind": _SAME["ind"],
        "country": _SAME["country"],
        "coordinates": "CASE WHEN `latitude` IS NOT NULL AND `longitude` IS NOT NULL "
        "THEN ARRAY(`latitude`, `longitude`) END",
        "timestamp": _SAME["timestamp"],
    },
    "user": {
        "ind": _SAME["ind"],
        "user_name": "NULLIF(CONCAT_WS(' ', `first_name`, `last_name`), '')",
        "age": _SAME["age"],
        "date_joined": _SAME["date_joined"],
    },
}
