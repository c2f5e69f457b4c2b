"""Each shape of training data, on rows written here and on real ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.training.examples import EXAMPLE_SCHEMA
from gecko_kedro.training.mixture import plan_batches
from gecko_kedro.training.sources import SourceSettings, read_source

SharedData = Callable[[str], Path]


def source(path: Path, **values: Any) -> SourceSettings:
    return SourceSettings.model_validate(
        {"name": "set", "data": str(path), "task": "search result"} | values
    )


def read(tmp_path: Path, rows: list[dict[str, Any]], **values: Any) -> Checked:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = values.pop("columns", {name: name for row in rows for name in row})
    result = read_source(source(path, columns=columns, **values), seed=1)
    assert dict(result.rows.schema) == dict(EXAMPLE_SCHEMA)
    assert result.counts["examples"] == result.rows.height
    assert result.counts["quarantined"] == result.quarantine.height
    return result


def short(result: Checked) -> list[tuple[Any, ...]]:
    rows = result.rows.select("query", "positive_title", "positive", "negatives").rows()
    return [(q, t, p, [(n["title"], n["text"]) for n in negatives]) for q, t, p, negatives in rows]


def test_pairs_may_have_a_title_and_negatives_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"query": "q1", "positive": "p1", "positive_title": "T", "negatives": ["a", "b"]},
        {"query": "q2", "positive": "p2", "positive_title": None, "negatives": "c"},
        {"query": "q3", "positive": "p3"},
    ]
    result = read(tmp_path, rows, converter="pairs", symmetric=True, task="duplicates")
    assert short(result) == [
        ("q1", "T", "p1", [(None, "a"), (None, "b")]),
        ("q2", None, "p2", [(None, "c")]),
        ("q3", None, "p3", []),
    ]
    shared = result.rows.select("dataset", "task_name", "symmetric").unique().rows()
    assert shared == [("set", "duplicates", True)]


def test_a_row_of_several_positives_makes_one_example_each(tmp_path: Path) -> None:
    rows = [
        {
            "query": "ما هي",
            "positive": [
                {"docid": "1#0", "title": "A", "text": "first"},
                {"docid": "1#1", "title": "B", "text": "second"},
            ],
            "negatives": [{"docid": "2#0", "title": "C", "text": "third"}],
        }
    ]
    assert short(read(tmp_path, rows, converter="pairs")) == [
        ("ما هي", "A", "first", [("C", "third")]),
        ("ما هي", "B", "second", [("C", "third")]),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"query": None, "positive": "p"}, "no_query"),
        ({"query": 7, "positive": "p"}, "query_is_no_text"),
        ({"query": "q", "positive": None}, "no_positive"),
        ({"query": "q", "positive": []}, "no_positive"),
        ({"query": "q", "positive": [3]}, "positive_is_no_text"),
        ({"query": "q", "positive": "p", "negatives": [{"title": "t"}]}, "negatives_is_no_text"),
        ({"query": "q", "positive": "p", "negatives": "['a', 'b']"}, "list_as_string"),
        ({"query": "q", "positive": "Q"}, "query_equals_positive"),
    ],
)
def test_a_row_that_makes_no_pair_is_counted_by_reason(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    columns = {"query": "query", "positive": "positive", "negatives": "negatives"}
    good = {"query": "fine", "positive": "good", "negatives": None}
    result = read(tmp_path, [good, row], converter="pairs", columns=columns)
    assert result.counts == {"examples": 1, "quarantined": 1, reason: 1}


def test_claims_take_evidence_either_way_and_none_without_evidence(tmp_path: Path) -> None:
    rows = [
        {"query": "it rains", "positive": "wet ground", "label": "SUPPORTS"},
        {"query": "it snows", "positive": "thirty degrees", "label": "REFUTES"},
        {"query": "it hails", "positive": "", "label": "NOT ENOUGH INFO"},
    ]
    result = read(tmp_path, rows, converter="claims", task="fact checking")
    assert [row[0] for row in short(result)] == ["it rains", "it snows"]
    assert result.counts["no_evidence"] == 1


@pytest.mark.parametrize("names", [(0, 1, 2), ("entailment", "Neutral", "contradiction")])
def test_nli_pairs_entailments_with_the_contradictions_of_their_premise(
    tmp_path: Path, names: tuple[Any, Any, Any]
) -> None:
    entails, neutral, contradicts = names
    rows = [
        {"premise": premise, "hypothesis": hypothesis, "label": label}
        for premise, hypothesis, label in [
            ("a man runs", "a man moves", entails),
            ("a man runs", "a man sits", contradicts),
            ("a dog barks", "a dog is loud", entails),
            ("a man runs", "a person moves", entails),
            ("a man runs", "a man is late", neutral),
            ("a cat sleeps", "a cat runs", contradicts),
            ("a cat sleeps", "a cat is old", -1),
            (None, "nothing", entails),
        ]
    ]
    result = read(tmp_path, rows, converter="nli", symmetric=True)
    assert short(result) == [
        ("a man runs", None, "a man moves", [(None, "a man sits")]),
        ("a man runs", None, "a person moves", [(None, "a man sits")]),
        ("a dog barks", None, "a dog is loud", []),
    ]
    assert result.counts["no_agreed_label"] == 1
    assert result.counts["no_premise"] == 1


CLASSES = [{"text": f"text {i}", "label": f"class {i % 3}"} for i in range(12)]


def classes_of(result: Checked, *, cut: int) -> list[tuple[str, str, str]]:
    label = {row["text"]: row["label"] for row in CLASSES}
    return [
        (label[q[: len(q) - cut]], label[p[: len(p) - cut]], label[n[0][1][: len(n[0][1]) - cut]])
        for q, _, p, n in short(result)
    ]


def test_classification_draws_within_and_outside_the_class_and_appends_one_id(
    tmp_path: Path,
) -> None:
    result = read(tmp_path, CLASSES, converter="classification", task="classification")
    assert result.rows.height == 12
    for own, same, other in classes_of(result, cut=9):
        assert own == same != other
    ids = [{text[-8:] for text in (q, p, n[0][1])} for q, _, p, n in short(result)]
    assert all(len(own) == 1 for own in ids)
    assert len(set.union(*ids)) == 12
    assert result.rows["label"].is_null().all()
    assert [row[0][:-9] != row[2][:-9] for row in short(result)] == [True] * 12
    # No text occurs twice, so that one batch may hold the whole class.
    (batch,) = plan_batches(result.rows, batch_size=12, epochs=1, max_steps=None, seed=0).batches
    assert len(batch) == 12


def test_a_label_mask_leaves_the_texts_as_they_are_and_names_the_class(tmp_path: Path) -> None:
    result = read(tmp_path, CLASSES, converter="classification", separation="label_mask")
    for own, same, other in classes_of(result, cut=0):
        assert own == same != other
    label = {row["text"]: row["label"] for row in CLASSES}
    assert [label[query] for query in result.rows["query"]] == result.rows["label"].to_list()


def test_classes_that_make_no_triple_are_set_aside(tmp_path: Path) -> None:
    rows = [*CLASSES, {"text": "alone", "label": "rare"}, {"text": "x", "label": None},
            CLASSES[0]]  # fmt: skip
    result = read(tmp_path, rows, converter="classification")
    assert result.counts == {
        "examples": 12, "quarantined": 2, "no_label": 1, "only_one_of_its_class": 1,
    }  # fmt: skip
    single = read(tmp_path, [row | {"label": "x"} for row in CLASSES], converter="classification")
    assert single.counts == {"examples": 0, "quarantined": 12, "only_one_class": 12}


MEDICAL = {"question": "question", "option_0": "opa", "option_1": "opb", "option_2": "opc",
           "option_3": "opd", "answer": "cop", "explanation": "exp"}  # fmt: skip


def test_multiple_choice_takes_the_right_option_with_its_explanation(tmp_path: Path) -> None:
    row = {"question": "Which nerve?", "opa": "Ulnar", "opb": "Median", "opc": "Radial",
           "opd": None, "cop": 1, "exp": "It runs through the tunnel."}  # fmt: skip
    rows = [row, row | {"question": "Where?", "exp": None, "cop": "2"},
            row | {"cop": -1}, row | {"cop": 3}, row | {"question": ""}]  # fmt: skip
    result = read(tmp_path, rows, converter="multiple_choice", columns=MEDICAL)
    assert short(result) == [
        ("Which nerve?", None, "Median. It runs through the tunnel.",
         [(None, "Ulnar"), (None, "Radial")]),
        ("Where?", None, "Radial", [(None, "Ulnar"), (None, "Median")]),
    ]  # fmt: skip
    assert result.counts["no_right_option"] == 2
    assert result.counts["empty_query"] == 1


def test_rows_that_cannot_be_read_are_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "a", "p": "b", "kind": "x"}\n{"q": \n{"q": "c", "p": "d", "kind": 1}\n')
    settings = source(path, converter="pairs", columns={"query": "q", "positive": "p"})
    result = read_source(settings, seed=1)
    assert result.counts == {"examples": 2, "quarantined": 1, "broken_json": 1}
    only = settings.model_copy(update={"only": {"kind": "1"}})
    assert read_source(only, seed=1).rows["query"].to_list() == ["c"]
    first = settings.model_copy(update={"max_rows": 1})
    assert read_source(first, seed=1).rows["query"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "./nowhere.csv"}, "no file at"),
        ({"columns": {"query": "q", "anchor": "p"}}, "anchor"),
        ({"columns": {"positive": "p"}}, "holds the query"),
        ({"columns": {"query": "q", "positive": "nothing"}}, "a column 'nothing'"),
    ],
)
def test_a_wrong_declaration_is_refused_at_once(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("q,p\na,b\n")
    values: dict[str, Any] = {"converter": "pairs", "columns": {"query": "q", "positive": "p"}}
    with pytest.raises(InputError, match=message):
        read_source(source(path, **(values | changes)), seed=1)


REAL = {
    "snli": {"symmetric": True, "task": "semantic similarity"},
    "medquad": {"task": "question answering"},
    "pubmedqa": {"task": "question answering"},
    "arxiv": {"max_rows": 3000},
    "scitldr": {},
    "tldr": {"max_rows": 3000},
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL)
def test_real_pairs_are_converted(shared_data: SharedData, name: str) -> None:
    path = shared_data("train_pairs") / "train.parquet"
    columns = {"query": "query", "positive": "positive", "negatives": "negatives"}
    settings = source(
        path, **({"name": name, "converter": "pairs", "columns": columns, "only": {"source": name}}
                 | REAL[name])
    )  # fmt: skip
    result = read_source(settings, seed=1)
    total = result.counts["examples"] + result.counts["quarantined"]
    expected = pl.read_parquet(path).filter(pl.col("source") == name).height
    assert total == min(expected, settings.max_rows or expected)
    assert result.counts["examples"] > 0.95 * total
    if name == "snli":
        assert result.rows["negatives"].list.len().max() == 3


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["fm2", "climate_fever"])
def test_real_claims_are_converted(shared_data: SharedData, name: str) -> None:
    path = shared_data("train_pairs") / "train.parquet"
    columns = {"query": "query", "positive": "positive", "negatives": "negatives", "label": "task"}
    settings = source(path, name=name, converter="claims", columns=columns,
                      only={"source": name}, task="fact checking")  # fmt: skip
    result = read_source(settings, seed=1)
    assert result.counts["examples"] > 1500
    assert result.rows["negatives"].list.len().max() > 1
    assert (
        result.quarantine["reason"]
        .is_in(["negative_is_known_positive", "positive_equals_negative", "query_equals_positive"])
        .all()
    )


@pytest.mark.shared_data
@pytest.mark.parametrize("separation", ["unique_id", "label_mask"])
def test_real_classes_are_converted(shared_data: SharedData, separation: str) -> None:
    path = shared_data("train_classification") / "train.parquet"
    real = pl.read_parquet(path).filter(pl.col("dataset") == "banking77")
    settings = source(path, name="banking77", converter="classification", separation=separation,
                      columns={"text": "text", "label": "label"},
                      only={"dataset": "banking77"}, task="classification")  # fmt: skip
    result = read_source(settings, seed=1)
    assert result.counts["examples"] > 0.99 * real["text"].n_unique()
    label = dict(real.select("text", "label").iter_rows())
    cut = 9 if separation == "unique_id" else 0
    for query, _, positive, ((_, negative),) in short(result):
        own, same, other = (label[text[: len(text) - cut]] for text in (query, positive, negative))
        assert own == same != other


@pytest.mark.parametrize("number", [int, float, str])
def test_labels_and_answers_that_pandas_made_floats_mean_the_same(
    tmp_path: Path, number: type
) -> None:
    rows = [{"premise": "a", "hypothesis": f"h{n}", "label": number(n)} for n in range(3)]
    assert read(tmp_path, rows, converter="nli").rows.height == 1
    rows = [{"question": "q", "option_0": "no", "option_1": "yes", "answer": number(1),
             "explanation": float("nan")}]  # fmt: skip
    assert read(tmp_path, rows, converter="multiple_choice").rows["positive"][0] == "yes"
    labels = [number(0), 0.0, number(1), 1.0]
    rows = [{"text": f"t{n}", "label": label} for n, label in enumerate(labels)]
    assert read(tmp_path, rows, converter="classification").rows.height == 4
    assert read(tmp_path, rows, converter="classification", only={"label": "1"}).counts == {
        "examples": 0, "quarantined": 2, "only_one_class": 2,
    }  # fmt: skip


def test_values_that_are_no_text_cost_the_field_or_the_row_and_never_the_run(
    tmp_path: Path,
) -> None:
    rows = [
        {"query": "q0", "positive": "p0", "positive_title": 1984},
        {"query": "q1", "positive": "p1", "positive_title": float("nan")},
        {"query": "q2", "positive": "p2", "positive_title": ["a", "list"]},
        {"query": float("nan"), "positive": "p3", "positive_title": None},
        {"query": True, "positive": "p4", "positive_title": None},
        {"query": "half \ud83d", "positive": "p5", "positive_title": None},
    ]
    result = read(tmp_path, rows, converter="pairs")
    assert result.rows.select("query", "positive_title").rows() == [
        ("q0", "1984"), ("q1", None), ("q2", None),
    ]  # fmt: skip
    assert sorted(result.quarantine["reason"]) == [
        "lone_surrogate", "no_query", "positive_title_is_no_text", "query_is_no_text",
    ]  # fmt: skip
    assert "{}" not in result.quarantine["record"].to_list()
    answers = [{"question": "q", "option_0": "a", "option_1": "b", "answer": answer}
               for answer in (float("inf"), float("nan"), "x", True, [1], 0.5)]  # fmt: skip
    assert read(tmp_path, answers, converter="multiple_choice").counts["no_right_option"] == 6
