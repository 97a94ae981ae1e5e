"""What an account may not leave out."""

from pathlib import Path

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.outcome import unloaded
from pinterest_pipeline.workspace import Workspace


def test_a_branch_that_was_sent_to_and_never_loaded_is_no_account_that_holds(tmp_path: Path) -> None:
    workspace = Workspace(load_settings(data=tmp_path))
    assert unloaded(workspace, ("stream",)) == []
    workspace.receipts.mkdir()
    (workspace.receipts / "batch-20261125T095806.228356Z-1.jsonl").touch()
    assert [problem.partition(":")[0] for problem in unloaded(workspace, ("stream",))] == ["batch"]
    assert unloaded(workspace, ("batch",)) == []
