import polars as pl
import pytest
from datasets import Dataset

from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA
from gecko_kedro.evaluation.tasks.registered import RegisteredTask
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.rows import checked_rows
from gecko_kedro.evaluation.tasks.task import evaluation_texts


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
    found = evaluation_texts([data])
    assert found.schema == EVALUATION_TEXT_SCHEMA
    texts = found["text"].to_list()
    by_id = dict(data.corpus.select("id", "text").iter_rows())
    assert set(data.queries["text"]) <= set(texts)
    assert by_id["p00"] in texts
    assert by_id["p01"] not in texts
    assert len(texts) == len(set(texts))
    assert found.row(by_predicate=pl.col("text") == by_id["p00"]) == (
        "toy", "passage", "passage p00", by_id["p00"],
    )  # fmt: skip
    assert found.row(0) == ("toy", "query", "query q0", data.queries["text"][0])


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
    found = evaluation_texts([task])
    assert sorted(found["text"]) == list(expected)
    assert found["task"].unique().to_list() == ["Own"]
    assert found["text_id"].str.starts_with("row ").all()


def test_a_task_of_the_hub_that_is_out_of_reach_gives_nothing_and_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    task = RegisteredTask("SICK-R", "STS", "semantic similarity", True, revision="r")
    assert evaluation_texts([task]).is_empty()
    assert "not checked for texts of SICK-R" in caplog.text


def test_the_texts_of_tasks_of_the_hub_are_those_that_are_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mteb

    loaded = {
        "SICK-R": {
            "test": Dataset.from_dict({"sentence1": ["a"], "sentence2": ["b"], "score": [1.0]}),
            "train": Dataset.from_dict({"sentence1": ["never"], "sentence2": ["never"]}),
        },
        "SciFact": {"default": {"test": {
            "queries": Dataset.from_dict({"id": ["1"], "text": ["c"]}),
            "corpus": Dataset.from_dict({"id": ["x", "y"], "title": ["", ""], "text": ["d", "no"]}),
            "relevant_docs": {"1": {"x": 1, "y": 0}},
        }}},
    }  # fmt: skip
    for name, data in loaded.items():

        def load_data(self, data=data, **_) -> None:
            self.dataset = data

        monkeypatch.setattr(type(mteb.get_task(name)), "load_data", load_data)
    tasks = [
        RegisteredTask("SICK-R", "STS", "t", True, revision="in this test"),
        RegisteredTask("SciFact", "Retrieval", "t", False, revision="in this test"),
    ]
    assert evaluation_texts(tasks).rows() == [
        ("SICK-R", "query", "row 0, sentence1", "a"), ("SICK-R", "query", "row 0, sentence2", "b"),
        ("SciFact", "query", "query 1", "c"), ("SciFact", "passage", "passage x", "d"),
    ]  # fmt: skip
