"""What `pinpipe --help` says, as a person in a terminal of 80 columns reads it."""

import re
import shlex
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from pinterest_pipeline.cli import app

ROOT = typer.main.get_command(app)


def commands(group: Any, name: str = "") -> list[str]:
    """Every command that does something, as it is typed."""
    if not isinstance(group, TyperGroup):
        return [name]
    return [found for part, inner in group.commands.items() for found in commands(inner, f"{name} {part}")]


def help_of(command: str) -> str:
    return CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"}).output


@pytest.mark.parametrize("command", commands(ROOT))
def test_every_command_shows_an_example_that_can_be_typed(command: str) -> None:
    example = re.search(r"^ Example: (.*pinpipe.*)$", help_of(command), re.MULTILINE)
    assert example
    typed = shlex.split(example[1].strip())
    arguments = typed[typed.index("pinpipe") + 1 :]
    group: Any = ROOT
    while isinstance(group, TyperGroup):
        group = group.commands[arguments.pop(0)]
    assert group.make_context("pinpipe", arguments)


def test_commands_are_listed_by_what_a_reader_wants_first() -> None:
    said = help_of("")
    panels = ["The whole pipeline", "One room each", "Look and prove"]
    assert sorted(panels, key=said.index) == panels
    listed = re.findall(r"^│ ([a-z0-9]+) {2,}", said, re.MULTILINE)
    assert listed[:6] == ["demo", "up", "fill", "send", "keys", "gateway"]
    assert set(listed) == set(ROOT.commands)  # type: ignore[attr-defined]  # of a group
