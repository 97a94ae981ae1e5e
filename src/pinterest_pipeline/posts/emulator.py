"""The user posting emulation: takes posts in order, sends each of their three rows, accounts for each.

A feeder deals posts out to workers by `ind % workers`, so posts of one key stay in order; a worker sends one
batch at a time, one request for each table. Nothing is held but what is under way.
"""

import asyncio
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from pydantic import SecretStr

from pinterest_pipeline.errors import Fatal, Forbidden, PipelineError, SettingError, Unavailable
from pinterest_pipeline.posts.delivery import Courier, Delivered, Patience, told_within
from pinterest_pipeline.posts.journal import Journal
from pinterest_pipeline.posts.targets import Refusal, Target, target
from pinterest_pipeline.records.names import TABLES, Branch, Table
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.records.schemas import SOURCE_KEYS, Post

_MOST_REASONS: Final = 20
_LOST_IN_A_ROW: Final = 10
_SHORTEST_PAUSE: Final = 0.002  # seconds; a shorter sleep costs more than it is exact
_LAST_PORT: Final = 65_535
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class SendSettings:
    """How posts are sent."""

    url: str
    """Address of the API, with its stage if it has one."""
    pipeline_id: str
    receipts: Path
    """Folder of the receipts journals."""
    rate: float | None = None
    """Posts a second; None for as fast as it goes."""
    workers: int = 4
    batch: int = 1
    """Records of a request."""
    api_key: SecretStr | None = None
    ca: Path | None = None
    """PEM file with the CA of the API's certificate; None for those that the system trusts."""
    patience: Patience = field(default_factory=Patience)


class Refused(Fatal):
    """The API takes no record at all: wrong address, unknown topic or stream."""

    exit_code = 4


