"""The source database: three tables under their real names, in any database that SQLAlchemy speaks to."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from pinterest_pipeline.errors import (
    BadInput,
    DiskFull,
    PipelineError,
    SettingError,
    Unavailable,
    is_disk_full,
)
from pinterest_pipeline.posts import order
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.records.schemas import SOURCE_COLUMNS, SOURCE_KEYS, SOURCE_TABLES, Post

CHUNK: Final = 1_000
_FILL_BATCH: Final = 2_000
_REFUSED_LOGINS: Final = {1044, 1045, 1049}  # MySQL: access denied, wrong password, no such database
_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 120.0
"""Longest silence of a server; a network may drop a connection without a word."""


class _AsItIs(sql.types.TypeDecorator[Any]):
    """Reads a value that is not of its type as it is; cleaning says what is wrong with it."""

    def result_processor(self, dialect: sql.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)
        return None if read is None else partial(_read_or_kept, read)


def _read_or_kept(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError):
        return value


class _Float(_AsItIs):
    impl = sql.Float
    cache_ok = True


class _DateTime(_AsItIs):
    impl = sql.DateTime
    cache_ok = True


class _Key(sql.types.TypeDecorator[int]):
    """What posts are ordered, joined and dealt out by: refuses what only looks like an integer."""

    impl = sql.Integer
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sql.Dialect) -> int:
        if isinstance(value, int):
            return value
        keys = ", ".join(f"{SOURCE_TABLES[table]}.{SOURCE_KEYS[table]}" for table in TABLES)
        raise BadInput(
            f"the source database has {value!r:.100} for the key of a post", f"make {keys} integer columns"
        )


_TYPES: Final[dict[str, type[sql.types.TypeEngine[Any]]]] = {
    "int": sql.Integer,
    "float": _Float,
    "text": sql.Text,
    "datetime": _DateTime,
}
_metadata = sql.MetaData()
_tables: Final[dict[Table, sql.Table]] = {
    table: sql.Table(
        SOURCE_TABLES[table],
        _metadata,
        *(
            sql.Column(name, _Key, primary_key=True, autoincrement=False)
            if name == SOURCE_KEYS[table]
            else sql.Column(name, _TYPES[kind])
            for name, kind in columns.items()
        ),
        mysql_charset="utf8mb4",  # MySQL's older default cannot hold an emoji
    )
    for table, columns in SOURCE_COLUMNS.items()
}
# It is there from before the old tables go until the last new row is in: who finds it finds half a fill.
_filling: Final = sql.Table("pinterest_fill_under_way", sql.MetaData(), sql.Column("since", sql.DateTime))


class PostDatabase:
    """Posts in a database. Every call may raise Unavailable; no message ever holds the password."""

    def __init__(self, url: sql.URL) -> None:
        self._url = url
        self._checked = False
        options: dict[str, Any] = {}
        if url.drivername == "mysql+pymysql":
            options = {"connect_timeout": _CONNECT_SECONDS}
            options |= dict.fromkeys(("read_timeout", "write_timeout"), _ANSWER_SECONDS)
            if url.password:  # as bytes, for PyMySQL writes a text in latin1 where the server expects UTF-8
                options["password"] = str(url.password).encode()
        try:
            self._engine = sql.create_engine(url, pool_pre_ping=True, connect_args=options)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise SettingError(f"this Python cannot speak to a {url.drivername} database: {error}") from None

    def __enter__(self) -> "PostDatabase":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def fill(self, posts: Iterable[Post]) -> int:
        """Replace all posts by these; returns how many came. Of two with one `index` the later stays.

        A fill that ends early is recognised: the database refuses to be read until it is filled again.
        """
        self._make_folder()
        self._checked = False
        with self._talking() as connection:
            _filling.create(connection, checkfirst=True)
            connection.commit()
            _metadata.drop_all(connection)
            _metadata.create_all(connection)
            connection.commit()
        filled, highest, remaining = 0, -1, iter(posts)
        while batch := list(islice(remaining, _FILL_BATCH)):
            highest = self._add(batch, highest)
            filled += len(batch)
        with self._talking() as connection:
            _filling.drop(connection)
            connection.commit()
        return filled

    def rows(self) -> int:
        """How many posts there are."""
        with self._reading() as connection:
            return int(connection.scalar(sql.select(sql.func.count()).select_from(_tables["pin"])) or 0)

    def rows_there(self) -> int:
        """What a fill would replace: the rows of the fullest of the tables that are there, complete or not.

        Those that a broken fill has left do not count.
        """
        path = self._sqlite_file()
        if path and not path.exists():
            return 0
        with self._talking() as connection:
            names = set(sql.inspect(connection).get_table_names())
            if _filling.name in names:
                return 0
            there = [table for table in _tables.values() if table.name in names]
            counts = [sql.select(sql.func.count()).select_from(table) for table in there]
            return max((connection.scalar(count) or 0 for count in counts), default=0)

    def row_indexes(self) -> Sequence[int]:
        """The `index` of each row number, ascending: a range when there is no gap, else 8 bytes each.

        Raises BadInput when there is no post.
        """
        key, rows = _key("pin"), self.rows()
        if not rows:
            raise BadInput(f"the database {self._name()} holds no posts", "fill it first")
        with self._reading() as connection:
            first, last = connection.execute(sql.select(sql.func.min(key), sql.func.max(key))).one()
            if last - first + 1 == rows:
                return range(first, last + 1)
            return array("q", connection.scalars(sql.select(key).order_by(key)))

    def posts(self, indexes: Sequence[int]) -> list[Post]:
        """The posts of these indexes, in this order, repeats allowed; raises BadInput for a missing one."""
        wanted = sorted(set(indexes))
        found: dict[Table, dict[int, dict[str, Any]]] = {table: {} for table in TABLES}
        with self._reading() as connection:
            for start in range(0, len(wanted), CHUNK):
                for table in TABLES:
                    chosen = _key(table).in_(wanted[start : start + CHUNK])
                    found[table] |= _rows(connection, table, chosen)
        return self._joined(indexes, found)

    def all_posts(self, chunk: int = CHUNK) -> Iterator[list[Post]]:
        """Every post once, in chunks, by ascending `index`; no more than one chunk is held."""
        last = None
        while posts := self._after(last, chunk):
            yield posts
            last = posts[-1]["pin"]["index"]

    def in_order(self, indexes: Iterable[int], chunk: int = CHUNK) -> Iterator[list[Post]]:
        """The posts of these indexes in this order, in chunks."""
        remaining = iter(indexes)
        while wanted := list(islice(remaining, chunk)):
            yield self.posts(wanted)

    def original_order(
        self, seed: int = order.SEED, count: int | None = None, last_row: int | None = None
    ) -> Iterator[list[Post]]:
        """Posts as the original draws them, without end when count is None.

        Raises SettingError at once when last_row is not in the table, BadInput when the table is empty.
        """
        indexes = self.row_indexes()
        last = order.last_row(len(indexes), last_row)
        return self.in_order(indexes[row] for row in order.original(last, seed, count))

    def _after(self, last: int | None, chunk: int) -> list[Post]:
        key = _key("pin")
        following = sql.true() if last is None else key > last
        with self._reading() as connection:
            indexes = list(connection.scalars(sql.select(key).where(following).order_by(key).limit(chunk)))
            if not indexes:
                return []
            found = {
                table: _rows(connection, table, _key(table).between(indexes[0], indexes[-1]))
                for table in TABLES
            }
        return self._joined(indexes, found)

    def _joined(self, indexes: Sequence[int], found: dict[Table, dict[int, dict[str, Any]]]) -> list[Post]:
        pins, geos, users = found["pin"], found["geo"], found["user"]
        try:
            return [Post(pin=pins[ind], geo=geos[ind], user=users[ind]) for ind in indexes]
        except KeyError as missing:
            lacking = next(SOURCE_TABLES[table] for table in TABLES if missing.args[0] not in found[table])
            raise BadInput(f"{lacking} in {self._name()} has no post {missing.args[0]}") from None

    def _add(self, batch: list[Post], highest: int) -> int:
        """Insert a batch in one transaction; returns the highest index so far."""
        posts: dict[int, Post] = {post["pin"]["index"]: post for post in batch}
        with self._talking() as connection:
            for table in TABLES:
                if min(posts) <= highest:  # only then can one be there already
                    connection.execute(sql.delete(_tables[table]).where(_key(table).in_(list(posts))))
                connection.execute(sql.insert(_tables[table]), [post[table] for post in posts.values()])
            connection.commit()
        return max(highest, max(posts))

    def _make_folder(self) -> None:
        if path := self._sqlite_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(f"the folder of {path} cannot be made: {error.strerror}") from None

    def _sqlite_file(self) -> Path | None:
        if self._url.get_backend_name() != "sqlite" or self._url.database in (None, "", ":memory:"):
            return None
        return Path(str(self._url.database))

    @contextmanager
    def _reading(self) -> Iterator[sql.Connection]:
        path = self._sqlite_file()
        if path and not path.exists():  # SQLite would make an empty one
            raise BadInput(f"there is no database {path}", "fill it first")
        with self._talking() as connection:
            if not self._checked:
                self._check(sql.inspect(connection))
                self._checked = True
            yield connection

    def _check(self, inspector: sql.Inspector) -> None:
        names = set(inspector.get_table_names())
        if _filling.name in names:
            raise BadInput(f"the last fill of {self._name()} did not end", "fill it again")
        missing = [name for name in SOURCE_TABLES.values() if name not in names]
        if missing:
            raise BadInput(f"the database {self._name()} has no table {', '.join(missing)}", "fill it first")
        for table, name in SOURCE_TABLES.items():
            lacking = set(SOURCE_COLUMNS[table]) - {column["name"] for column in inspector.get_columns(name)}
            if lacking:
                raise BadInput(f"{name} in {self._name()} has no column {', '.join(sorted(lacking))}")

    @contextmanager
    def _talking(self) -> Iterator[sql.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._failure(error) from error

    def _failure(self, error: SQLAlchemyError) -> PipelineError:
        cause = getattr(error, "orig", None) or error
        if is_disk_full(cause):
            return DiskFull(
                f"no room left in the database {self._name()}", "free some space, then fill it again"
            )
        if isinstance(error, DBAPIError) and cause.args and cause.args[0] in _REFUSED_LOGINS:
            return SettingError(
                f"the database {self._name()} refuses us: {cause.args[-1]}", "see db_creds.yaml"
            )
        if isinstance(error, OperationalError | InterfaceError):
            return Unavailable(f"the database {self._name()} does not answer: {cause}", "is it running?")
        return BadInput(f"the database {self._name()} cannot do that: {cause}")

    def _name(self) -> str:
        """Where it is, without user and password."""
        host = f"{self._url.host}:{self._url.port}/" if self._url.host else ""
        return f"{host}{self._url.database}"


def _key(table: Table) -> "sql.Column[Any]":
    return _tables[table].c[SOURCE_KEYS[table]]


def _rows(
    connection: sql.Connection, table: Table, chosen: "sql.ColumnElement[bool]"
) -> dict[int, dict[str, Any]]:
    key = SOURCE_KEYS[table]
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(sql.select(_tables[table]).where(chosen)).mappings():
        if row[key] in found:
            raise BadInput(f"{SOURCE_TABLES[table]} has several rows of post {row[key]}", "keep one of them")
        found[row[key]] = dict(row)
    return found
