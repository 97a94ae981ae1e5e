import asyncio
import json
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pinterest_pipeline.errors import DiskFull, Forbidden, SettingError, Unavailable
from pinterest_pipeline.posts import journal
from pinterest_pipeline.posts.emulator import Emulator, Refused, stop_on_signals
from pinterest_pipeline.posts.journal import Journal
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.records.schemas import Post
from tests.unit.posts.fake_api import FakeAPI, send, settings

Make = Callable[..., Post]


def by_table(api: FakeAPI) -> dict[str, list[Any]]:
    return {name.replace("-", ".").rsplit(".", 1)[-1]: rows for name, rows in api.taken.items()}


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (1, 4), (3, 4), (100, 2)])
def test_each_row_arrives_once_and_is_accounted_for(
    tmp_path: Path, post: Make, branch: Branch, batch: int, workers: int
) -> None:
    api, progress = FakeAPI(), list[int]()
    emulator = Emulator(settings(tmp_path, batch=batch, workers=workers), branch)
    accounts = send(emulator, api, [post(ind) for ind in range(10)], on_progress=progress.append)
    assert accounts == dict.fromkeys(TABLES, Account(sent=10, acknowledged=10))
    keys = {"pin": "index", "geo": "ind", "user": "ind"}
    assert {table: sorted(row[keys[table]] for row in rows) for table, rows in by_table(api).items()} == (
        {table: list(range(10)) for table in TABLES}
    )
    assert progress[-1] == emulator.posts == 10
    assert journal.accounts(tmp_path.glob(f"{branch}-*.jsonl")) == accounts == emulator.accounts


def test_the_stage_stays_in_the_address(tmp_path: Path, post: Make) -> None:
    paths = set[str]()

    def api(request: httpx.Request) -> httpx.Response:
        paths.add(str(request.url))
        return httpx.Response(400)

    send(Emulator(settings(tmp_path), "batch"), api, [post(1)])
    assert "http://api/dev/topics/124df56aef51.pin" in paths


def test_posts_of_one_key_stay_in_order(tmp_path: Path, post: Make) -> None:
    api = FakeAPI()
    posts = [post(ind, title=str(turn)) for turn in range(20) for ind in range(7)]
    send(Emulator(settings(tmp_path, batch=2, workers=3), "batch"), api, posts)
    titles = defaultdict(list)
    for row in by_table(api)["pin"]:
        titles[row["index"]].append(int(row["title"]))
    assert all(found == list(range(20)) for found in titles.values())


def test_a_lost_answer_is_asked_for_again(tmp_path: Path, post: Make) -> None:
    def lose_the_first(api: FakeAPI, request: httpx.Request) -> httpx.Response | None:
        if api.requests == 1:
            api.take(request)
            raise httpx.ReadTimeout("too slow", request=request)
        return None

    api = FakeAPI(lose_the_first)
    accounts = send(Emulator(settings(tmp_path), "batch"), api, [post(1)])
    assert accounts["pin"] == Account(sent=1, acknowledged=1, resent=1)
    assert len(by_table(api)["pin"]) == 2


def test_answers_lost_for_good_are_unknown(tmp_path: Path, post: Make) -> None:
    def lose_geo(_: FakeAPI, request: httpx.Request) -> httpx.Response | None:
        if "geo" in request.url.path:
            raise httpx.ReadError("connection reset", request=request)
        return None

    emulator = Emulator(settings(tmp_path, workers=1), "stream")
    accounts = send(emulator, FakeAPI(lose_geo), [post(1), post(2)])
    assert accounts["geo"] == Account(sent=2, unknown=2, resent=4)
    assert accounts["pin"] == Account(sent=2, acknowledged=2)
    assert emulator.reasons == Counter({"no answer: connection reset": 2})


def test_a_record_that_may_have_landed_stays_unknown_when_refused_later(tmp_path: Path, post: Make) -> None:
    def first_500_then_400(api: FakeAPI, request: httpx.Request) -> httpx.Response | None:
        if "pin" in request.url.path:
            return httpx.Response(500 if api.requests == 1 else 400, text="why")
        return None

    accounts = send(Emulator(settings(tmp_path), "batch"), FakeAPI(first_500_then_400), [post(1)])
    assert accounts["pin"] == Account(sent=1, unknown=1, resent=1)


def test_only_failed_records_are_sent_again(tmp_path: Path, post: Make) -> None:
    sizes = list[int]()

    def api(request: httpx.Request) -> httpx.Response:
        records = json.loads(request.content)["records"]
        if "pin" in request.url.path:
            sizes.append(len(records))
        offsets = [
            {"partition": 0, "offset": record["key"]}
            if record["key"] % 2 or len(records) < 4
            else {"error_code": 42901, "error": "slow down"}
            for record in records
        ]
        return httpx.Response(200, json={"offsets": offsets})

    accounts = send(
        Emulator(settings(tmp_path, batch=4, workers=1), "batch"), api, [post(ind) for ind in range(4)]
    )
    assert sizes == [4, 2]
    assert accounts["pin"] == Account(sent=4, acknowledged=4, resent=2)
    (path,) = tmp_path.iterdir()
    answers = [json.loads(line) for line in path.read_text().splitlines()]
    outcomes = next(entry["outcomes"] for entry in answers if entry["request"] == 1 and "outcomes" in entry)
    assert [outcome["offset"] for outcome in outcomes] == [0, 1, 2, 3]


