"""Auto Loader (`cloudFiles`) for notebooks that tests run here: Spark's own source of files in its place.

Both read each file once and keep which ones in the checkpoint. How Auto Loader finds new files, and what it
makes of a schema that changes, is not here; an option that is not known here is refused.
"""

from typing import Any

import pytest
from pyspark.sql.streaming.readwriter import DataStreamReader

_OPTIONS = {"cloudFiles.format", "cloudFiles.partitionColumns", "lineSep"}


def stand_in_for_auto_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `spark.readStream.format("cloudFiles")` read lines of text as Auto Loader does."""
    real_format, real_option = DataStreamReader.format, DataStreamReader.option

    def as_text(self: DataStreamReader, source: str) -> DataStreamReader:
        return real_format(self, "text" if source == "cloudFiles" else source)

    def option(self: DataStreamReader, key: str, value: Any) -> DataStreamReader:
        if key.startswith("cloudFiles."):
            assert key in _OPTIONS
            assert key != "cloudFiles.format" or value == "text"
            return self
        return real_option(self, key, value)

    monkeypatch.setattr(DataStreamReader, "format", as_text)
    monkeypatch.setattr(DataStreamReader, "option", option)
