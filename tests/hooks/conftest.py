"""What several tests of hooks need."""

from collections.abc import Iterator

import pytest

from tests.support.stale_table import StaleTable, stale_table


@pytest.fixture(scope="session")
def table() -> Iterator[StaleTable]:
    """Which outputs another value of a parameter makes stale."""
    with pytest.warns(UserWarning, match="register_new_resolver"):
        yield stale_table()
