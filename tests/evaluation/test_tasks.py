import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import PAIR_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.heldout import heldout_from_pairs
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData, checked
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.rows import checked_rows
from gecko_kedro.evaluation.tasks.tables import from_tables, query_groups, to_tables
from gecko_kedro.evaluation.tasks.task import require_tasks


def same(a: RetrievalData, b: RetrievalData) -> bool:
    return a.digest == b.digest


def write_beir(data: RetrievalData, folder: Path) -> None:
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as file:
        for row in data.corpus.iter_rows(named=True):
            passage = {"_id": row["id"], "title": row["title"], "text": row["text"], "metadata": {}}
            file.write(json.dumps(passage) + "\n")
    with (folder / "queries.jsonl").open("w") as file:
        for row in data.queries.iter_rows(named=True):
            file.write(json.dumps({"_id": row["id"], "text": row["text"]}) + "\n")
    lines = ["query-id\tcorpus-id\tscore"]
    lines += ["\t".join(map(str, row)) for row in data.qrels.iter_rows()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")


def write_parquet(data: RetrievalData, folder: Path) -> None:
    folder.mkdir()
    data.corpus.write_parquet(folder / "corpus.parquet")
    data.queries.select("id", "text").write_parquet(folder / "queries_dev.parquet")
    data.qrels.rename({"passage_id": "doc_id"}).write_parquet(folder / "qrels_dev.parquet")


def test_the_three_layouts_read_as_the_same_task(toy_data: RetrievalData, tmp_path: Path) -> None:
    write_beir(toy_data, tmp_path / "beir")
    write_parquet(toy_data, tmp_path / "parquet")
    beir = read_retrieval_data(tmp_path / "beir", name="toy")
    parquet = read_retrieval_data(tmp_path / "parquet", name="toy", split="dev")
    files = read_retrieval_data(
        {
            "corpus": tmp_path / "beir" / "corpus.jsonl",
            "queries": tmp_path / "parquet" / "queries_dev.parquet",
            "qrels": tmp_path / "beir" / "qrels" / "test.tsv",
        },
        name="toy",
    )
    for found in (beir, parquet, files):
        assert same(found.data, toy_data)
        assert found.quarantine.is_empty()


def test_the_digest_sees_content_and_not_order(toy_data: RetrievalData) -> None:
    shuffled = replace(toy_data, corpus=toy_data.corpus.sample(fraction=1, shuffle=True, seed=1))
    assert same(shuffled, toy_data)
    changed = [
        replace(toy_data, corpus=toy_data.corpus.with_columns(pl.col("text") + " ")),
        replace(toy_data, queries=toy_data.queries.with_columns(pl.col("text") + " ")),
        replace(toy_data, qrels=toy_data.qrels.with_columns(pl.col("score") + 1)),
        replace(toy_data, task="fact checking"),
        replace(toy_data, symmetric=True),
    ]
    assert len({data.digest for data in [toy_data, *changed]}) == 6


def test_bad_rows_are_set_aside_with_a_reason(toy_data: RetrievalData) -> None:
    corpus = pl.concat([toy_data.corpus, toy_data.corpus[:1].with_columns(text=pl.lit("again"))])
    queries = pl.concat(
        [
            toy_data.queries,
            pl.DataFrame({"id": ["blank", "lonely", None], "text": [" ", "who", "no id"],
                          "group": ["a", "b", "c"]}),
        ]
    )  # fmt: skip
    qrels = pl.concat(
        [
            toy_data.qrels,
            pl.DataFrame(
                {
                    "query_id": ["blank", "nobody", "q0", "q0", "q1"],
                    "passage_id": ["p00", "p00", "nothing", "p00", "p22"],
                    "score": [1, 1, 1, 1, None],
                }
            ),
        ]
    )
    found = checked("toy", corpus, queries, qrels, where="here")
    assert same(found.data, toy_data)
    assert found.quarantine.schema == QUARANTINE_SCHEMA
    reasons = dict(found.quarantine["reason"].value_counts().iter_rows())
    assert reasons == {
        "duplicate_id": 1, "empty_query": 1, "missing_id": 1, "no_relevant_passage": 1,
        "unknown_query": 2, "unknown_passage": 1, "duplicate_judgement": 1, "no_integer_score": 1,
    }  # fmt: skip
    kept = found.quarantine.filter(reason="duplicate_id")["record"][0]
    assert json.loads(kept)["text"] == "again"


def test_judgements_that_only_say_not_relevant_take_their_query_along(
    toy_data: RetrievalData,
) -> None:
    qrels = toy_data.qrels.with_columns(
        pl.when(pl.col("query_id") == "q3").then(-1).otherwise(pl.col("score")).alias("score")
    )
    found = checked("toy", toy_data.corpus, toy_data.queries, qrels, where="here")
    assert "q3" not in found.data.queries["id"].to_list()
    assert found.counts["no_relevant_passage"] == 1


def test_data_that_breaks_a_rule_cannot_be_built(toy_data: RetrievalData) -> None:
    twice = pl.concat([toy_data.corpus, toy_data.corpus[:2]])
    with pytest.raises(InputError, match="2 rows of corpus: duplicate_id"):
        replace(toy_data, corpus=twice)
    with pytest.raises(InputError, match="no rows in queries"):
        replace(toy_data, queries=toy_data.queries.clear(), qrels=toy_data.qrels.clear())
    with pytest.raises(InputError, match="name of a task"):
        replace(toy_data, name="../elsewhere")


def test_lines_that_are_no_json_are_set_aside(toy_data: RetrievalData, tmp_path: Path) -> None:
    write_beir(toy_data, tmp_path / "beir")
    with (tmp_path / "beir" / "queries.jsonl").open("ab") as file:
        file.write(b'{"_id": "cut\n\n["a list"]\n{"_id": "x", "text": "caf\xe9"}\n')
    found = read_retrieval_data(tmp_path / "beir", name="toy")
    assert same(found.data, toy_data)
    assert found.quarantine["reason"].to_list() == ["broken_json", "not_an_object", "not_utf8"]
    assert found.quarantine["where"].str.ends_with("queries.jsonl:17").any()


def test_numbers_as_ids_and_scores_as_text_are_read(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": 7, "text": "seven"}\n{"_id": 8, "text": ""}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": 1, "text": "a number"}\n')
    rows = [(1, 7, "1.0"), (1, 8, "0.5")]
    (tmp_path / "qrels.jsonl").write_text(
        "".join(json.dumps({"query-id": q, "corpus-id": d, "score": s}) + "\n" for q, d, s in rows)
    )
    found = read_retrieval_data(tmp_path, name="numbers")
    assert found.data.qrels.rows() == [("1", "7", 1)]
    assert found.data.corpus["id"].to_list() == ["7", "8"]  # an empty passage is a passage
    assert found.counts["no_integer_score"] == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "queries.jsonl").unlink(), "the queries as one of"),
        (lambda folder: (folder / "corpus.jsonl").write_text(""), "a column id or _id"),
        (
            lambda folder: (folder / "qrels" / "test.tsv").write_text("query-id\tscore\nq0\t1\n"),
            "a column passage_id or doc_id",
        ),
        (
            lambda folder: (folder / "qrels" / "test.tsv").write_text(
                "query-id\tcorpus-id\tscore\nx\ty\t1\n"
            ),
            "at least one query with a relevant passage",
        ),
        (lambda folder: (folder / "corpus.parquet").write_bytes(b"no parquet"), "a Parquet file"),
    ],
)
def test_what_cannot_be_read_is_told(
    toy_data: RetrievalData, tmp_path: Path, spoil, message: str
) -> None:
    write_beir(toy_data, tmp_path / "beir")
    spoil(tmp_path / "beir")
    with pytest.raises(InputError, match=message):
        read_retrieval_data(tmp_path / "beir", name="toy")


