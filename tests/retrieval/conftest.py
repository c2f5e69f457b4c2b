"""Every test that asks for ``level`` runs once for each instruction set of this machine."""

import pytest

from gecko_kedro.retrieval.levels import VARIABLE, available_levels


@pytest.fixture(params=available_levels())
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)
