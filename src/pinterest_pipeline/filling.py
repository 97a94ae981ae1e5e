"""`pinpipe fill`: posts into the source database, never over posts that are there unless told so."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from pinterest_pipeline.config import Settings, load_credentials
from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.posts.database import PostDatabase
from pinterest_pipeline.posts.file import read_posts
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records.schemas import Post
from pinterest_pipeline.terminal import out, steps


def fill(settings: Settings, posts: Path | None, count: int | None, seed: int, *, replace: bool) -> None:
    """Fill the database of db_creds.yaml; raises BadInput when it holds posts and `replace` is not set."""
    url = load_credentials(settings.db_creds).database_url()
    if posts is not None:
        for _ in read_posts(posts, count):
            pass  # a file that cannot be read to its end must not cost the posts that are there
        source = read_posts(posts, count)
    else:
        source = generate(seed=seed) if count is None else generate(count, seed)
    with closing(PostDatabase(url)) as database:
        there = 0 if replace else database.rows_there()
        if there:
            raise BadInput(f"the database holds {there:,} posts already", "add --replace to replace them")
        with steps() as progress:
            database.fill(_counted(source, progress, count))
        there = database.rows()
    out.say(f"{there:,} posts are in {url.render_as_string(hide_password=True)}")


def _counted(
    posts: Iterable[Post], progress: Callable[[str, int, int | None], None], total: int | None
) -> Iterator[Post]:
    for number, post in enumerate(posts):
        if number % 1_000 == 0:
            progress("filling", number, total)
        yield post
