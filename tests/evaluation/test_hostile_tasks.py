"""Files as they should not be, for tasks of every kind: told or set aside, never a wrong score."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.scoring.scoring_run import evaluate_encoder
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings
from gecko_kedro.evaluation.tasks.task import ReadTasks

PROMPTS = TaskPrompts.checked({"by_name": {}, "by_type": {}})
CORPUS = [{"id": f"p{n}", "title": "", "text": f"the {w} near the harbour"}
          for n, w in enumerate(("river", "engine", "violin", "glacier"))]  # fmt: skip
QUERIES = [{"id": f"q{n}", "text": w} for n, w in enumerate(("river", "engine", "violin"))]
QRELS = [{"query_id": f"q{n}", "doc_id": f"p{n}", "score": 1} for n in range(3)]
PAIRS = [("a river", "a glacier"), ("an engine", "a violin"), ("a lantern", "an anchor")]


def read(root: Path, kind: str, path: str, **settings: Any) -> ReadTasks:
    one = TaskSettings(name="Own", type=kind, path=path, **settings)
    return read_tasks([one], PROMPTS, root=root)


def reasons(found: ReadTasks) -> dict[str, int]:
    return dict(found.quarantine["reason"].value_counts().iter_rows())


def lines(file: Path, rows: list[Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def folder(root: Path, **changes: list[Any]) -> Path:
    tables = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS} | changes
    for name, rows in tables.items():
        lines(root / f"own/{name}.jsonl", rows)
    return root


def score(found: ReadTasks, tiny_encoder: Path, cache: Path) -> float:
    encoder = EncoderUnderTest(
        "tiny",
        LoadSettings(reference=str(tiny_encoder), max_seq_length=32, device="cpu", dtype="float32"),
        templates="none",
        dims=(32,),
    )
    made = evaluate_encoder(encoder, found.tasks, cache_root=cache)
    assert made.failures.is_empty(), made.failures["error"].to_list()
    return float(made.scores.filter("main")["score"].item())


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking"])
@pytest.mark.parametrize("empty", ["corpus", "queries", "qrels"])
def test_an_empty_table_is_told(tmp_path: Path, kind: str, empty: str) -> None:
    folder(tmp_path, **{empty: []})
    with pytest.raises(InputError, match=f"own/{empty}.jsonl"):
        read(tmp_path, kind, "own")


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking"])
def test_a_table_of_columns_without_rows_is_told(tmp_path: Path, kind: str) -> None:
    folder(tmp_path)
    (tmp_path / "own/corpus.jsonl").unlink()
    pl.DataFrame(CORPUS).clear().write_parquet(tmp_path / "own/corpus.parquet")
    with pytest.raises(InputError, match="at least one query with a relevant passage"):
        read(tmp_path, kind, "own")


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking"])
def test_a_folder_full_of_faults_scores_as_if_they_were_not_there(
    tmp_path: Path, tiny_encoder: Path, kind: str
) -> None:
    faulty = {
        "corpus": [*CORPUS, {"id": "p0", "text": "another text"}, {"id": None, "text": "no id"}],
        "queries": [*QUERIES, {"id": "q0", "text": "again"}, {"id": "q7", "text": "not judged"},
                    {"id": "q8", "text": " "}],
        "qrels": [*QRELS, {"query_id": "q1", "doc_id": "nowhere", "score": 1},
                  {"query_id": "nobody", "doc_id": "p1", "score": 1},
                  {"query_id": "q0", "doc_id": "p0", "score": 3},
                  {"query_id": "q0", "doc_id": "p1", "score": "high"},
                  {"query_id": "q0", "doc_id": "p2", "score": 0.5}],
    }  # fmt: skip
    clean = read(folder(tmp_path / "clean"), kind, "own")
    found = read(folder(tmp_path / "faulty", **faulty), kind, "own")
    assert reasons(found) == {
        "duplicate_id": 2, "missing_id": 1, "empty_query": 1, "no_relevant_passage": 1,
        "no_integer_score": 2, "unknown_passage": 1, "unknown_query": 1, "duplicate_judgement": 1,
    }  # fmt: skip
    assert clean.quarantine.is_empty()
    assert found.tasks[0].digest == clean.tasks[0].digest
    assert score(found, tiny_encoder, tmp_path) == score(clean, tiny_encoder, tmp_path)


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking"])
@pytest.mark.parametrize("judgement", ["1", "1.0", 1.0, True])
def test_scores_in_other_types_are_numbers(tmp_path: Path, kind: str, judgement: object) -> None:
    folder(tmp_path, qrels=[{**row, "score": judgement} for row in QRELS])
    found = read(tmp_path, kind, "own")
    assert found.tasks[0].qrels["score"].to_list() == [1, 1, 1]
    assert found.quarantine.is_empty()


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking"])
def test_columns_named_otherwise_are_mapped_in_the_file_that_has_them(
    tmp_path: Path, kind: str
) -> None:
    renamed = [{"key": row["id"], "body": row["text"]} for row in CORPUS]
    folder(tmp_path, corpus=renamed)
    with pytest.raises(InputError, match=r"corpus\.jsonl"):
        read(tmp_path, kind, "own")
    found = read(tmp_path, kind, "own", columns={"id": "key", "text": "body"})
    expected = read(folder(tmp_path / "usual"), kind, "own").tasks[0].corpus["text"]
    assert found.tasks[0].corpus["text"].to_list() == expected.to_list()
    for wrong in ({"body": "text"}, {"text": "nowhere"}):
        with pytest.raises(InputError, match="columns of a retrieval task"):
            read(tmp_path, kind, "own", columns=wrong)


def test_columns_that_hold_no_texts_are_told(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "own/corpus.jsonl").unlink()
    nested = pl.DataFrame({"id": ["p0"], "text": [[["a", "list"]]]})
    nested.write_parquet(tmp_path / "own/corpus.parquet")
    with pytest.raises(InputError, match="texts, ids and scores in the corpus"):
        read(tmp_path, "Retrieval", "own")
    pairs = pl.DataFrame({"query": ["a", "b"], "text": [{"x": 1}, {"x": 2}],
                          "candidate": [["a"], ["b"]], "label": [1, 0]})  # fmt: skip
    pairs.write_parquet(tmp_path / "pairs.parquet")
    for kind in ("Retrieval", "Reranking"):
        try:
            found = read(tmp_path, kind, "pairs.parquet")
        except InputError:
            continue
        assert found.tasks[0].corpus.schema["text"] == pl.String


def test_lines_of_a_foreign_encoding_are_set_aside_and_a_mark_of_order_is_none(
    tmp_path: Path,
) -> None:
    folder(tmp_path)
    file = tmp_path / "own/queries.jsonl"
    half_pair, latin = b'{"id": "q8", "text": "\\ud800"}\n', b'{"id": "q9", "text": "\xe9"}\n'
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + half_pair + latin)
    found = read(tmp_path, "Retrieval", "own")
    assert found.tasks[0].queries["id"].to_list() == ["q0", "q1", "q2"]
    assert reasons(found) == {"lone_surrogate": 1, "not_utf8": 1}


ROWS: dict[str, list[dict[str, Any]]] = {
    "STS": [{"sentence1": a, "sentence2": b, "score": n} for n, (a, b) in enumerate(PAIRS)],
    "PairClassification": [
        {"sentence1": a, "sentence2": b, "label": n % 2} for n, (a, b) in enumerate(PAIRS)
    ],
    "Classification": [{"text": a, "label": n % 2} for n, (a, _) in enumerate(PAIRS)],
    "Clustering": [{"text": a, "label": n % 2} for n, (a, _) in enumerate(PAIRS)],
    "Summarization": [
        {"text": a, "human_summaries": [b], "machine_summaries": ["a violin", "an anchor"],
         "relevance": [n, n + 1.5]}
        for n, (a, b) in enumerate(PAIRS)
    ],
}  # fmt: skip
BAD_ROWS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "STS": [("no_score", {"score": "high"}), ("no_score", {"score": None}),
            ("no_score", {"score": "nan"}), ("missing_text", {"sentence1": None})],
    "PairClassification": [("no_binary_label", {"label": 2}), ("no_binary_label", {"label": "x"}),
                           ("missing_text", {"sentence2": None})],
    "Classification": [("missing_text", {"text": None}), ("missing_label", {"label": None})],
    "Clustering": [("missing_text", {"text": None}), ("missing_label", {"label": None})],
    "Summarization": [("no_score", {"relevance": [1, "x"]}), ("no_score", {"relevance": None}),
                      ("other_number_of_scores", {"relevance": [1]}),
                      ("no_human_summary", {"human_summaries": []}),
                      ("missing_text", {"machine_summaries": ["a", None]}),
                      ("fewer_than_two_summaries",
                       {"machine_summaries": ["a"], "relevance": [1]})],
}  # fmt: skip


def write_rows(root: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    lines(root / "own/test.jsonl", rows)
    if kind == "Classification":
        lines(root / "own/train.jsonl", ROWS[kind] * 4)
    return root


@pytest.mark.filterwarnings("ignore:Precision is ill-defined")  # three texts, two labels
@pytest.mark.parametrize("kind", ROWS)
def test_bad_rows_are_set_aside_and_the_score_is_that_of_the_others(
    tmp_path: Path, tiny_encoder: Path, kind: str
) -> None:
    good = ROWS[kind]
    bad = [good[0] | change for _, change in BAD_ROWS[kind]]
    clean = read(write_rows(tmp_path / "clean", kind, good), kind, "own")
    found = read(write_rows(tmp_path / "faulty", kind, [*bad, *good]), kind, "own")
    expected: dict[str, int] = {}
    for reason, _ in BAD_ROWS[kind]:
        expected[reason] = expected.get(reason, 0) + 1
    assert reasons(found) == expected
    assert found.tasks[0].digest == clean.tasks[0].digest
    value = score(found, tiny_encoder, tmp_path)
    assert value == score(clean, tiny_encoder, tmp_path)
    assert -1 <= value <= 1


@pytest.mark.parametrize("kind", ROWS)
def test_no_rows_other_columns_and_only_bad_rows_are_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match="a column"):
        read(write_rows(tmp_path / "none", kind, []), kind, "own")
    renamed = [{f"other_{name}": value for name, value in row.items()} for row in ROWS[kind]]
    with pytest.raises(InputError, match="a column"):
        read(write_rows(tmp_path / "other", kind, renamed), kind, "own")
    reason, change = BAD_ROWS[kind][0]
    only_bad = [row | change for row in ROWS[kind]]
    with pytest.raises(InputError, match=f"3 {reason}"):
        read(write_rows(tmp_path / "bad", kind, only_bad), kind, "own")


def test_labels_that_are_true_or_false_are_labels(tmp_path: Path) -> None:
    kind = "PairClassification"
    rows = [row | {"label": bool(row["label"])} for row in ROWS[kind]]
    found = read(write_rows(tmp_path, kind, rows), kind, "own")
    assert found.tasks[0].rows["label"].to_list() == [0, 1, 0]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("STS", {"sentence1": [["a", "b"], ["c"]], "sentence2": [["d", "e"], ["f", "g"]],
                 "score": [[1.0, 2.0], [3.0]]}),
        ("Clustering", {"sentences": [["a", "b"], ["c"]], "labels": [["x", "y"], ["x", "y"]]}),
    ],
)  # fmt: skip
def test_lists_of_unequal_length_are_set_aside(
    tmp_path: Path, kind: str, rows: dict[str, Any]
) -> None:
    pl.DataFrame(rows).write_parquet(tmp_path / "own.parquet")
    found = read(tmp_path, kind, "own.parquet")
    assert found.tasks[0].rows.height == 2
    assert reasons(found) == {"lists_of_unequal_length": 1}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("STS", {"sentence1": [{"x": 1}], "sentence2": ["b"], "score": [1.0]}),
        ("Clustering", {"text": [["a", "b"]], "label": ["x"]}),
        ("Summarization", {"text": ["a"], "human_summaries": [3], "machine_summaries": [["a"]],
                           "relevance": [[{"x": 1}]]}),
        ("Reranking", {"query": ["a"], "positive": ["b"], "negative": ["c"]}),
    ],
)  # fmt: skip
def test_columns_of_the_wrong_kind_are_told(
    tmp_path: Path, kind: str, rows: dict[str, Any]
) -> None:
    pl.DataFrame(rows).write_parquet(tmp_path / "own.parquet")
    with pytest.raises(InputError):
        read(tmp_path, kind, "own.parquet")


def test_shards_that_differ_are_told(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    pl.DataFrame({"query": ["a"], "text": ["b"]}).write_parquet(
        tmp_path / "own/test-0-of-2.parquet"
    )
    pl.DataFrame({"query": ["a"], "other": ["b"]}).write_parquet(
        tmp_path / "own/test-1-of-2.parquet"
    )
    with pytest.raises(InputError, match=r"test-1-of-2\.parquet: expected a column text"):
        read(tmp_path, "Retrieval", "own")
