import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.records.receipts import Account, read_accounts

REQUEST = b'{"request":1,"table":"pin","ind":[1,2]}\n'
ANSWER = b'{"request":1,"outcomes":[{"partition":0,"offset":0},{"unknown":"lost"}],"tries":2,"resent":2}\n'


def test_an_answer_is_counted() -> None:
    accounts = read_accounts([REQUEST, ANSWER])
    assert accounts["pin"] == Account(sent=2, acknowledged=1, unknown=1, resent=2)
    assert accounts["geo"] == accounts["user"] == Account()


def test_a_request_without_answer_is_unknown() -> None:
    assert read_accounts([REQUEST])["pin"] == Account(sent=2, unknown=2)


@pytest.mark.parametrize("end", [1, 10, len(ANSWER) - 1])
def test_an_answer_cut_off_by_a_kill_is_unknown(end: int) -> None:
    assert read_accounts([REQUEST, ANSWER[:end]])["pin"] == Account(sent=2, unknown=2)


def test_no_lines_are_nothing_sent() -> None:
    assert read_accounts([])["pin"] == Account()


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b'{"request":2}\n',
        b'{"request":2,"table":"other","ind":[]}\n',
        b'{"request":2,"outcomes":[],"tries":1}\n',
        b'{"request":1,"outcomes":[{"partition":0,"offset":0}],"tries":1}\n',
        b"\xff\n",
    ],
)
def test_a_damaged_line_is_named(line: bytes) -> None:
    with pytest.raises(BadInput, match="line 2 of the receipts"):
        read_accounts([REQUEST, line])


def test_accounts_add_up() -> None:
    total = Account(5, 2, 2, 1, 7) + Account(1, 1)
    assert total == Account(6, 3, 2, 1, 7)
    assert total.total == total.sent
