"""The HTTP teacher in whole runs: killed ten times, with a key, as a trial, on a changed corpus."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiohttp import web

from gecko_kedro.teacher.check import check_teacher
from gecko_kedro.teacher.http.teacher import HttpTeacher
from tests.e2e.conftest import PROJECT, Project, environment
from tests.support import labelling
from tests.support.http_server import NAME, ServerState, serving
from tests.support.observing import Observe

pytestmark = pytest.mark.e2e
KILLS = 10
TOPICS = ("bread", "tea", "salt", "honey", "plums", "rice", "soup", "beans", "milk", "corn")
TEXTS = [
    f"How {topic} is kept in house {n}: dry, dark and cool, never beside the stove in summer."
    for n in (1, 2)
    for topic in TOPICS
]


def start(folder: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.labelling", str(folder), url],
        cwd=PROJECT, env=environment(), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(folder: Path, url: str) -> None:
    process = start(folder, url)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def asked(server: ServerState) -> Counter[str]:
    """What was asked since the last look, less what every start asks."""
    found = Counter(server.asked)
    server.asked.clear()
    teacher = HttpTeacher(labelling.parameters(server.url).teacher.http)
    check_teacher(teacher, ["generate", "query_log_likelihood", "label_log_likelihood"])
    for body in server.asked:
        del found[body]
    server.asked.clear()
    return found


class Killer:
    """Kills the process in the middle of a request, once each count of requests is reached."""

    def __init__(self, moments: list[int]) -> None:
        self.moments, self.seen = moments, 0
        self.process: subprocess.Popen[str] | None = None

    async def __call__(self, state: ServerState, request: web.Request, body: Any) -> None:
        self.seen += "max_tokens" in body
        if self.process is not None and self.moments and self.seen >= self.moments[0]:
            self.moments.pop(0)
            self.process.send_signal(signal.SIGKILL)
            self.process = None


def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes_and_pays_once(
    tmp_path: Path,
) -> None:
    with serving(latency_s=0.005) as server:
        labelling.write_passages(tmp_path / "calm", TEXTS)
        run(tmp_path / "calm", server.url)
        wanted = asked(server)
        assert set(wanted.values()) == {1}
        assert wanted.total() == len(TEXTS) * (1 + 2 * labelling.N_CANDIDATES)

        labelling.write_passages(tmp_path / "killed", TEXTS)
        moments = sorted(random.Random(4).sample(range(5, wanted.total()), KILLS))
        server.always = killer = Killer(moments)
        for _ in range(KILLS + 1):
            process = killer.process = start(tmp_path / "killed", server.url)
            output, _ = process.communicate(timeout=300)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, output
        server.always = None
        assert (killer.moments, process.returncode) == ([], 0)
        paid = asked(server)
    assert set(paid) == set(wanted)
    assert paid.total() - wanted.total() <= KILLS * labelling.CONCURRENCY
    for table in ("queries", "rankings", "fret"):
        calm, killed = (tmp_path / run / f"{table}.parquet" for run in ("calm", "killed"))
        assert calm.read_bytes() == killed.read_bytes(), table


def test_a_changed_corpus_asks_only_for_what_changed(tmp_path: Path) -> None:
    with serving() as server:
        labelling.write_passages(tmp_path, TEXTS)
        run(tmp_path, server.url)
        first = asked(server)
        changed = [*TEXTS]
        changed[7] = "Beans want a mesh bag and a nail in the cellar's wall, out of reach of mice."
        labelling.write_passages(tmp_path, changed)
        for shards in ("query_shards", "judgement_shards"):  # `kedro run` sees that they are stale
            subprocess.run(["rm", "-r", str(tmp_path / shards)], check=True)
        run(tmp_path, server.url)
        second = asked(server)
    # Its query; that query with its candidates; and the three other queries that have it as one.
    n = labelling.N_CANDIDATES
    assert second.total() == 1 + 2 * n + 2 * (n - 1)
    assert not set(first) & set(second)


def parameters(server: ServerState, *more: str) -> list[str]:
    return [
        "--params",
        ",".join(
            [
                "teacher.backend=http",
                f"teacher.http.base_url={server.url}",
                f"teacher.http.model={NAME}",
                "teacher.http.api_key_env=GECKO_TEST_KEY",
                *more,
            ]
        ),
    ]


def written(file: Path) -> bytes:
    """What a file holds, also where it is compressed or cut into pages."""
    if file.suffix == ".parquet":
        return repr(pl.read_parquet(file).rows()).encode()
    if file.suffix in {".db", ".sqlite"}:
        with closing(sqlite3.connect(file)) as database:
            return "\n".join(database.iterdump()).encode() + file.read_bytes()
    return file.read_bytes()


@pytest.mark.faults
def test_runs_with_a_key_write_it_nowhere_reuse_the_trial_and_count_their_costs(
    empty_project: Project, monkeypatch: pytest.MonkeyPatch, observe: Observe
) -> None:
    project, key, other_key = empty_project, "canary-0b5e1f", "canary-77aa02"
    credentials = project.root / "conf/local/credentials.yml"
    credentials.parent.mkdir(exist_ok=True)
    credentials.write_text(f"teacher: {{api_key: {key}}}\n", "utf-8")
    priced = ["teacher.prices.prompt=1.0", "teacher.prices.completion=2.0"]
    with serving(key=key) as server:
        trial = [*priced, "synthesize.sample.n_seeds=24"]
        output = project.run("--pipelines", "synthesize", *parameters(server, *trial))
        assert "24 of " in output
        assert server.headers
        assert {header["Authorization"] for header in server.headers} == {f"Bearer {key}"}
        # From here the key comes from the environment, which goes before the file.
        monkeypatch.setenv("GECKO_TEST_KEY", other_key)
        server.key = other_key
        server.headers.clear()
        output += project.run("--pipelines", "synthesize", *parameters(server, *priced))
        assert "36 calls, 24 from the store" in output
        queries, passages = (
            pl.read_parquet(project.data / f"{table}.parquet")
            for table in ("03_primary/queries", "02_intermediate/passages")
        )
        candidates = project.data / "04_feature/candidates.parquet"
        candidates.parent.mkdir()
        labelling.neighbours(queries, passages).write_parquet(candidates)
        output += project.run("--pipelines", "relabel", *parameters(server, *priced))
    assert {header["Authorization"] for header in server.headers} == {f"Bearer {other_key}"}
    assert "canary" not in output
    files = [file for file in project.root.rglob("*") if file.is_file() and file != credentials]
    for file in files:
        assert b"canary" not in written(file), file
    names = {file.name for file in files}
    assert {"mlflow.db", "responses.sqlite", "fret.parquet", "run_ledger.json"} <= names
    observe(
        "an API key in the environment and one in conf/local/credentials.yml",
        f"in none of {len(files)} files (data, response store, MLflow, artifacts), not in the log",
    )
    ledger = json.loads((project.data / "08_reporting/run_ledger.json").read_text("utf-8"))
    used = ledger["teacher"]["synthesize"]
    assert used["generate_calls"] == 36
    assert used["generate_cost"] == pytest.approx(
        (used["generate_prompt_tokens"] + 2 * used["generate_completion_tokens"]) / 1e6
    )
    assert used["spent_tokens"] > used["generate_prompt_tokens"]  # the trial's too
    with sqlite3.connect(project.root / "mlflow.db") as database:
        keys = {name for (name,) in database.execute("select distinct key from metrics")}
    database.close()
    assert {"synthesize_teacher.generate_cost", "relabel_teacher.spent_cost"} <= keys


@pytest.mark.faults
def test_a_whole_run_with_a_key_ends_in_a_report_and_a_model_without_it(
    empty_project: Project, monkeypatch: pytest.MonkeyPatch, observe: Observe
) -> None:
    project, key = empty_project, "canary-5d10c4"
    monkeypatch.setenv("GECKO_TEST_KEY", key)
    with serving(key=key) as server:
        output = project.run(*parameters(server))
    assert {header["Authorization"] for header in server.headers} == {f"Bearer {key}"}
    assert key not in output
    files = [file for file in project.root.rglob("*") if file.is_file()]
    for file in files:
        assert key.encode() not in written(file), file  # "canary" is in the vocabulary
    names = {file.name for file in files}
    assert {"report.html", "model.safetensors", "mlflow.db", "run_ledger.json"} <= names
    assert any("mlartifacts" in file.parts and file.name == "report.html" for file in files)
    observe(
        "an API key in the environment of a whole run, evaluation and report included",
        f"in none of {len(files)} files (data, store, models, report, MLflow, artifacts, log)",
    )


def test_a_wrong_key_and_a_server_that_cannot_score_stop_before_any_work(
    empty_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GECKO_TEST_KEY", "canary-0b5e1f")
    with serving(key="another") as server:
        output = empty_project.run("--pipelines", "fret", *parameters(server), code=1)
    assert "HTTP 401" in output
    assert "canary" not in output
    with serving(prompt_logprobs=False, echo=False) as server:
        output = empty_project.run("--pipelines", "fret", *parameters(server), code=1)
    assert "relabel.rankers: [relevance]" in output
    assert "Traceback" not in output
    assert not empty_project.data.joinpath("03_primary").exists()
