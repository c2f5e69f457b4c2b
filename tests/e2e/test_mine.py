"""Mining from the command line: another route, another number type of the vectors."""

import json

import polars as pl
import pytest

from tests.e2e.conftest import Project

pytestmark = pytest.mark.e2e
CANDIDATES = "04_feature/candidates.parquet"
PAIR = ["query_id", "passage_id"]


def test_another_threshold_makes_the_search_anew_and_keeps_the_vectors(project: Project) -> None:
    exact = pl.read_parquet(project.data / CANDIDATES)
    vectors = sorted((project.data / "04_feature").glob("*_vector_shards/*"))
    before = [file.stat().st_mtime_ns for file in vectors]
    other = ["--params", "mine.route.exact_max_pairs=0,mine.route.min_recall=0.5"]
    told = project.run("--pipelines", "mine", "--only-missing-outputs", *other)
    assert "mine.route.exact_max_pairs: 10000000000000.0 -> 0" in told
    assert "approximate search" in told
    assert [file.stat().st_mtime_ns for file in vectors] == before
    metrics = json.loads((project.data / "08_reporting/mine_metrics.json").read_text("utf-8"))
    found = pl.read_parquet(project.data / CANDIDATES)
    same = found.join(exact, on=PAIR, how="semi").height / exact.height
    assert 0.5 <= metrics["recall"] <= 1.0
    assert same >= metrics["recall"] - 0.1  # which was measured on all queries, ties apart


def test_vectors_of_half_the_size_find_nearly_the_same(project: Project) -> None:
    exact = pl.read_parquet(project.data / CANDIDATES)
    folder = project.data / "04_feature/passage_vector_shards"
    size = (folder / "vectors.float32").stat().st_size
    project.run(
        "--pipelines", "mine", "--from-nodes", "mine.embed_passages",
        "--params", "mine.embed.vectors_dtype=float16",
    )  # fmt: skip
    assert [file.name for file in folder.glob("vectors.f*")] == ["vectors.float16"]
    assert (folder / "vectors.float16").stat().st_size == size // 2
    found = pl.read_parquet(project.data / CANDIDATES)
    assert found.join(exact, on=PAIR, how="semi").height >= 0.95 * exact.height
