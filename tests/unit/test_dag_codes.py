"""The DAG is one file that imports nothing of ours, so what it says of our exit codes is checked here."""

import ast
from pathlib import Path

from pinterest_pipeline import errors

DAG = Path(__file__).parents[2] / "dags/124df56aef51_dag.py"


def permanent_codes() -> set[int]:
    for statement in ast.parse(DAG.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="PERMANENT_CODES")], value=ast.Call(args=[codes])):
                return set(ast.literal_eval(codes))
    raise AssertionError("the DAG names no codes")


def kinds(base: type[errors.PipelineError]) -> set[int]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, base)]
    return {kind.exit_code for kind in found if kind is not base}


def test_the_dag_tries_again_what_may_pass_and_nothing_that_a_person_must_mend() -> None:
    assert not permanent_codes() & kinds(errors.Retryable)
    may_pass = {errors.Disagreement.exit_code, errors.AlreadyRunning.exit_code}
    assert permanent_codes() == kinds(errors.Fatal) - may_pass


def test_the_dag_imports_nothing_of_the_pipeline() -> None:
    assert "import pinterest_pipeline" not in DAG.read_text(encoding="utf-8")
    assert "from pinterest_pipeline" not in DAG.read_text(encoding="utf-8")
