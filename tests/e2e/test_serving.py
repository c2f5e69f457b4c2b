"""The logged model behind MLflow's scoring server, asked as a client would."""

import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from tests.e2e.conftest import Project
from tests.support.servers import free_port, server

pytestmark = pytest.mark.e2e
TEXTS = ["how to parse a template", "", "Ein \N{SNOWMAN} im Satz"]


@pytest.fixture(scope="module")
def address(finished: Project) -> Iterator[str]:
    """The server that docs/runs.md tells a user to start."""
    database = sqlite3.connect(finished.root / "mlflow.db")
    (run,) = database.execute("select run_uuid from runs order by start_time limit 1").fetchone()
    database.close()
    port = free_port()
    command = ("mlflow", "models", "serve", "--model-uri", f"runs:/{run}/gecko_encoder",
               "--env-manager", "local", "--port", str(port))  # fmt: skip
    store = f"sqlite:///{finished.root}/mlflow.db"
    with server(*command, port=port, cwd=finished.root, ready="/ping",
                MLFLOW_TRACKING_URI=store) as found:  # fmt: skip
        yield found


@pytest.fixture(scope="module")
def model(finished: Project) -> SentenceTransformer:
    return SentenceTransformer(str(finished.data / "06_models/gecko_encoder"), device="cpu")


def ask(address: str, body: dict[str, Any]) -> np.ndarray:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        return np.asarray(json.load(reply)["predictions"], dtype=np.float32)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"prompt_name": "query"},
        {"prompt_name": "document", "truncate_dim": 64, "normalize_embeddings": True},
    ],
)
def test_the_server_gives_the_vectors_of_the_model(
    address: str, model: SentenceTransformer, arguments: dict[str, Any]
) -> None:
    served = ask(address, {"inputs": TEXTS, "params": arguments})
    expected = model.encode(TEXTS, **arguments)
    assert served.shape == (3, arguments.get("truncate_dim", 384))
    np.testing.assert_allclose(served, expected, atol=1e-5)


def test_a_prompt_makes_a_difference(address: str) -> None:
    bare, query = (ask(address, {"inputs": TEXTS[:1], "params": params})
                   for params in ({}, {"prompt_name": "query"}))  # fmt: skip
    assert np.abs(bare - query).max() > 1e-3


def test_a_body_that_is_no_request_is_refused_and_the_server_goes_on(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(address, {"texts": TEXTS})
    with error.value as refusal:  # it holds the connection
        assert refusal.code == 400
    assert ask(address, {"inputs": TEXTS[:1]}).shape == (1, 384)
