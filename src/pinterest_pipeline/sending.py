"""`pinpipe send`: one emulator with its progress bar and its last line, which accounts for every record."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from pinterest_pipeline.config import Settings, load_credentials
from pinterest_pipeline.errors import BadInput, Unavailable
from pinterest_pipeline.posts.database import PostDatabase
from pinterest_pipeline.posts.emulator import Emulator, SendSettings, stop_on_signals
from pinterest_pipeline.records.names import Branch
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.records.schemas import Post
from pinterest_pipeline.terminal import out, steps
from pinterest_pipeline.workspace import Workspace


@dataclass(frozen=True)
class Plan:
    """Which posts are sent: `count` in the original's order, or every post once when it is None."""

    count: int | None
    seed: int
    last_row: int | None

    def chunks(self, database: PostDatabase) -> Iterator[Sequence[Post]]:
        if self.count is None:
            return database.all_posts()
        return database.original_order(self.seed, self.count, self.last_row)


def send(
    settings: Settings, branch: Branch, plan: Plan, *, rate: float | None, workers: int, batch: int
) -> None:
    """Send and print the account; raises BadInput or Unavailable unless every record was acknowledged."""
    credentials = load_credentials(settings.db_creds)
    emulator = Emulator(
        SendSettings(
            url=credentials.BATCH_API_URL if branch == "batch" else credentials.STREAMING_API_URL,
            pipeline_id=settings.pipeline_id,
            receipts=Workspace(settings).receipts,
            rate=rate,
            workers=workers,
            batch=batch,
            api_key=credentials.API_KEY,
            ca=credentials.API_CA,
        ),
        branch,
    )
    with closing(PostDatabase(credentials.database_url())) as database:
        total = database.rows() if plan.count is None else plan.count
        try:
            with steps() as progress:
                stopped = asyncio.run(
                    _run(
                        emulator,
                        plan.chunks(database),
                        lambda done: progress(f"sending, {branch}", done, total),
                    )
                )
        finally:
            account = sum(emulator.accounts.values(), Account())
            _show(emulator, account)
    if stopped:
        raise KeyboardInterrupt
    if account.unknown:
        raise Unavailable(f"nobody knows whether {account.unknown:,} records landed", "send them again")
    if account.refused:
        raise BadInput(f"{account.refused:,} records were refused", "the reasons are above")


async def _run(
    emulator: Emulator, chunks: Iterator[Sequence[Post]], on_progress: Callable[[int], None]
) -> bool:
    """Send to the end, or until told to stop: then True."""
    with stop_on_signals() as stop:
        await emulator.send(chunks, on_progress, stop)
        return stop.is_set()


def _show(emulator: Emulator, account: Account) -> None:
    for reason, count in emulator.reasons.most_common():
        out.say(f"{count:,} x {reason}")
    out.print(
        f"{emulator.posts:,} posts: {account.sent:,} records sent = {account.acknowledged:,} acknowledged"
        f" + {account.refused:,} refused + {account.unknown:,} unknown",
        soft_wrap=True,
    )
