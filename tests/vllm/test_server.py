"""A real vLLM server: the HTTP backend agrees with transformers, and FRet outlives its death."""

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from gecko_kedro.teacher import ModelSettings, Prompt, TransformersSettings
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.transformers_teacher import TransformersTeacher
from tests.e2e.conftest import PROJECT, Project, new_project
from tests.support.tiny_llm import save_tiny_llm
from tests.support.vllm_server import VllmServer
from tests.vllm.test_teacher import LABELS, QL_PROMPTS, QUERY, RC_PROMPTS, SCHEMA

PYTHON = os.environ.get("GECKO_VLLM_PYTHON")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(2 * 1200 + 600),
    pytest.mark.skipif(PYTHON is None, reason="no vLLM server here: run make test-vllm"),
]
QUERIES = [f"how does {name} work" for name in ("a progress bar", "an option", "a template",
           "a command")]  # fmt: skip
CANDIDATES = 4
SEEDS = 6
KEPT = 8  # replies when the server is killed
SECONDS = 1200  # of a run: a minute or two on two idle cores
JUDGEMENTS = "05_model_input/judgement_shards"
STORE = "03_primary/response_store"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llm(tmp_path_factory.mktemp("model"), positions=8192)


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    assert PYTHON is not None
    made = VllmServer(PYTHON, model, tmp_path_factory.mktemp("server") / "log.txt")
    made.start()
    yield made
    made.kill()


def http_settings(server: VllmServer, **changes: Any) -> dict[str, Any]:
    file = PROJECT / "conf/base/parameters/teacher.yml"
    settings = yaml.safe_load(file.read_text("utf-8"))["teacher"]["http"]
    return {**settings, "base_url": server.base_url, "model": "tiny", **changes}


@pytest.fixture(scope="module")
def over_http(server: VllmServer) -> HttpTeacher:
    return HttpTeacher(HttpSettings.model_validate(http_settings(server)))


@pytest.fixture(scope="module")
def reference(model: Path) -> TransformersTeacher:
    return TransformersTeacher.load(
        ModelSettings(
            name=str(model), revision=None, dtype="float32", trust_remote_code=False,
            chat_template="auto", chat_template_kwargs={}, max_new_tokens=48, stop=("\n\n",),
        ),
        TransformersSettings(device="cpu", batch_tokens=8192, kv_cache_tokens=8192, threads=1),
    )  # fmt: skip


def test_query_likelihood_over_http_agrees_with_transformers(
    over_http: HttpTeacher, reference: TransformersTeacher
) -> None:
    queries = [f" {QUERY}"] * len(QL_PROMPTS)
    np.testing.assert_allclose(
        [r.log_likelihood for r in over_http.query_log_likelihood(QL_PROMPTS, queries)],
        [r.log_likelihood for r in reference.query_log_likelihood(QL_PROMPTS, queries)],
        atol=1e-4, rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
def test_relevance_over_http_agrees_with_transformers(
    over_http: HttpTeacher, reference: TransformersTeacher, kind: str
) -> None:
    labels = LABELS[kind]
    np.testing.assert_allclose(
        [r.log_likelihoods for r in over_http.label_log_likelihood(RC_PROMPTS, labels)],
        [r.log_likelihoods for r in reference.label_log_likelihood(RC_PROMPTS, labels)],
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_a_schema_makes_json_of_this_schema_over_http(over_http: HttpTeacher) -> None:
    prompts = [Prompt(prompt.text, {}, "", SCHEMA) for prompt in QL_PROMPTS[:5]]
    for reply in over_http.generate(prompts, temperature=0.7, top_p=0.95, seed=1):
        assert set(json.loads(reply.text, strict=False)) == {"task", "query"}


@pytest.fixture(scope="module")
def finished(server: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The whole of ``fret`` on 200 passages, labelled by the server.

    A random model writes no usable query, so a query log joins what it synthesizes.
    """
    root = tmp_path_factory.mktemp("fret")
    project = new_project(root)
    (root / "queries.jsonl").write_text("".join(json.dumps({"query": q}) + "\n" for q in QUERIES))
    file = root / "conf/test/parameters.yml"
    parameters = yaml.safe_load(file.read_text("utf-8"))
    parameters["corpus"]["heldout"] |= {"max_passages": 200}
    parameters["corpus"]["passages"] = {"max_words": 60}
    # No seed retriever is trained where no synthetic query is kept.
    parameters["mine"]["seed_retriever"] = "given"
    parameters["mine"]["search"]["n_candidates"] = CANDIDATES
    parameters["queries"] = {"source": str(root / "queries.jsonl")}
    parameters["synthesize"] = {
        "sample": {"n_seeds": SEEDS},
        "write": {"shard_size": 3, "max_reject_rate": 1.0},
        "filter": {"max_reject_rate": 1.0},
    }
    parameters["relabel"] = {
        "rankers": ["query_likelihood", "relevance"], "judge": {"shard_size": 2}
    }  # fmt: skip
    parameters["teacher"] = {
        "backend": "http",
        "http": {
            "base_url": server.base_url, "model": "tiny", "max_new_tokens": 256, "concurrency": 8,
            "check_at_start": False,  # a random model may not come to an end
            "breaker_probes": 20,
        },
    }  # fmt: skip
    file.write_text(yaml.safe_dump(parameters), "utf-8")
    to_its_end(project.start("--pipelines", "fret"))
    return project


def to_its_end(process: subprocess.Popen[str]) -> str:
    """What a run printed; it must succeed."""
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    return output


def test_fret_runs_through_a_real_server(finished: Project) -> None:
    fret = pl.read_parquet(finished.data / "05_model_input/fret.parquet")
    passages = pl.read_parquet(finished.data / "02_intermediate/passages.parquet")
    judgements = pl.concat(
        [pl.read_parquet(f) for f in sorted((finished.data / JUDGEMENTS).glob("*.parquet"))]
    )
    assert passages.height == 200
    assert fret.height > 0
    top_grade = judgements["label_log_likelihoods"].list.last()
    for scores in (judgements["query_likelihood"], top_grade):
        assert scores.is_finite().all()
        assert scores.n_unique() > judgements.height // 2


def replies(data: Path) -> int:
    """How many replies the store of a run has by now."""
    file = data / STORE / "responses.sqlite"
    if not file.is_file():
        return 0
    with sqlite3.connect(file) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        found = connection.execute("SELECT count(*) FROM responses") if tables else None
        count = int(found.fetchone()[0]) if found else 0
    connection.close()
    return count


def test_a_server_that_dies_in_mid_run_and_comes_back_costs_nothing(
    finished: Project, server: VllmServer, tmp_path: Path
) -> None:
    expected = pl.read_parquet(finished.data / "05_model_input/fret.parquet")
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.data / "05_model_input")
    shutil.rmtree(project.data / STORE)
    process = project.start("--pipelines", "relabel")
    deadline = time.monotonic() + SECONDS
    while replies(project.data) < KEPT:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.kill()
    kept = replies(project.data)
    server.start()
    process.communicate(timeout=SECONDS)
    if process.returncode:  # it gave up before the server was back: the same command goes on
        to_its_end(project.start("--pipelines", "relabel"))
    found = pl.read_parquet(project.data / "05_model_input/fret.parquet")
    # Another batch moves a log-likelihood in its last digits; what is chosen stays.
    assert_frame_equal(found, expected, abs_tol=1e-4)
    assert KEPT <= kept < replies(project.data)
    assert replies(project.data) <= 2 * CANDIDATES * (len(QUERIES) + SEEDS)  # nothing asked twice
