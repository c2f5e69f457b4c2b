"""Documents of one sentence without titles, with judged queries of one's own."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.e2e.conftest import Project

pytestmark = pytest.mark.e2e
THINGS = [
    "lamp",
    "kettle",
    "bicycle",
    "drill",
    "tent",
    "violin",
    "camera",
    "ladder",
    "sofa",
    "desk",
]
TRAITS = ["of brushed steel", "for heavy rain", "with two years of warranty", "that folds flat"]
LINES = {
    f"d{10 * j + i}": f"A {thing} {trait}, sold in the northern store only, as item {10 * j + i}."
    for j, trait in enumerate(TRAITS)
    for i, thing in enumerate(THINGS)
}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")


def test_one_sentence_documents_go_all_the_way_to_a_report(
    empty_project: Project, tmp_path: Path
) -> None:
    judged = tmp_path / "judged"
    write(tmp_path / "lines.jsonl", [{"id": n, "text": text} for n, text in LINES.items()])
    write(judged / "corpus.jsonl", [{"_id": n, "text": text} for n, text in LINES.items()])
    asked = list(LINES)[::3]
    texts = [" ".join(LINES[n].split()[1:4]) for n in asked]
    queries = [{"_id": f"q{n}", "text": text} for n, text in zip(asked, texts, strict=True)]
    write(judged / "queries.jsonl", queries)
    qrels = [{"query_id": f"q{n}", "doc_id": n, "score": 1} for n in asked]
    write(judged / "qrels.jsonl", qrels)
    values = {
        "corpus.source": tmp_path / "lines.jsonl",
        "corpus.passages.min_words": 5,
        "evaluate.data": judged,
        "synthesize.filter.max_reject_rate": 0.9,  # the stand-in copies texts as short as these
        "decontaminate.remove": "queries",  # the judged passages are the corpus
    }
    output = empty_project.run("--params", ",".join(f"{k}={v}" for k, v in values.items()))
    assert "pretrain is skipped: there are no examples" in output
    reporting = empty_project.data / "08_reporting"
    report = (reporting / "report.html").read_text("utf-8")
    assert "Pre-finetuning was skipped" in report
    assert json.loads((reporting / "pretrain_metrics.json").read_text("utf-8"))["skipped"]
    results = pl.read_parquet(reporting / "comparison/results.parquet")
    scores = (
        results.filter(dimension=384, task="judged")
        .select("model", "score")
        .rows_by_key("model", unique=True)
    )
    assert scores["pretrained"] == scores["base"]
    assert "gecko" in scores