def test_the_api_key_is_shown_and_never_printed(tmp_path: Path, post: Make) -> None:
    keys = set[str]()

    def api(request: httpx.Request) -> httpx.Response:
        keys.add(request.headers["x-api-key"])
        return FakeAPI()(request)

    given = settings(tmp_path, api_key=SecretStr("hunter2"))
    send(Emulator(given, "stream"), api, [post(1)])
    assert keys == {"hunter2"}
    assert "hunter2" not in repr(given)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_that_cannot_be_used_is_named(tmp_path: Path, post: Make, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(SettingError, match=r"API_CA: .*ca\.pem cannot be used"):
        send(Emulator(settings(tmp_path / "receipts", ca=path), "batch"), FakeAPI(), [post(1)])


def test_a_ca_of_the_environment_that_cannot_be_used_is_named(
    tmp_path: Path, post: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(SettingError, match="SSL_CERT_FILE cannot be used"):
        send(Emulator(settings(tmp_path / "receipts"), "batch"), FakeAPI(), [post(1)])


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "gopher://127.0.0.1:9", "http://a:b:c"])
def test_a_proxy_that_cannot_be_used_is_named_where_it_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    for url in ("http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"):
        asyncio.run(Emulator(settings(tmp_path, url=url), "batch").send(iter([])))
    with pytest.raises(SettingError, match="proxy"):
        asyncio.run(Emulator(settings(tmp_path, url="http://api.test"), "batch").send(iter([])))


def test_a_refused_record_does_not_stop_the_others(tmp_path: Path, post: Make) -> None:
    def api(request: httpx.Request) -> httpx.Response:
        records = json.loads(request.content)["records"]
        offsets = [
            {"error_code": 413, "error": "too large"} if record["key"] == 2 else {"partition": 0, "offset": 1}
            for record in records
        ]
        return httpx.Response(200, json={"offsets": offsets})

    emulator = Emulator(settings(tmp_path, batch=4), "batch")
    accounts = send(emulator, api, [post(ind) for ind in range(4)])
    assert accounts["user"] == Account(sent=4, acknowledged=3, refused=1)
    assert emulator.reasons == Counter({"413 too large": 3})


