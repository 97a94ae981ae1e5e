import errno
import json
import os
import resource
from pathlib import Path

import pytest

from pinterest_pipeline.errors import DiskFull, Fatal
from pinterest_pipeline.posts.journal import Journal, accounts
from pinterest_pipeline.records.receipts import Account, Outcome


def test_a_request_is_noted_before_and_after(tmp_path: Path) -> None:
    with Journal(tmp_path / "receipts", "batch") as journal:
        number = journal.request("pin", [7528, 2863])
        assert journal.path.read_text() == '{"request":1,"table":"pin","ind":[7528,2863]}\n'
        journal.answer(number, [Outcome(partition=0, offset=0), Outcome(refused="why")], tries=2, resent=1)
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert lines[1] == {
        "request": 1,
        "outcomes": [{"partition": 0, "offset": 0}, {"refused": "why"}],
        "tries": 2,
        "resent": 1,
    }


def test_the_file_is_named_after_branch_and_process(tmp_path: Path) -> None:
    with Journal(tmp_path, "stream") as journal:
        pass
    assert journal.path.name.startswith("stream-2")
    assert journal.path.name.endswith(f"-{os.getpid()}.jsonl")


def test_the_counts_are_the_same_while_writing_and_when_read_back(tmp_path: Path) -> None:
    with Journal(tmp_path, "stream") as journal:
        first, _ = journal.request("pin", [1, 2, 3]), journal.request("geo", [1, 2])
        found = [Outcome(shard="s", sequence="4"), Outcome(refused="a"), Outcome(unknown="b")]
        journal.answer(first, found, tries=3, resent=2)
        counted = journal.accounts()
    assert counted == {
        "pin": Account(sent=3, acknowledged=1, refused=1, unknown=1, resent=2),
        "geo": Account(sent=2, unknown=2),
        "user": Account(),
    }
    assert accounts([journal.path]) == counted


def test_all_runs_are_added(tmp_path: Path) -> None:
    for _ in range(2):
        with Journal(tmp_path, "batch") as journal:
            journal.answer(journal.request("user", [1]), [Outcome(partition=0, offset=0)], tries=1, resent=0)
    assert accounts(tmp_path.iterdir())["user"] == Account(sent=2, acknowledged=2)
    assert accounts([])["user"] == Account()


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path, "batch") as journal:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(DiskFull, match="no room left for the receipts"):
            journal.request("pin", [1])
        assert journal.accounts()["pin"] == Account()


def test_a_line_taken_in_parts_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, rest: whole(file, rest[:7]))
    with Journal(tmp_path, "batch") as journal:
        journal.request("pin", [1])
    assert journal.path.read_text() == '{"request":1,"table":"pin","ind":[1]}\n'


def test_a_line_that_finds_half_its_room_leaves_nothing_before_the_next(tmp_path: Path) -> None:
    with Journal(tmp_path, "batch") as journal:
        number = journal.request("pin", [1])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 7, hard))
        try:
            with pytest.raises(Fatal, match="cannot be written"):
                journal.request("geo", [1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.answer(number, [Outcome(partition=0, offset=0)], tries=1, resent=0)
        counted = journal.accounts()
    assert accounts([journal.path]) == counted
    assert counted["pin"] == Account(sent=1, acknowledged=1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "receipts").write_text("a file")
    with pytest.raises(Fatal, match="cannot be written"):
        Journal(tmp_path / "receipts", "batch")
