"""What a notebook of Databricks has without an import, as types: for `if TYPE_CHECKING`, nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pyspark.sql import SparkSession


class Mount(Protocol):
    @property
    def mountPoint(self) -> str: ...  # noqa: N802 - Databricks' name

    @property
    def source(self) -> str: ...


class FileSystem(Protocol):
    def ls(self, path: str, /) -> Sequence[Any]: ...

    def mount(self, source: str, mount_point: str, *, extra_configs: Mapping[str, str]) -> bool: ...

    def mounts(self) -> Sequence[Mount]: ...

    def unmount(self, mount_point: str, /) -> bool: ...


class Secrets(Protocol):
    def get(self, scope: str, key: str) -> str: ...


class Widgets(Protocol):
    def text(self, name: str, defaultValue: str, label: str | None = None) -> None: ...  # noqa: N803

    def get(self, name: str) -> str: ...


class Dbutils(Protocol):
    @property
    def fs(self) -> FileSystem: ...

    @property
    def secrets(self) -> Secrets: ...

    @property
    def widgets(self) -> Widgets: ...


class Display(Protocol):
    def __call__(self, value: Any, /) -> None: ...


spark: SparkSession
dbutils: Dbutils
display: Display
displayHTML: Display  # noqa: N816 - Databricks' name
