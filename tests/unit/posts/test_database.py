import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, make_url

from pinterest_pipeline.errors import BadInput, DiskFull, SettingError, Unavailable
from pinterest_pipeline.posts.database import PostDatabase
from pinterest_pipeline.posts.order import original
from pinterest_pipeline.records.schemas import SOURCE_COLUMNS, SOURCE_KEYS, SOURCE_TABLES, Post

Make = Callable[..., Post]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "posts.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[PostDatabase]:
    with PostDatabase(make_url(f"sqlite:///{path}")) as database:
        yield database


def run(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def test_what_is_filled_is_read_back(database: PostDatabase, post: Make) -> None:
    posts = [post(ind) for ind in range(5)]
    assert database.fill(posts) == 5
    assert database.rows() == 5
    assert database.posts([3, 0, 3]) == [posts[3], posts[0], posts[3]]
    assert database.posts([]) == []


def test_all_posts_come_once_in_ascending_order_in_chunks(database: PostDatabase, post: Make) -> None:
    database.fill(post(ind) for ind in (9, 2, 5, 40, 7))
    chunks = list(database.all_posts(chunk=2))
    assert [[one["pin"]["index"] for one in chunk] for chunk in chunks] == [[2, 5], [7, 9], [40]]
    assert chunks[2] == [post(40)]


def test_no_index_is_too_small(database: PostDatabase, post: Make) -> None:
    posts = [post(-700_000), post(-7), post(-1), post(0), post(2)]
    database.fill(posts)
    assert list(database.all_posts(chunk=2)) == [posts[:2], posts[2:4], posts[4:]]
    (chunk,) = database.original_order(count=8)
    assert chunk == [posts[row] for row in original(4, count=8)]


def test_posts_come_in_a_given_order_in_chunks(database: PostDatabase, post: Make) -> None:
    database.fill(post(ind) for ind in range(5))
    chunks = list(database.in_order([4, 1, 4], chunk=2))
    assert chunks == [[post(4), post(1)], [post(4)]]


def test_more_indexes_than_one_query_takes(database: PostDatabase, post: Make) -> None:
    database.fill(post(ind) for ind in range(2_500))
    wanted = list(range(2_499, -1, -1))
    assert [one["pin"]["index"] for one in database.posts(wanted)] == wanted


def test_the_original_order_draws_row_numbers(database: PostDatabase, post: Make) -> None:
    database.fill(post(ind * 10) for ind in range(5))  # with gaps, row 3 is the post of index 30
    (chunk,) = database.original_order(count=8)
    assert [one["pin"]["index"] for one in chunk] == [row * 10 for row in original(4, count=8)]
    (chunk,) = database.original_order(seed=7, count=8, last_row=1)
    assert {one["pin"]["index"] for one in chunk} == {0, 10}


def test_without_gaps_the_row_number_is_the_index(database: PostDatabase, post: Make) -> None:
    database.fill(post(ind) for ind in range(5))
    assert database.row_indexes() == range(5)


def test_an_index_below_0_does_not_hide_a_gap(database: PostDatabase, post: Make) -> None:
    database.fill(post(ind) for ind in (-1, 0, 2))
    assert list(database.row_indexes()) == [-1, 0, 2]


def test_a_last_row_outside_the_table_is_refused_before_the_first_post(
    database: PostDatabase, post: Make
) -> None:
    database.fill([post(0)])
    with pytest.raises(SettingError, match="rows 0 to 0"):
        database.original_order(last_row=1)


def test_a_second_fill_replaces_the_first(database: PostDatabase, post: Make) -> None:
    database.fill([post(0), post(1)])
    database.fill([post(1, title="new")])
    assert list(database.all_posts()) == [[post(1, title="new")]]


def test_of_two_posts_with_one_index_the_later_stays(database: PostDatabase, post: Make) -> None:
    old = [post(ind) for ind in range(2_000)]
    assert database.fill([*old, post(5, title="new"), post(6), post(6, title="newest"), post(2_000)]) == 2_004
    assert database.rows() == 2_001
    assert database.posts([5, 6]) == [post(5, title="new"), post(6, title="newest")]


def test_an_interrupted_fill_is_refused_until_it_is_filled_again(database: PostDatabase, post: Make) -> None:
    def broken() -> Iterator[Post]:
        yield from (post(ind) for ind in range(2_500))
        raise BadInput("the file ends here")

    with pytest.raises(BadInput, match="ends here"):
        database.fill(broken())
    with pytest.raises(BadInput, match=r"last fill of .* did not end"):
        database.rows()
    database.fill([post(0)])
    assert database.rows() == 1


def test_a_missing_post_is_named_with_its_table(database: PostDatabase, path: Path, post: Make) -> None:
    database.fill([post(0), post(1)])
    with pytest.raises(BadInput, match=r"pinterest_data in .* has no post 7"):
        database.posts([0, 7])
    run(path, "DELETE FROM user_data WHERE ind = 1")
    with pytest.raises(BadInput, match=r"user_data in .* has no post 1"):
        list(database.all_posts())


def filled_by_others(path: Path, keys: Iterable[object], kind: str) -> None:
    """Tables as an import of CSV files may leave them: no primary keys, keys of another type."""
    path.parent.mkdir()
    for table, columns in SOURCE_COLUMNS.items():
        name, key = SOURCE_TABLES[table], SOURCE_KEYS[table]
        typed = ", ".join(f'"{column}" {kind if column == key else "TEXT"}' for column in columns)
        run(path, f"CREATE TABLE {name} ({typed})")
        for value in keys:
            run(path, f'INSERT INTO {name} ("{key}") VALUES (?)', value)


@pytest.mark.parametrize(
    ("kind", "keys", "shown"),
    [("TEXT", "012", "'"), ("REAL", (0, 1, 2), r"0\.0"), ("INT", (None, 1), "None")],
)
def test_keys_that_are_no_integers_are_named(
    database: PostDatabase, path: Path, kind: str, keys: Iterable[object], shown: str
) -> None:
    filled_by_others(path, keys, kind)
    with pytest.raises(BadInput, match=f"has {shown}.* for the key of a post"):
        database.original_order()
    with pytest.raises(BadInput, match=f"has {shown}.* for the key of a post"):
        list(database.all_posts())


@pytest.mark.parametrize("chunk", [1, 2, 10])
def test_a_post_that_is_there_twice_is_named_before_one_of_its_rows_is_lost(
    database: PostDatabase, path: Path, chunk: int
) -> None:
    filled_by_others(path, (0, 1, 2, 2), "INT")
    with pytest.raises(BadInput, match="pinterest_data has several rows of post 2"):
        list(database.all_posts(chunk))
    with pytest.raises(BadInput, match="pinterest_data has several rows of post 2"):
        database.posts([1, 2])


def test_a_missing_file_is_named_and_not_made(database: PostDatabase, path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no database .*posts\.sqlite"):
        database.rows()
    assert not path.exists()


def test_missing_tables_and_columns_are_named(database: PostDatabase, path: Path, post: Make) -> None:
    path.parent.mkdir()
    run(path, "CREATE TABLE pinterest_data (a INT)")
    with pytest.raises(BadInput, match="has no table geolocation_data, user_data"):
        database.rows()
    database.fill([post(0)])
    run(path, "ALTER TABLE pinterest_data DROP COLUMN tag_list")
    with pytest.raises(BadInput, match=r"pinterest_data in .* has no column tag_list"):
        database.rows()


def test_no_posts_are_named(database: PostDatabase) -> None:
    database.fill([])
    assert list(database.all_posts()) == []
    with pytest.raises(BadInput, match="holds no posts"):
        database.original_order()


def test_a_file_that_is_no_database_is_named(database: PostDatabase, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, and longer than its header would be" * 40)
    with pytest.raises(BadInput, match="file is not a database"):
        database.rows()


def test_a_folder_that_cannot_be_made_is_named(database: PostDatabase, path: Path) -> None:
    path.parent.write_text("a file where the folder would be")
    with pytest.raises(BadInput, match="cannot be made"):
        database.fill([])


def test_an_unreachable_server_is_named_without_its_password() -> None:
    url = make_url("mysql+pymysql://me:s3cret@127.0.0.1:1/pinterest_data")
    with (
        PostDatabase(url) as database,
        pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/pinterest_data") as found,
    ):
        database.rows()
    assert "s3cret" not in str(found.value)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinterest_pipeline.posts.database._ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and never a greeting comes
        url = make_url(f"mysql+pymysql://me:s3cret@127.0.0.1:{silent.getsockname()[1]}/pinterest_data")
        with PostDatabase(url) as database, pytest.raises(Unavailable, match="does not answer"):
            database.rows()


@pytest.mark.parametrize("scheme", ["nosuch", "mssql+pyodbc"])
def test_a_kind_of_database_without_driver_is_named(scheme: str) -> None:
    with pytest.raises(SettingError, match=scheme.replace("+", r"\+")):
        PostDatabase(make_url(f"{scheme}://host/name"))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """SQLite files may not grow beyond 200 pages of 4 KiB."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 200").close()

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_says_so(database: PostDatabase, post: Make) -> None:
    with pytest.raises(DiskFull, match="no room left in the database"):
        database.fill(post(ind) for ind in range(10_000))


@pytest.mark.parametrize("found", ["not a date", "01/02/2016, 00:00:00", "", 20160101, 2016.5, b"bytes"])
def test_a_date_that_is_none_comes_as_it_is(
    database: PostDatabase, path: Path, post: Make, found: object
) -> None:
    database.fill([post(0), post(1)])
    run(path, "UPDATE geolocation_data SET timestamp = ? WHERE ind = 0", found)
    run(path, "UPDATE user_data SET date_joined = ? WHERE ind = 0", found)
    odd = post(0)
    odd["geo"]["timestamp"] = odd["user"]["date_joined"] = found
    assert database.posts([0, 1]) == [odd, post(1)]


def test_values_that_do_not_fit_are_named(database: PostDatabase, post: Make) -> None:
    with pytest.raises(BadInput, match="type 'list' is not supported"):
        database.fill([post(0, title=["a", "list"])])
    wrong = post(0)
    wrong["user"]["date_joined"] = "2020-01-02"
    with pytest.raises(BadInput, match="only accepts Python datetime"):
        database.fill([wrong])
