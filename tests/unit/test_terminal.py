"""What a person reads is what is there, whatever signs it holds."""

import pytest

from pinterest_pipeline.analyses.catalog import Analysis
from pinterest_pipeline.terminal import show_answer, steps

QUESTION = Analysis("top", "Who?", "bar", "", 9)


@pytest.mark.parametrize("name", [":fire:", "[bold]x", "[/x]", "back\\", "\\[b]", "\\", "👩‍👩‍👧 עברית"])
def test_a_name_in_a_table_stays_as_it_is(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    show_answer(QUESTION, [{"poster_name": name}])
    assert capfd.readouterr().out.splitlines()[-1].strip() == name


def test_a_name_does_not_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    show_answer(QUESTION, [{"poster_name": "\x1b[2J\x9b2Jgone\x07"}])
    assert capfd.readouterr().out.splitlines()[-1].strip() == "\ufffd[2J\ufffd2Jgone\ufffd"


def test_a_step_is_named_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with steps() as progress:
        progress("into /a[/b]/:fire: ...", 0, None)
    assert capfd.readouterr().err == "into /a[/b]/:fire: ... ...\n"
