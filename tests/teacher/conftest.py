"""Settings for the HTTP backend, as conf/base has them, at a size of milliseconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gecko_kedro.teacher.http.settings import HttpSettings
from tests.support.http_server import NAME, ServerState

CONF = Path(__file__).resolve().parents[2] / "conf"
FAST = {
    "model": NAME, "concurrency": 4, "timeout_s": 5, "max_retries": 3, "backoff_s": 0.001,
    "longest_wait_s": 2, "breaker_failures": 8, "breaker_cooldown_s": 0.01, "breaker_probes": 3,
    "wait_for_server_s": 0,
}  # fmt: skip


@pytest.fixture(scope="session")
def http_settings() -> Callable[..., HttpSettings]:
    """Gives settings for a server, with changes."""
    parameters = yaml.safe_load((CONF / "base" / "parameters/teacher.yml").read_text("utf-8"))

    def make(server: ServerState, **changes: Any) -> HttpSettings:
        return HttpSettings.model_validate(
            parameters["teacher"]["http"] | FAST | {"base_url": server.url} | changes
        )

    return make
