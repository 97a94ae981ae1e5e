from typing import Any

import pytest

from tests.unit.reports import sample


@pytest.fixture(scope="session")
def answers() -> dict[str, sample.Rows]:
    return sample.answers()


@pytest.fixture(scope="session")
def page() -> str:
    return sample.page()


@pytest.fixture
def account() -> dict[str, Any]:
    return sample.account()