def test_a_missing_folder_or_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_retrieval_data(tmp_path / "nowhere", name="toy")
    with pytest.raises(InputError, match="no such file"):
        read_retrieval_data(dict.fromkeys(("corpus", "queries", "qrels"), "nowhere"), name="toy")
    with pytest.raises(InputError, match="Name one file for each"):
        read_retrieval_data({"corpus": "x"}, name="toy")


def test_tasks_go_through_tables_unchanged(toy_data: RetrievalData) -> None:
    other = replace(toy_data, name="other", task="fact checking", symmetric=True)
    rows = pl.DataFrame({"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.0, 2.0]})
    pairs_of_texts = checked_rows("STS", "STS", rows, where="here", task="t").data
    tasks = [toy_data, pairs_of_texts, other]
    tables = to_tables(tasks)
    found = from_tables(*tables, others=tasks)
    assert [data.digest for data in found] == [
        toy_data.digest, other.digest, pairs_of_texts.digest
    ]  # fmt: skip
    groups = query_groups(tables.queries)
    assert groups.columns == ["task", "query_id", "group"]
    assert groups["group"].to_list() == [*toy_data.queries["group"], *other.queries["group"]]


def test_no_task_and_two_of_one_name_are_refused(toy_data: RetrievalData) -> None:
    require_tasks([toy_data])
    for tasks in ([], [toy_data, toy_data]):
        with pytest.raises(InputError, match="evaluation tasks"):
            require_tasks(tasks)


def pairs(count: int) -> pl.DataFrame:
    rows = [
        (f"{kind}-{n}", kind, "search result", f"{kind} of {n}", f"p{n:03}", f"{text} {n}",
         f"g{n % 5}")
        for n in range(count)
        for kind, text in (("name_body", "whole"), ("summary_body", "body"))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=PAIR_SCHEMA, orient="row")


def heldout(table: pl.DataFrame, **changes) -> RetrievalData:
    arguments = {"kinds": ["summary_body", "name_body"], "max_passages": 1000, "max_queries": 1000,
                 "seed": 3}  # fmt: skip
    return heldout_from_pairs(table, name="heldout", **(arguments | changes))


def test_each_passage_enters_with_its_first_kind_only() -> None:
    table = pairs(30).filter((pl.col("kind") != "summary_body") | (pl.col("passage_id") < "p020"))
    found = heldout(table)
    assert (found.corpus.height, found.queries.height, found.qrels.height) == (30, 30, 30)
    assert found.queries["id"].str.starts_with("summary_body").sum() == 20
    assert found.corpus["text"].str.starts_with("body").sum() == 20
    assert found.task == "search result"
    assert set(found.queries["group"]) == {f"g{n}" for n in range(5)}


def test_caps_take_a_sample_that_keeps_its_members_as_the_corpus_grows() -> None:
    small, large = heldout(pairs(60), max_passages=40), heldout(pairs(80), max_passages=40)
    assert small.corpus.height == large.corpus.height == 40
    shared = set(small.corpus["id"]) & set(large.corpus["id"])
    assert len(shared) >= 20
    old = {f"p{n:03}" for n in range(60)}
    assert {i for i in large.corpus["id"] if i in old} <= set(small.corpus["id"])
    few = heldout(pairs(60), max_queries=7)
    assert (few.queries.height, few.corpus.height) == (7, 60)
    assert heldout(pairs(60), max_queries=7, seed=4).digest != few.digest
    assert heldout(pairs(60).sample(fraction=1, shuffle=True, seed=0), max_queries=7).digest == (
        few.digest
    )


def test_equal_queries_share_their_passages_and_equal_passages_are_one() -> None:
    table = pairs(6).filter(kind="summary_body").with_columns(
        query=pl.when(pl.col("passage_id") < "p003").then(pl.lit("Return it.")).otherwise("query"),
        text=pl.when(pl.col("passage_id") > "p003").then(pl.lit("the same")).otherwise("text"),
    )  # fmt: skip
    found = heldout(table)
    assert found.corpus.height == 5
    assert found.queries.filter(text="Return it.").height == 1
    relevant = found.qrels.group_by("query_id").len()["len"].sort().to_list()
    assert relevant == [1, 1, 1, 3]


def test_no_pair_of_the_wanted_kinds_is_told() -> None:
    with pytest.raises(InputError, match="name_body"):
        heldout(pairs(3).filter(kind="name_body"), kinds=["title_body"])
    with pytest.raises(InputError, match="no pairs"):
        heldout(pairs(0))
