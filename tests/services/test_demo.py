"""`pinpipe demo` as a person runs it: a process of its own, judged by what it prints."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import pinpipe
from tests.oracle import answers as oracle_answers

pytestmark = pytest.mark.services

REPOSITORY = Path(__file__).parents[2]
REAL_POSTS = REPOSITORY / "../shared/data/real_posts_168.jsonl.gz"
REAL_ANSWERS = REPOSITORY / "../shared/data/real_answers_88_168.json"


def demo(folder: Path, *arguments: str) -> dict[str, Any]:
    """The JSON that a demo prints; its exit code must be 0."""
    done = pinpipe(folder, "demo", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("count", [88, 168])
def test_real_posts_give_their_known_answers_in_both_branches(tmp_path: Path, count: int) -> None:
    if not REAL_POSTS.exists():
        pytest.skip("the real posts are not on this machine")
    printed = demo(tmp_path, "--posts", str(REAL_POSTS), "--count", str(count))
    expected = json.loads(REAL_ANSWERS.read_text())[str(count)]
    assert printed["answers"]["batch"] == expected
    assert printed["answers"]["stream"] == expected
    for branch in ("batch", "stream"):
        for table in ("pin", "geo", "user"):
            account = printed["account"][branch][table]
            assert (
                account["sent"] == account["acknowledged"] == account["landed"] == account["clean"] == count
            )


def generated(folder: Path, count: int) -> Path:
    """A file of generated posts with duplicates and another order."""
    from pinterest_pipeline.posts.generator import generate
    from pinterest_pipeline.records.codec import wire_row

    posts = [{table: wire_row(row) for table, row in post.items()} for post in generate(count)]  # type: ignore[arg-type]
    posts = posts[::-1] + posts[: count // 3]
    path = folder / "posts.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(post) + "\n" for post in posts)
    return path


def test_generated_posts_sent_twice_and_backwards_agree_with_the_oracle(tmp_path: Path) -> None:
    path = generated(tmp_path, 300)
    printed = demo(tmp_path, "--posts", str(path))
    with gzip.open(path, "rt", encoding="utf-8") as file:
        expected = oracle_answers([json.loads(line) for line in file])
    assert printed["answers"]["batch"] == expected
    assert printed["answers"]["stream"] == expected
    account = printed["account"]["batch"]["pin"]
    assert (account["landed"], account["clean"], account["duplicate"]) == (400, 300, 100)


def test_a_posts_file_cut_in_half_is_one_clear_message(tmp_path: Path) -> None:
    whole = generated(tmp_path, 60).read_bytes()
    (tmp_path / "half.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    done = pinpipe(tmp_path, "demo", "--posts", "half.jsonl.gz")
    assert done.returncode == 4
    assert "half.jsonl.gz" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("demo", "--posts", "missing.jsonl"), 4, "missing.jsonl"),
        (("fill",), 2, "cp db_creds.yaml.example"),
        (("analyse", "--branch", "batches"), 2, "batches"),
        (("verify",), 1, "pinpipe load"),
        (("analyse",), 1, "pinpipe load"),
    ],
)
def test_a_mistake_is_one_clear_message(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = pinpipe(tmp_path, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_readme_shows_what_a_demo_prints(tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("ends like this:")[2].split("```")[1].strip().splitlines()
    done = pinpipe(tmp_path, "demo")
    assert done.returncode == 0, done.stderr
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in shown if "…" not in line and line not in printed] == []
    assert "\x1b" not in done.stdout + done.stderr


def test_a_bad_file_does_not_cost_the_posts_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "db_creds.yaml").write_text("URL: sqlite:///posts.sqlite\n")
    assert pinpipe(tmp_path, "fill", "--count", "50").returncode == 0
    assert "add --replace" in pinpipe(tmp_path, "fill", "--count", "50").stderr
    (tmp_path / "bad.jsonl").write_text("{")
    assert pinpipe(tmp_path, "fill", "--replace", "--posts", "bad.jsonl").returncode == 4
    assert "holds 50 posts" in pinpipe(tmp_path, "fill").stderr


def test_a_working_folder_that_is_a_file_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = pinpipe(tmp_path, "status", settings={"PINPIPE_DATA": "file"})
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "file" in done.stderr


@pytest.mark.timeout(900)
def test_spark_gives_the_same_answers(tmp_path: Path) -> None:
    path = generated(tmp_path, 60)
    printed = demo(tmp_path, "--posts", str(path), "--spark")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        expected = oracle_answers([json.loads(text) for text in file])
    assert printed["answers"] == {"batch": expected, "stream": expected}
    assert printed["account"]["balanced"]
