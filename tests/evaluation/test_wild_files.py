"""The evaluation reads files by the corpus's rules: the same ids, the same quotation marks."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.tasks.reading import ReadTasks, read_tasks
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings
from tests.support.observing import Observe

PROMPTS = TaskPrompts.checked({"by_name": {}, "by_type": {}})
QRELS = "query-id\tcorpus-id\tscore\n"


def read(root: Path, kind: str, path: str) -> ReadTasks:
    return read_tasks([TaskSettings(name="Own", type=kind, path=path)], PROMPTS, root=root)


def beir(folder: Path, corpus: list[dict[str, Any]], queries: list[dict[str, Any]]) -> Path:
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir(exist_ok=True)
    return folder


@pytest.mark.faults
@pytest.mark.parametrize(
    "qrels",
    ["1\t12\t1\n2\t13\t1\n", "1.0\t12.0\t1.0\n2.0\t13.0\t1.0\n", " 1\t12 \t1\n2 \t13\t1\n",
     "1\t12\t1\r\n2\t13\t1\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("number", [int, float, str])
def test_judgements_find_their_passages_however_ids_are_written(
    tmp_path: Path, qrels: str, number: type, observe: Observe
) -> None:
    corpus = [{"_id": number(n), "title": float("nan"), "text": f"text {n}"} for n in (12, 13)]
    queries = [{"_id": number(n), "text": f"query {n}", "group": 3.0} for n in (1, 2)]
    (beir(tmp_path, corpus, queries) / "qrels/test.tsv").write_bytes((QRELS + qrels).encode())
    found = read_retrieval_data(tmp_path, name="toy")
    assert found.data.qrels.rows() == [("1", "12", 1), ("2", "13", 1)]
    assert found.data.corpus.rows() == [("12", None, "text 12"), ("13", None, "text 13")]
    assert found.data.queries["group"].to_list() == ["3", "3"]
    assert found.quarantine.is_empty()
    observe(f"ids {[row['_id'] for row in corpus]} and judgements {qrels!r}", found.counts)


def test_ids_of_parquet_files_of_floats_match_those_of_texts(tmp_path: Path) -> None:
    nothing = pl.Series("title", [None, float("nan")], dtype=pl.Float64)
    pl.DataFrame({"id": [12.0, 13.0], "text": ["a", "b"], "title": nothing}).write_parquet(
        tmp_path / "corpus.parquet"
    )
    pl.DataFrame({"id": ["1"], "text": ["q"]}).write_parquet(tmp_path / "queries.parquet")
    pl.DataFrame({"query_id": [1.0, None], "doc_id": [12, 13], "score": [1.0, 1.0]}).write_parquet(
        tmp_path / "qrels.parquet"
    )
    found = read_retrieval_data(tmp_path, name="toy")
    assert found.data.qrels.rows() == [("1", "12", 1)]
    assert found.data.corpus.rows() == [("12", None, "a"), ("13", None, "b")]


@pytest.mark.faults
def test_bad_lines_of_judgements_are_set_aside_with_their_record(
    tmp_path: Path, observe: Observe
) -> None:
    corpus = [{"_id": '"9', "text": "a"}, {"_id": "10", "text": ["a", "list"]},
              {"_id": "11", "text": "c", "title": {"no": "title"}}]  # fmt: skip
    beir(tmp_path, corpus, [{"_id": "1", "text": "q"}])
    lines = ['1\t"9\t1', "1\t11", "1\t11\t1\tmore", "1\t11\thigh", "1\t11\t2"]
    (tmp_path / "qrels/test.tsv").write_text(QRELS + "\n".join(lines))
    found = read_retrieval_data(tmp_path, name="toy")
    assert found.data.qrels.rows() == [("1", '"9', 1), ("1", "11", 2)]
    reasons = dict(found.quarantine["reason"].value_counts().iter_rows())
    assert reasons == {"wrong_field_count": 2, "not_a_string": 2, "no_integer_score": 1}
    records = [json.loads(record) for record in found.quarantine["record"]]
    assert all(records)
    assert {"_id": "10", "text": ["a", "list"]} in records
    observe("judgements with too few and too many fields, a list as a text", reasons)


@pytest.mark.parametrize("suffix", ["csv", "CSV", "tsv"])
def test_a_table_of_pairs_is_read_by_the_same_rule(tmp_path: Path, suffix: str) -> None:
    tab = "\t" if suffix == "tsv" else ","
    rows = ["query{}text", 'a{}"open', "b{}one", "c{}two", "d{}three", 'e{}a 24" screen']
    (tmp_path / f"own.{suffix}").write_text("\n".join(row.format(tab) for row in rows))
    found = read(tmp_path, "Retrieval", f"own.{suffix}")
    assert found.tasks[0].queries.height == (5 if suffix == "tsv" else 4)
    assert found.quarantine["reason"].to_list() == ([] if suffix == "tsv" else ["broken_csv"])


def test_a_file_of_bad_lines_only_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    beir(tmp_path, [{"_id": "1", "text": "a"}], [{"_id": "1", "text": "q"}])
    (tmp_path / "qrels/test.tsv").write_text(QRELS + "1\t1\n")
    with pytest.raises(InputError, match=r"'wrong_field_count': 1.*2 fields, the header has 3"):
        read_retrieval_data(tmp_path, name="toy")


def test_labels_that_pandas_made_floats_are_the_labels_of_the_other_split(tmp_path: Path) -> None:
    texts = ["a", "b", "c"]
    pl.DataFrame({"text": texts, "label": [0, 1, 1]}).write_parquet(tmp_path / "train.parquet")
    pl.DataFrame({"text": texts, "label": [0.0, 1.0, None]}).write_parquet(
        tmp_path / "test.parquet"
    )
    found = read(tmp_path, "Classification", ".")
    assert set(found.tasks[0].rows["label"]) == {"0", "1"}
    assert found.quarantine["reason"].to_list() == ["missing_label"]
