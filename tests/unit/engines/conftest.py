from collections.abc import Iterator

import pytest

from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.duckdb import DuckDBEngine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    with DuckDBEngine(EngineSettings(threads=2), tmp_path_factory.mktemp("spill")) as engine:
        yield engine