class Emulator:
    """One run of the emulator; its account stays readable however the run ends. Raises SettingError."""

    def __init__(self, settings: SendSettings, branch: Branch) -> None:
        self._settings = settings
        self._branch: Branch = branch
        self._target: Target = target(branch, settings.pipeline_id)
        _refuse_nonsense(settings, self._target)
        self.posts = 0
        """Posts whose three rows have been accounted for."""
        self.accounts: dict[Table, Account] = dict.fromkeys(TABLES, Account())
        self.reasons: Counter[str] = Counter()
        """Why records were refused or are unknown, and how many; the first 20 reasons."""
        self.journal: Path | None = None

    async def send(
        self,
        chunks: Iterator[Sequence[Post]],
        on_progress: Callable[[int], None] = lambda _: None,
        stop: asyncio.Event | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> dict[Table, Account]:
        """Send posts to their end, or until `stop` is set: those under way are finished, no more are taken.

        `chunks` are drawn in a thread, for they come from a database. `on_progress` is told `posts`.
        Raises Refused or Forbidden when the API takes nothing, Unavailable when it does not answer, DiskFull,
        and what `chunks` raises: always after the requests under way have ended and the journal is closed.
        """
        with Journal(self._settings.receipts, self._branch) as journal:
            self.journal = journal.path
            try:
                async with _clients(self._settings, transport) as clients:
                    run = _Run(self, self._settings, self._target, journal, on_progress)
                    await run.go(chunks, clients, stop)
            finally:
                self.accounts = journal.accounts()
        return self.accounts

    def note(self, delivered: Delivered) -> None:
        """Count the reasons of what was not acknowledged."""
        for outcome in delivered.outcomes:
            reason = outcome.refused or outcome.unknown
            if reason and (reason in self.reasons or len(self.reasons) < _MOST_REASONS):
                self.reasons[reason] += 1


_Batch = list[Post]
_Queue = asyncio.Queue[_Batch | None]


class _Run:
    """The moving parts of one run."""

    def __init__(
        self,
        emulator: Emulator,
        settings: SendSettings,
        aim: Target,
        journal: Journal,
        on_progress: Callable[[int], None],
    ) -> None:
        self._emulator = emulator
        self._settings = settings
        self._target = aim
        self._journal = journal
        self._on_progress = on_progress
        self._halt = asyncio.Event()
        self._error: PipelineError | None = None
        self._taken: set[Table] = set()
        self._lost_in_a_row = 0

    async def go(
        self,
        chunks: Iterator[Sequence[Post]],
        clients: Sequence[httpx.AsyncClient],
        stop: asyncio.Event | None,
    ) -> None:
        """Send all, with one worker for each client."""
        queues: list[_Queue] = [asyncio.Queue(maxsize=2) for _ in clients]
        listener = asyncio.create_task(self._listen(stop)) if stop else None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._feed(chunks, queues))
                for queue, client in zip(queues, clients, strict=True):
                    courier = Courier(client, self._target, self._settings.patience, self._halt)
                    tasks.create_task(self._work(queue, courier))
        finally:
            if listener:
                listener.cancel()
        if self._error:
            raise self._error

    async def _listen(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._halt.set()

    def _fail(self, error: PipelineError) -> None:
        self._error = self._error or error
        self._halt.set()

    async def _feed(self, chunks: Iterator[Sequence[Post]], queues: list[_Queue]) -> None:
        try:
            await self._deal(chunks, queues)
        except PipelineError as error:
            self._fail(error)
        for queue in queues:
            await queue.put(None)

    async def _deal(self, chunks: Iterator[Sequence[Post]], queues: list[_Queue]) -> None:
        hands: list[_Batch] = [[] for _ in queues]
        pace = _Pace(self._settings.rate, self._halt)
        while not self._halt.is_set() and (chunk := await asyncio.to_thread(next, chunks, None)):
            for post in chunk:
                await pace.next()
                worker = post["pin"][SOURCE_KEYS["pin"]] % len(queues)
                hands[worker].append(post)
                if len(hands[worker]) == self._settings.batch:
                    await queues[worker].put(hands[worker])
                    hands[worker] = []
                if self._halt.is_set():
                    return
        for hand, queue in zip(hands, queues, strict=True):
            if hand:
                await queue.put(hand)

    async def _work(self, queue: _Queue, courier: Courier) -> None:
        """Send one batch after the other; once halted, only empty the queue, so that the feeder can end."""
        while (batch := await queue.get()) is not None:
            if self._halt.is_set():
                continue
            results = await asyncio.gather(*(self._request(courier, table, batch) for table in TABLES))
            if all(results):
                self._emulator.posts += len(batch)
                self._on_progress(self._emulator.posts)

    async def _request(self, courier: Courier, table: Table, batch: _Batch) -> bool:
        """Send one table's rows of a batch; whether it could be accounted for."""
        rows = [post[table] for post in batch]
        try:
            number = self._journal.request(table, [row[SOURCE_KEYS[table]] for row in rows])
            delivered = await courier.deliver(table, rows)
            self._journal.answer(number, delivered.outcomes, delivered.tries, delivered.resent)
        except PipelineError as error:
            self._fail(error)
            return False
        self._emulator.note(delivered)
        self._judge(table, delivered)
        return True

    def _judge(self, table: Table, delivered: Delivered) -> None:
        """Halt when going on makes no sense: all is refused, or nothing answers."""
        refusal = delivered.last_refusal
        if refusal is None:
            self._taken.add(table)
            self._lost_in_a_row = 0
        elif refusal.hopeless and table not in self._taken:
            self._fail(self._refused(table, refusal))
        elif (refusal.retry or refusal.doubtful) and not self._halt.is_set():
            self._lost_in_a_row += 1
            if not self._taken or self._lost_in_a_row >= _LOST_IN_A_ROW:
                self._fail(
                    Unavailable(
                        f"the API at {self._settings.url} takes nothing: {refusal.reason}",
                        "start it by 'pinpipe up', or correct its address in db_creds.yaml",
                    )
                )

    def _refused(self, table: Table, refusal: Refusal) -> Refused | Forbidden:
        name = self._target.name(table)
        problem = f"the API at {self._settings.url} takes nothing for '{name}': {refusal.reason}"
        if refusal.forbidden:
            return Forbidden(
                problem, "give API_KEY in db_creds.yaml a key that may write there; see 'pinpipe keys'"
            )
        return Refused(
            problem,
            "check the address with its stage, the key, the pipeline's id; does the topic or stream exist?",
        )


class _Pace:
    """Lets posts pass at a rate; a late post does not push the later ones back."""

    def __init__(self, rate: float | None, halt: asyncio.Event) -> None:
        self._step = 1 / rate if rate else 0.0
        self._halt = halt
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()

    async def next(self) -> None:
        """Wait until the next post is due, or the run is halted."""
        if (pause := self._due - self._clock()) > _SHORTEST_PAUSE:
            await told_within(self._halt, pause)
        self._due += self._step


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second ends the process as usual."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def restore() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def told() -> None:
        stop.set()
        restore()

    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield stop
    finally:
        restore()


def _refuse_nonsense(settings: SendSettings, aim: Target) -> None:
    if not 1 <= settings.batch <= aim.max_records:
        raise SettingError(f"a request takes 1 to {aim.max_records} records, not {settings.batch}")
    if settings.workers < 1:
        raise SettingError(f"at least one worker is needed, not {settings.workers}")
    if settings.rate is not None and not settings.rate > 0:
        raise SettingError(f"the rate must be more than 0 posts a second, not {settings.rate}")
    try:
        url = httpx.URL(settings.url)
        usable = url.host != "" and 0 <= (url.port or 0) <= _LAST_PORT
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise SettingError(f"'{settings.url}' is no address of an API", "it looks like http://127.0.0.1:8082")


@asynccontextmanager
async def _clients(
    settings: SendSettings, transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client for each worker: one large pool would look through all its connections at every request."""
    context = _trust(settings.ca)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(_client(settings, context, transport))
            for _ in range(settings.workers)
        ]


def _client(
    settings: SendSettings, context: ssl.SSLContext, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    key = settings.api_key
    try:
        return httpx.AsyncClient(
            base_url=settings.url,
            headers={"x-api-key": key.get_secret_value()} if key else {},
            verify=context,
            timeout=settings.patience.timeout,
            limits=httpx.Limits(max_connections=len(TABLES)),
            transport=transport,
            # A proxy of the network cannot reach an API on this very machine.
            trust_env=httpx.URL(settings.url).host not in _LOOPBACK,
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise SettingError(
            f"the proxy that the environment names cannot be used: {str(error).rstrip('.')}",
            "see HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY",
        ) from None


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)
    except OSError as error:  # an SSLError, for a file that is no PEM, is one too
        problem = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificate in PEM"
        if ca is None:
            raise SettingError(f"SSL_CERT_FILE cannot be used: {problem}", "correct or unset it") from None
        raise SettingError(f"API_CA: {ca} cannot be used: {problem}", "see db_creds.yaml") from None
