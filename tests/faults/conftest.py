"""The fixture that keeps what was observed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.observing import Observe


@pytest.fixture
def observe(record_property: Callable[[str, object], None], tmp_path: Path) -> Observe:
    """``observe(fault, result)``: a row of the table, once the test has passed."""

    def keep(fault: str, result: object) -> None:
        record_property("fault", fault)
        record_property("observed", str(result).replace(str(tmp_path), "..."))

    return keep
