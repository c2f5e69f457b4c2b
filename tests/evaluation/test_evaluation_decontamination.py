from pathlib import Path

import polars as pl
import pytest

from gecko_kedro.evaluation.decontamination import evaluation_texts
from gecko_kedro.evaluation.registered import RegisteredTask
from gecko_kedro.evaluation.rows import checked_rows
from gecko_kedro.evaluation.tasks import RetrievalData


def row_task(kind: str, **columns: list):
    table = pl.DataFrame(columns)
    return checked_rows("Own", kind, table, where="here", task="t").data


def test_queries_and_relevant_passages_count_and_other_passages_do_not(
    toy_data: RetrievalData,
) -> None:
    qrels = toy_data.qrels.with_columns(
        pl.when(pl.col("passage_id") == "p01").then(0).otherwise(pl.col("score")).alias("score")
    )
    data = RetrievalData("toy", toy_data.corpus, toy_data.queries, qrels)
    texts = evaluation_texts([data])
    by_id = dict(data.corpus.select("id", "text").iter_rows())
    assert set(data.queries["text"]) <= set(texts)
    assert by_id["p00"] in texts
    assert by_id["p01"] not in texts
    assert texts == sorted(set(texts))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (row_task("STS", sentence1=["a", "b"], sentence2=["c", "d"], score=[1.0, 2.0]), "abcd"),
        (row_task("Classification", split=["train", "train", "test"], text=["a", "b", "c"],
                  label=["x", "y", "x"]), "c"),
        (row_task("Clustering", set=[0, 0], text=["a", "b"], label=["x", "y"]), "ab"),
        (row_task("Summarization", text=["a"], human_summaries=[["b"]],
                  machine_summaries=[["c", "d"]], relevance=[[1.0, 2.0]]), "abcd"),
    ],
)  # fmt: skip
def test_other_tasks_give_what_is_scored(task, expected: str) -> None:
    assert evaluation_texts([task]) == list(expected)


def test_a_task_of_the_hub_that_is_out_of_reach_gives_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    task = RegisteredTask("SICK-R", "STS", "semantic similarity", True, revision="r")
    assert evaluation_texts([task]) == []
