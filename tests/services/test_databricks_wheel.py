"""The wheel of the bundle, built as the bundle builds it: all that runs in a workspace, and no more."""

import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.bundle import ROOT, configuration

pytestmark = pytest.mark.services

# What every Databricks runtime has, and a wheel must not bring a second time.
OF_THE_RUNTIME = {"pyarrow", "pyspark"}
_IMPORTS = """
import ast, os, sys
from pathlib import Path

os.environ["DATABRICKS_RUNTIME_VERSION"] = "17.3"
for file in map(Path, sys.argv[1:]):
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), file, "exec"))
print(*{sys.modules["pinterest_pipeline"].__file__, *(name for name in sys.modules if "." not in name)})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (artifact,) = configuration().artifacts.values()
    folder = tmp_path_factory.mktemp("wheel")
    command = shlex.split(artifact.build.replace("--out-dir dist", f"--out-dir {folder}"))
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, *command[1:]], cwd=ROOT / artifact.path, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_every_import_of_the_notebooks_is_in_the_wheel_or_in_the_runtime(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    files = sorted(ROOT.glob("**/*.py"))
    assert len(files) == 3
    # -P and an empty PYTHONPATH keep this checkout out; the environment's packages stand for the runtime's.
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{_IMPORTS}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *files], capture_output=True, text=True, check=True, env={}
    )
    loaded = set(done.stdout.split())
    assert str(tmp_path / "pinterest_pipeline" / "__init__.py") in loaded
    absent = {
        "boto3",
        "duckdb",
        "deltalake",
        "sqlglot",
        "obstore",
        "starlette",
        "uvicorn",
        "httpx",
        "sqlalchemy",
    }
    assert not loaded & absent


def test_it_asks_for_what_the_project_asks_for_and_not_for_what_the_runtime_has() -> None:
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(own["dependencies"]) <= set(project["dependencies"])
    assert not {name for line in own["dependencies"] for name in OF_THE_RUNTIME if line.startswith(name)}
    assert own["requires-python"] == project["requires-python"]


def test_its_version_is_the_project_s(wheel: Path) -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert wheel.name == f"pinterest_data_pipeline_spark-{project['version']}-py3-none-any.whl"
