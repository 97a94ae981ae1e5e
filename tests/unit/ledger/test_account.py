"""The account balances when all is well, and every kind of harm makes it fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinterest_pipeline.errors import DamagedTable
from pinterest_pipeline.ledger.account import Evidence, TableAccount, account
from pinterest_pipeline.records.receipts import Account, read_accounts

SOURCE = "id.pin"
COUNT = 10


class Facts:
    """Ten posts sent in two requests: post 9 again as post 0, post 8 quarantined; then written to files."""

    def __init__(self) -> None:
        self.landed: list[dict[str, Any]] = [self.line(number, number % 9) for number in range(COUNT)]
        self.clean = [self.row(number, number % 9) for number in range(1, COUNT) if number != 8]
        self.quarantined = [{"table_name": "pin", "reason": "bad", **self.position(8)}]
        self.receipts: list[dict[str, Any]] = [
            {"request": 1, "table": "pin", "ind": [0, 1, 2, 3, 4]},
            {"request": 2, "table": "pin", "ind": [5, 6, 7, 8, 0]},
            {"request": 1, "outcomes": [{"partition": 0, "offset": n} for n in range(5)], "tries": 1},
            {"request": 2, "outcomes": [{"partition": 0, "offset": n} for n in range(5, 10)], "tries": 1},
        ]

    @staticmethod
    def position(offset: int) -> dict[str, Any]:
        return {"_topic": SOURCE, "_partition": 0, "_offset": offset, "_timestamp": 1}

    def line(self, offset: int, ind: int) -> dict[str, Any]:
        return {"index": ind, **self.position(offset)}

    def row(self, offset: int, ind: int) -> dict[str, Any]:
        return {"ind": ind, **self.position(offset)}

    def account(self, folder: Path, **evidence_of_a_stream: Any) -> TableAccount:
        landed, receipts = folder / "landed.json", folder / "batch-1.jsonl"
        landed.write_text("".join(json.dumps(line) + "\n" for line in self.landed))
        receipts.write_text("".join(json.dumps(line) + "\n" for line in self.receipts))
        pq.write_table(pa.Table.from_pylist(self.clean), folder / "clean.parquet")
        pq.write_table(pa.Table.from_pylist(self.quarantined), folder / "quarantine.parquet")
        evidence = Evidence(
            landed=[[landed]],
            clean=[str(folder / "clean.parquet")],
            quarantine=[str(folder / "quarantine.parquet")],
            receipts=[receipts],
            **evidence_of_a_stream,
        )
        with receipts.open("rb") as lines:
            return account("batch", "pin", evidence, read_accounts(lines)["pin"])


def test_all_well_balances(tmp_path: Path) -> None:
    found = Facts().account(tmp_path)
    assert found.problems == []
    assert (found.sent, found.acknowledged, found.landed) == (10, 10, 10)
    assert (found.clean, found.duplicate, found.quarantined) == (8, 1, 1)
    assert found.without_receipt == 0


def test_a_key_with_leading_zeros_is_the_number_it_stands_for(tmp_path: Path) -> None:
    facts = Facts()
    facts.landed[3]["index"] = "003"
    assert facts.account(tmp_path).problems == []


def test_nothing_at_all_balances() -> None:
    empty = Evidence(landed=[], clean=[], quarantine=[], receipts=[])
    found = account("stream", "geo", empty, read_accounts([])["geo"])
    assert found.problems == []
    assert found.landed == 0


def test_a_record_of_someone_else_is_counted_and_no_fault(tmp_path: Path) -> None:
    facts = Facts()
    facts.landed.append(facts.line(10, 77))
    facts.clean.append(facts.row(10, 77))
    found = facts.account(tmp_path)
    assert found.problems == []
    assert found.without_receipt == 1


def drop_landed(facts: Facts) -> None:
    del facts.landed[3]


def land_twice(facts: Facts) -> None:
    facts.landed.append(facts.landed[3])


def swap_two(facts: Facts) -> None:
    facts.landed[3]["index"], facts.landed[4]["index"] = 4, 3


def drop_clean(facts: Facts) -> None:
    del facts.clean[2]


def repeat_clean(facts: Facts) -> None:
    facts.clean.append(facts.clean[2])


def invent_clean(facts: Facts) -> None:
    facts.clean.append(facts.row(99, 99))


def move_clean(facts: Facts) -> None:
    facts.clean[2]["_offset"] = 0


def drop_quarantined(facts: Facts) -> None:
    facts.quarantined[0]["table_name"] = "geo"


def repeat_quarantined(facts: Facts) -> None:
    facts.quarantined *= 2


def quarantine_a_clean_one(facts: Facts) -> None:
    facts.quarantined.append({"table_name": "pin", "reason": "bad", **facts.position(2)})


def acknowledge_before_landing(facts: Facts) -> None:
    facts.receipts[3]["outcomes"][4]["offset"] = 10


def acknowledge_twice(facts: Facts) -> None:
    facts.receipts[3]["outcomes"][4] = facts.receipts[2]["outcomes"][0]


@pytest.mark.parametrize(
    "sabotage",
    [
        drop_landed,
        land_twice,
        swap_two,
        drop_clean,
        repeat_clean,
        invent_clean,
        move_clean,
        drop_quarantined,
        repeat_quarantined,
        quarantine_a_clean_one,
        acknowledge_before_landing,
        acknowledge_twice,
    ],
)
def test_every_sabotage_is_seen(tmp_path: Path, sabotage: Callable[[Facts], None]) -> None:
    facts = Facts()
    sabotage(facts)
    assert facts.account(tmp_path).problems != []


def test_what_has_left_its_stream_is_counted_and_no_fault(tmp_path: Path) -> None:
    facts = Facts()
    del facts.landed[:3]
    assert "3 acknowledged records are not where" in " ".join(facts.account(tmp_path).problems)
    found = facts.account(tmp_path, beginnings={"0": "3"})
    assert found.problems == []
    assert (found.landed, found.clean, found.expired, found.acknowledged) == (7, 6, 3, 10)


def test_what_was_acknowledged_and_expired_unread_is_named(tmp_path: Path) -> None:
    facts = Facts()
    del facts.landed[:3]
    facts.clean = [row for row in facts.clean if row["ind"] != 2]
    found = facts.account(tmp_path, beginnings={"0": "3"})
    assert found.problems == ["batch pin: 1 acknowledged records expired and are in no table"]


def test_rows_of_an_earlier_stream_are_set_aside(tmp_path: Path) -> None:
    facts = Facts()
    facts.clean.append({"ind": 77, **facts.position(0), "_timestamp": 0})
    assert "1 clean rows come from no landed record" in " ".join(facts.account(tmp_path).problems)
    found = facts.account(tmp_path, since_ms=1)
    assert (found.problems, found.clean) == ([], 8)


def test_versions_of_a_row_may_be_kept(tmp_path: Path) -> None:
    facts = Facts()
    facts.clean.append(facts.row(0, 0))
    assert "1 clean rows repeat an ind" in " ".join(facts.account(tmp_path).problems)
    assert facts.account(tmp_path, every_version=True).problems == []


def test_a_record_of_any_size_is_counted(tmp_path: Path) -> None:
    facts = Facts()
    facts.landed[3]["description"] = "x" * 40 * 2**20
    assert facts.account(tmp_path).problems == []


def test_a_damaged_file_of_a_table_is_named(tmp_path: Path) -> None:
    Facts().account(tmp_path)
    (tmp_path / "clean.parquet").write_bytes(b"")
    evidence = Evidence(landed=[], clean=[str(tmp_path / "clean.parquet")], quarantine=[], receipts=[])
    with pytest.raises(DamagedTable, match=r"clean\.parquet"):
        account("batch", "pin", evidence, Account())
