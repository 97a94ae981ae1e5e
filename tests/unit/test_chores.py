"""What the Makefile installs for a chore."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "has_servers", "has_spark"),
    [
        ("", False, False),
        ("--count 5", False, False),
        ("--kafka", True, False),
        ("--s3 --json", True, False),
        ("--spark", False, True),
        ("--spark --s3", True, True),
    ],
)
@pytest.mark.parametrize("chore", ["demo", "up"])
def test_what_a_run_asks_for_is_installed(
    chore: str, arguments: str, has_servers: bool, has_spark: bool
) -> None:
    command = ["make", "--dry-run", "--always-make", chore, f"ARGS={arguments}"]
    # As a person types it, also where the tests themselves were started by make.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    said = subprocess.run(command, cwd=REPOSITORY, env=own, capture_output=True, text=True, check=True).stdout
    assert ("--extra s3-server" in said) == has_servers
    assert ("--extra spark" in said) == has_spark
    assert said.rstrip().endswith(f"pinpipe {chore} {arguments}".rstrip())
