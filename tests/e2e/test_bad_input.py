"""What users really bring: each ends in a clear message or in a counted quarantine."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import unavailable
from tests.e2e.conftest import Project
from tests.support.observing import Observe

pytestmark = pytest.mark.e2e
TOPICS = ("tea", "bread", "cheese", "soup", "honey", "rice", "salt", "plums", "beans", "butter")


def article(topic: str, number: int) -> str:
    steps = " ".join(f"Step {n} of {topic} {number}: wait {n} minutes." for n in range(1, 9))
    return f"How {topic} number {number} is made at home, from the first day on. {steps}"


def write_corpus(path: Path, *, rows: int) -> Path:
    lines = [
        {"id": f"{topic}-{n}", "title": f"Making {topic}, part {n}", "text": article(topic, n)}
        for n in range(rows // len(TOPICS) + 1)
        for topic in TOPICS
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines[:rows])
    path.write_text(text, "utf-8")
    return path


def own(corpus: Path, *more: str) -> list[str]:
    values = [f"corpus.source={corpus}", "corpus.columns.doc_id=id", "corpus.columns.title=title"]
    return ["--params", ",".join([*values, *more])]


def test_a_corpus_of_ones_own_goes_the_whole_road(empty_project: Project, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "kitchen.jsonl", rows=120)
    (tmp_path / "log.txt").write_text("how long does bread wait\nsalt at home\n", "utf-8")
    output = empty_project.run(*own(corpus, f"queries.source={tmp_path / 'log.txt'}"))
    assert "report.html" in output
    queries = pl.read_parquet(empty_project.data / "03_primary/queries.parquet")
    assert set(queries["origin"]) == {"synthetic", "log"}


def test_a_query_log_can_replace_synthesis(empty_project: Project, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "kitchen.jsonl", rows=60)
    (tmp_path / "log.txt").write_text("how long does bread wait\nsalt at home\n", "utf-8")
    more = (f"queries.source={tmp_path / 'log.txt'}", "queries.join.use=replace",
            "mine.seed_retriever=given", "corpus.heldout.fraction=0.2")  # fmt: skip
    empty_project.run("--pipelines", "fret", *own(corpus, *more))
    fret = pl.read_parquet(empty_project.data / "05_model_input/fret.parquet")
    assert fret.height == 2
    assert fret["seed_id"].is_null().all()
    ledger = json.loads((empty_project.data / "08_reporting/run_ledger.json").read_text("utf-8"))
    assert "generate_calls" not in ledger["teacher"]["synthesize"]


def test_more_candidates_than_passages_are_all_passages(
    empty_project: Project, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "kitchen.jsonl", rows=30)
    empty_project.run("--pipelines", "fret", *own(corpus, "mine.search.n_candidates=500"))
    fret = pl.read_parquet(empty_project.data / "05_model_input/fret.parquet")
    passages = pl.read_parquet(empty_project.data / "02_intermediate/passages.parquet")
    assert set(fret["candidate_ids"].list.len()) == {passages.height}


def test_a_budget_that_ends_the_run_is_told_and_what_was_used_is_tracked(
    empty_project: Project,
) -> None:
    limits = "teacher.budget.max_tokens_total=2000,teacher.batch_size=5"
    output = empty_project.run("--pipelines", "synthesize", "--params", limits, code=1)
    assert "teacher.budget.max_tokens_total" in output
    with closing(sqlite3.connect(empty_project.root / "mlflow.db")) as database:
        tracked = dict(database.execute("select key, value from metrics"))
    ledger = json.loads((empty_project.data / "08_reporting/run_ledger.json").read_text("utf-8"))
    for used in (ledger["teacher"]["synthesize"]["spent_tokens"],
                 tracked["synthesize_teacher.spent_tokens"]):  # fmt: skip
        assert used >= 2000
    assert tracked["synthesize_teacher.generate_calls"] > 0


def test_one_passage_only_is_told(empty_project: Project, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "kitchen.jsonl", rows=1)
    output = empty_project.run(*own(corpus), code=1)
    assert "Traceback" not in output
    assert "Error: " in output


def test_an_empty_corpus_is_told(empty_project: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    output = empty_project.run("--params", f"corpus.source={tmp_path / 'empty'}", code=1)
    assert str(tmp_path / "empty") in output
    assert "Traceback" not in output


def test_a_missing_corpus_is_told(empty_project: Project, tmp_path: Path) -> None:
    output = empty_project.run("--params", f"corpus.source={tmp_path}/nowhere.jsonl", code=1)
    assert "nowhere.jsonl" in output
    assert "Traceback" not in output


def test_a_base_model_without_weights_is_told_before_training(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}", "utf-8")
    params = f"encoder.load.reference={tmp_path / 'model'}"
    output = project.run("--pipelines", "pretrain", "--params", params, code=1)
    assert "no weights beside the configuration" in output
    assert "Traceback" not in output


def test_bad_rows_are_counted_by_reason(empty_project: Project, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "kitchen.jsonl", rows=40)
    lines = corpus.read_bytes().splitlines(keepends=True)
    bad = [
        lines[0],
        b'{"id": "cut", "text": "never cl\n',
        b'{"id": "x", "text": "\xff\xfe"}\n',
        b'{"id": "n", "text": null}\n',
    ]
    corpus.write_bytes(b"".join([*lines, *bad]))
    empty_project.run("--pipelines", "synthesize", *own(corpus))
    aside = pl.read_parquet(empty_project.data / "02_intermediate/passages_quarantine.parquet")
    reasons = dict(aside["reason"].value_counts().iter_rows())
    assert reasons["duplicate_id"] == 1
    assert reasons["broken_json"] == 1
    assert reasons["not_utf8"] == 1
    assert reasons["null_text"] == 1


@pytest.mark.faults
@pytest.mark.parametrize("options", ["size=100k", "size=100k,ro"], ids=["full", "read_only"])
def test_a_disk_that_takes_nothing_is_told(
    finished: Project, tmp_path: Path, options: str, observe: Observe
) -> None:
    """A real small file system, in a mount namespace of its own."""
    if shutil.which("unshare") is None:
        unavailable("no unshare(1): util-linux is needed to mount a small disk")
    data = finished.copy(tmp_path / "project").data / "02_intermediate"
    script = (
        f"mount -t tmpfs -o {options} none {data} && "
        f"exec {sys.executable} -m kedro run --env test --pipelines synthesize"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=data.parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    if "Operation not permitted" in output or "mount failed" in output:
        unavailable("this machine lets nobody mount a file system")
    assert done.returncode == 1
    assert "a folder with free space that can be written to" in output
    assert "Traceback" not in output
    told = next(line for line in output.splitlines() if line.startswith("Error: "))
    observe(f"`kedro run` with a tmpfs ({options}) where its passages go", told)