def test_no_more_than_the_most_reasons_are_kept(tmp_path: Path, post: Make) -> None:
    numbers = iter(range(1_000))
    emulator = Emulator(settings(tmp_path), "batch")
    send(
        emulator, lambda _: httpx.Response(400, text=f"no {next(numbers)}"), [post(ind) for ind in range(50)]
    )
    assert len(emulator.reasons) == 20
    assert emulator.accounts["pin"].refused == 50


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_api_that_takes_nothing_ends_the_run_with_the_account(
    tmp_path: Path, post: Make, branch: Branch, status: int
) -> None:
    requests = list[httpx.Request]()

    def api(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(status, json={"error_code": status, "message": "Topic not found."})

    emulator = Emulator(settings(tmp_path), branch)
    text = f"http://api/dev takes nothing for .*124df56aef51.*: {status} Topic not found"
    with pytest.raises((Refused, Forbidden), match=text) as raised:
        send(emulator, api, iter([[post(ind) for ind in range(1_000)]] * 11))
    assert raised.value.exit_code == (4 if status == 404 else 7)
    sent = sum(account.sent for account in emulator.accounts.values())
    assert sent == sum(account.refused for account in emulator.accounts.values()) == len(requests) <= 12


def test_a_404_later_on_is_counted_and_the_run_goes_on(tmp_path: Path, post: Make) -> None:
    def gone_for_one(_: FakeAPI, request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(404) if b'"key":2,' in request.content else None

    accounts = send(
        Emulator(settings(tmp_path, workers=1), "batch"), FakeAPI(gone_for_one), [post(1), post(2), post(3)]
    )
    assert accounts["pin"] == Account(sent=3, acknowledged=2, refused=1)


@pytest.mark.parametrize(("error", "refused"), [(httpx.ConnectError, True), (httpx.ReadTimeout, False)])
def test_an_api_that_never_answers_ends_the_run(
    tmp_path: Path, post: Make, error: type[httpx.RequestError], refused: bool
) -> None:
    def api(request: httpx.Request) -> httpx.Response:
        raise error("nobody there", request=request)

    emulator = Emulator(settings(tmp_path, workers=1), "batch")
    with pytest.raises(Unavailable, match=r"http://api/dev takes nothing: .*nobody there"):
        send(emulator, api, [post(ind) for ind in range(1_000)])
    pin = emulator.accounts["pin"]
    assert (pin.sent, pin.refused, pin.unknown) == ((1, 1, 0) if refused else (1, 0, 1))


def test_an_api_that_goes_away_for_good_ends_the_run(tmp_path: Path, post: Make) -> None:
    def gone(api: FakeAPI, _: httpx.Request) -> httpx.Response | None:
        return httpx.Response(503, headers={"Retry-After": "0"}) if api.requests > 30 else None

    emulator = Emulator(settings(tmp_path), "stream")
    with pytest.raises(Unavailable, match="503"):
        send(emulator, FakeAPI(gone), [post(ind) for ind in range(1_000)])
    pin = emulator.accounts["pin"]
    assert pin.sent == pin.acknowledged + pin.unknown < 50


def test_a_wait_that_is_too_long_is_not_waited(tmp_path: Path, post: Make) -> None:
    def busy(_: FakeAPI, request: httpx.Request) -> httpx.Response | None:
        long = b'"key":2,' in request.content and "pin" in request.url.path
        return httpx.Response(429, headers={"Retry-After": "3600"}) if long else None

    accounts = send(Emulator(settings(tmp_path, workers=1), "batch"), FakeAPI(busy), [post(1), post(2)])
    assert accounts["pin"] == Account(sent=2, acknowledged=1, refused=1)


def test_a_stop_finishes_what_is_under_way(tmp_path: Path, post: Make) -> None:
    async def run() -> Emulator:
        stop = asyncio.Event()
        emulator = Emulator(settings(tmp_path, workers=2), "batch")

        def endless() -> Iterator[list[Post]]:
            while True:
                yield [post(ind) for ind in range(10)]

        def stop_at_five(posts: int) -> None:
            if posts >= 5:
                stop.set()

        transport = httpx.MockTransport(FakeAPI())
        await emulator.send(endless(), on_progress=stop_at_five, stop=stop, transport=transport)
        return emulator

    emulator = asyncio.run(run())
    assert 5 <= emulator.posts < 20
    assert emulator.accounts == dict.fromkeys(
        TABLES, Account(sent=emulator.posts, acknowledged=emulator.posts)
    )


def test_a_stop_ends_the_wait_and_leaves_one_last_try(tmp_path: Path, post: Make) -> None:
    async def run() -> dict[Any, Account]:
        stop = asyncio.Event()

        def busy(_: httpx.Request) -> httpx.Response:
            stop.set()
            return httpx.Response(503, headers={"Retry-After": "50"})

        emulator = Emulator(settings(tmp_path), "batch")
        return await emulator.send(iter([[post(1)]]), stop=stop, transport=httpx.MockTransport(busy))

    accounts = asyncio.run(run())
    assert accounts == dict.fromkeys(TABLES, Account(sent=1, unknown=1, resent=1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_a_run(number: signal.Signals) -> None:
    async def run() -> bool:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), number)
            async with asyncio.timeout(5):
                return await stop.wait()

    handler = signal.getsignal(number)
    assert asyncio.run(run())
    assert signal.getsignal(number) in (handler, signal.default_int_handler)


def test_a_source_that_fails_ends_the_run_with_the_account(tmp_path: Path, post: Make) -> None:
    def broken() -> Iterator[list[Post]]:
        yield [post(ind) for ind in range(4)]
        raise Unavailable("the database does not answer")

    emulator = Emulator(settings(tmp_path, workers=1), "batch")
    with pytest.raises(Unavailable, match="database"):
        send(emulator, FakeAPI(), broken())
    account = emulator.accounts["pin"]
    assert account.sent == account.acknowledged == emulator.posts <= 4


def test_a_journal_that_cannot_be_written_ends_the_run(
    tmp_path: Path, post: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise DiskFull("no room left")

    monkeypatch.setattr(Journal, "answer", full)
    emulator = Emulator(settings(tmp_path), "batch")
    with pytest.raises(DiskFull):
        send(emulator, FakeAPI(), [post(ind) for ind in range(100)])
    assert emulator.accounts["pin"].unknown == emulator.accounts["pin"].sent < 10
    assert emulator.posts == 0


def test_posts_keep_to_the_rate(tmp_path: Path, post: Make) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        emulator = Emulator(settings(tmp_path, rate=50.0), "batch")
        begun = loop.time()
        transport = httpx.MockTransport(FakeAPI())
        await emulator.send(iter([[post(ind) for ind in range(11)]]), transport=transport)
        return loop.time() - begun

    assert asyncio.run(run()) >= 10 / 50 - 0.01


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 0},
        {"batch": 501},
        {"workers": 0},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"url": "http://"},
        {"url": "http://host:port"},
        {"url": "http://host:80822"},
        {"url": "https://host:-1"},
    ],
)
def test_nonsense_is_refused_before_anything_is_sent(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Emulator(settings(tmp_path / "receipts", **changes), "stream")
    assert not (tmp_path / "receipts").exists()
