"""What an account may not leave out."""

import re
from pathlib import Path

import pytest

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.outcome import outcome, unloaded
from pinterest_pipeline.workspace import Workspace


def test_a_branch_that_was_sent_to_and_never_loaded_is_no_account_that_holds(tmp_path: Path) -> None:
    workspace = Workspace(load_settings(data=tmp_path))
    assert unloaded(workspace, ("stream",)) == []
    workspace.receipts.mkdir()
    (workspace.receipts / "batch-20261125T095806.228356Z-1.jsonl").touch()
    assert [problem.partition(":")[0] for problem in unloaded(workspace, ("stream",))] == ["batch"]
    assert unloaded(workspace, ("batch",)) == []


def test_a_damaged_journal_of_receipts_is_named(tmp_path: Path) -> None:
    workspace = Workspace(load_settings(data=tmp_path))
    workspace.receipts.mkdir()
    damaged = workspace.receipts / "batch-20261125T095806.228356Z-1.jsonl"
    damaged.write_text("garb\n")
    with pytest.raises(BadInput, match=f"{re.escape(str(damaged))}: line 1 "):
        outcome(workspace, ("batch",))
