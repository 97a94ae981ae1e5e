"""What the Makefile installs for a chore."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "has_extras"), [("", False), ("--count 5", False), ("--kafka", True), ("--s3 --json", True)]
)
@pytest.mark.parametrize("chore", ["demo", "up"])
def test_what_a_run_asks_for_is_installed(chore: str, arguments: str, has_extras: bool) -> None:
    command = ["make", "--dry-run", "--always-make", chore, f"ARGS={arguments}"]
    # As a person types it, also where the tests themselves were started by make.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    said = subprocess.run(command, cwd=REPOSITORY, env=own, capture_output=True, text=True, check=True).stdout
    assert ("--all-extras" in said) == has_extras
    assert said.rstrip().endswith(f"pinpipe {chore} {arguments}".rstrip())
