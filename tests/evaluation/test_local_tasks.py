"""Tasks of every category out of files, scored by mteb and by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from datasets import Dataset
from mteb.abstasks import AbsTaskClassification
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.scoring.scoring_run import evaluate_bm25, evaluate_encoder
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.mteb_tasks import keeping
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings
from gecko_kedro.evaluation.tasks.task import ReadTasks
from tests.evaluation.conftest import PLACES, TOPICS

PROMPTS = TaskPrompts.checked(
    {
        "by_name": {"Named": {"task": "fact checking", "symmetric": True}},
        "by_type": {"STS": {"task": "semantic similarity", "symmetric": True}},
    }
)
TEXTS = [f"the {topic} near the {place}" for topic in TOPICS for place in PLACES]
LABELS = [topic for topic in TOPICS for _ in PLACES]
SCORES = [float(n % 6) for n in range(23)]


def under_test(reference: Path, **changes) -> EncoderUnderTest:
    how = {"max_seq_length": 32, "batch_size": 8, "device": "cpu", "dtype": "float32"}
    how |= {name: changes.pop(name) for name in how.keys() & changes}
    arguments = {"name": "tiny", "templates": "none", "dims": (32,)} | changes
    return EncoderUnderTest(load=LoadSettings(reference=str(reference), **how), **arguments)


def read(root: Path, **settings) -> ReadTasks:
    return read_tasks([TaskSettings(**settings)], PROMPTS, root=root)


def write(folder: Path, name: str, rows: dict[str, list]) -> None:
    folder.mkdir(exist_ok=True)
    pl.DataFrame(rows).write_parquet(folder / name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of data with one task of each kind."""
    pairs = {"sentence1": TEXTS[:-1], "sentence2": TEXTS[1:]}
    write(tmp_path / "sts", "test.parquet", {**pairs, "score": SCORES})
    write(tmp_path / "pairs", "test.parquet", {**pairs, "label": [n % 2 for n in range(23)]})
    for split in ("train", "test"):
        write(tmp_path / "classes", f"{split}.parquet", {"text": TEXTS, "label": LABELS})
    write(tmp_path / "clusters", "test.parquet", {"text": TEXTS, "label": LABELS})
    halves = {"sentences": [TEXTS[:12], TEXTS[12:]], "labels": [LABELS[:12], LABELS[12:]]}
    write(tmp_path / "sets", "test.parquet", halves)
    rows = [
        {"text": text, "human_summaries": TEXTS[n : n + 2], "machine_summaries": TEXTS[n : n + 4],
         "relevance": [4.0, 1.0, 3.0, 2.0]}
        for n, text in enumerate(TEXTS[:6])
    ]  # fmt: skip
    (tmp_path / "summaries").mkdir()
    (tmp_path / "summaries" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write(tmp_path / "rerank", "dev.parquet",
          {"query": [q for q in TOPICS[:4] for _ in range(5)], "candidate": TEXTS[:20],
           "label": [int(n % 5 == 1) for n in range(20)]})  # fmt: skip
    write(tmp_path / "pairs_of_texts", "test.parquet",
          {"title": list(TOPICS), "abstract": TEXTS[::3]})  # fmt: skip
    return tmp_path


KINDS = {
    "STS": ("sts", "cosine_spearman", "test"),
    "PairClassification": ("pairs", "max_ap", "test"),
    "Classification": ("classes", "accuracy", "test"),
    "Clustering": ("clusters", "v_measure", "test"),
    "Summarization": ("summaries", "cosine_spearman", "test"),
    "Reranking": ("rerank", "map_at_1000", "dev"),
    "Retrieval": ("pairs_of_texts", "ndcg_at_10", "test"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_category_is_scored_from_files(root: Path, tiny_encoder: Path, kind: str) -> None:
    path, metric, split = KINDS[kind]
    tasks = read(root, name=f"Own{kind}", type=kind, path=path, split=split).tasks
    found = evaluate_encoder(under_test(tiny_encoder), tasks, cache_root=root / "cache")
    assert found.failures.is_empty()
    main = found.scores.filter("main").row(0, named=True)
    assert (main["metric"], main["type"]) == (metric, kind)
    assert -1 <= main["score"] <= 1
    record = found.records.row(0, named=True)
    assert (record["dtype"], record["seed"], record["templates"]) == ("float32", 42, "none")
    assert "mteb 2." in record["versions"]
    again = evaluate_encoder(under_test(tiny_encoder), tasks, cache_root=root / "cache")
    assert again.encoded == 0
    assert again.scores.equals(found.scores)
    assert again.per_query.equals(found.per_query)
    if kind not in {"STS", "PairClassification"}:
        assert found.per_query["score"].mean() == pytest.approx(main["score"], abs=1e-5)


def test_similarities_give_the_scores_of_scipy_and_sklearn(root: Path, tiny_encoder: Path) -> None:
    settings = [TaskSettings(name="S", type="STS", path="sts"),
                TaskSettings(name="P", type="PairClassification", path="pairs")]  # fmt: skip
    tasks = read_tasks(settings, PROMPTS, root=root).tasks
    found = evaluate_encoder(under_test(tiny_encoder), tasks, cache_root=root / "cache")
    model = load_encoder(str(tiny_encoder), device="cpu", dtype="float32", max_seq_length=32)
    a, b = (encode_texts(model, side, batch_size=8) for side in (TEXTS[:-1], TEXTS[1:]))
    cosine = (a * b).sum(axis=1)
    for task, expected in (
        ("S", spearmanr(cosine, SCORES).statistic),
        ("P", average_precision_score([n % 2 for n in range(23)], cosine)),
    ):
        single = found.per_query.filter(task=task)
        assert np.allclose(single["score"].to_numpy(), cosine, atol=1e-5)
        score = found.scores.filter("main", task=task)["score"].item()
        assert score == pytest.approx(expected, abs=1e-4)


def test_lists_are_sets_that_are_clustered_one_by_one(root: Path, tiny_encoder: Path) -> None:
    tasks = read(root, name="OwnSets", type="Clustering", path="sets").tasks
    found = evaluate_encoder(under_test(tiny_encoder), tasks, cache_root=root / "cache")
    assert found.per_query.height == 2
    whole = read(root, name="OwnClusters", type="Clustering", path="clusters").tasks
    assert whole[0].to_mteb().max_fraction_of_documents_to_embed == 1.0


def test_a_task_of_mtebs_name_is_scored_with_mtebs_settings(root: Path) -> None:
    own = read(root, name="Own", type="Classification", path="classes").tasks[0]
    emotion = read(root, name="EmotionClassification", type="Classification", path="classes")
    assert own.to_mteb().samples_per_label == 8
    assert emotion.tasks[0].to_mteb().samples_per_label == 16
    assert emotion.tasks[0].to_mteb().n_experiments == 10
    # of another type than mteb's: the name says nothing
    other = read(root, name="EmotionClassification", type="STS", path="sts").tasks[0]
    assert other.to_mteb().metadata.main_score == "cosine_spearman"
    argu = read(root, name="ArguAna", type="Retrieval", path="pairs_of_texts").tasks[0]
    assert argu.to_mteb().ignore_identical_ids
    assert not argu.to_mteb().metadata.dataset["path"].startswith("mteb/")


def test_reranking_of_lists_and_of_rows_is_the_same(root: Path) -> None:
    rows = pl.read_parquet(root / "rerank/dev.parquet")
    lists = rows.group_by("query", maintain_order=True).agg(
        pl.col("candidate").filter(pl.col("label") == 1).alias("positive"),
        pl.col("candidate").filter(pl.col("label") == 0).alias("negative"),
    )
    write(root / "lists", "dev.parquet", lists.to_dict(as_series=False))
    settings = {"type": "Reranking", "split": "dev"}
    a = read(root, name="A", path="rerank", **settings).tasks[0]
    b = read(root, name="A", path="lists", **settings).tasks[0]
    assert a.reranking
    assert sorted(a.corpus["text"]) == sorted(b.corpus["text"])
    assert a.qrels["score"].sum() == b.qrels["score"].sum() == 4
    assert a.qrels.height == b.qrels.height == 20


def test_baselines_rank_the_candidates_too(root: Path, tiny_encoder: Path) -> None:
    settings = [TaskSettings(name="R", type="Reranking", path="rerank", split="dev"),
                TaskSettings(name="S", type="STS", path="sts")]  # fmt: skip
    tasks = read_tasks(settings, PROMPTS, root=root).tasks
    lexical = evaluate_bm25(tasks, cache_root=root / "cache")
    assert lexical.scores["task"].unique().to_list() == ["R"]
    assert lexical.failures.is_empty()
    found = evaluate_encoder(
        under_test(tiny_encoder), tasks, cache_root=root / "cache", hybrid_constant=60
    )
    assert found.failures.is_empty()
    assert set(found.scores.filter(task="R")["model"]) == {"tiny", "hybrid"}
    assert set(found.scores.filter(task="S")["model"]) == {"tiny"}
    made = pl.concat([lexical.records, found.records]).select("model", "task").rows()
    assert set(made) == {("bm25", "R"), ("hybrid", "R"), ("tiny", "R"), ("tiny", "S")}
    assert lexical.records["model_revision"].str.starts_with("bm25s-").all()


def test_bad_rows_are_counted_by_reason_and_the_rest_is_scored(root: Path) -> None:
    rows = {"sentence1": ["a", None, "c", "d"], "sentence2": ["b", "b", "b", "b"],
            "score": ["1.0", "2.0", "high", "3"]}  # fmt: skip
    write(root / "bad", "test.parquet", rows)
    found = read(root, name="Bad", type="STS", path="bad")
    assert found.tasks[0].rows.height == 2
    reasons = dict(found.quarantine["reason"].value_counts().iter_rows())
    assert reasons == {"missing_text": 1, "no_score": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "STS", "path": "nowhere"}, "no such folder"),
        ({"type": "STS", "path": "classes"}, "a column sentence1"),
        ({"type": "STS", "path": "sts", "split": "dev"}, "dev.{parquet"),
        ({"type": "STS", "path": "sts", "columns": {"score": "grade"}}, "a column grade"),
        ({"type": "STS", "path": "sts", "columns": {"grade": "score"}}, "names out of"),
        ({"type": "Classification", "path": "sts"}, "a column text"),
        ({"type": "Classification", "path": "clusters"}, "train.{parquet"),
        ({"type": "Retrieval", "path": "sts"}, "a column query or title"),
        ({"type": "Reranking", "path": "sts"}, "a column query"),
        ({"name": "NoSuchTask"}, "a task or benchmark of mteb"),
    ],
)
def test_what_cannot_be_read_is_told(root: Path, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(root, **({"name": "Own"} | settings))


def test_a_task_with_nothing_to_score_is_told(root: Path) -> None:
    write(root / "flat", "test.parquet",
          {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.0, 1.0],
           "label": [0, 0], "text": ["x", "y"]})  # fmt: skip
    for kind, message in (("STS", "at least two scores"), ("PairClassification", "both labels"),
                          ("Clustering", "at least two labels")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read(root, name="Flat", type=kind, path="flat")


def test_a_name_given_twice_is_refused(root: Path) -> None:
    twice = [TaskSettings(name="S", type="STS", path="sts")] * 2
    with pytest.raises(InputError, match="each task once"):
        read_tasks(twice, PROMPTS, root=root)


def test_prompts_go_by_the_task_then_its_name_then_its_type(root: Path) -> None:
    settings = {"type": "Retrieval", "path": "pairs_of_texts"}
    assert read(root, name="Own", type="STS", path="sts").tasks[0].task == "semantic similarity"
    named = read(root, name="Named", **settings).tasks[0]
    assert (named.task, named.symmetric) == ("fact checking", True)
    own = read(root, name="Named", prompt="own", symmetric=False, **settings).tasks[0]
    assert (own.task, own.symmetric) == ("own", False)


def test_tasks_of_the_hub_are_skipped_offline_and_the_others_scored(
    root: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    settings = [TaskSettings(name="SICK-R"), TaskSettings(name="S", type="STS", path="sts")]
    tasks = read_tasks(settings, PROMPTS, root=root).tasks
    encoder = under_test(tiny_encoder, dims=(32, 8))
    found = evaluate_encoder(encoder, tasks, cache_root=root / "cache")
    assert found.scores["task"].unique().to_list() == ["S"]
    skipped = found.failures.row(0, named=True)
    assert found.failures.height == 1
    assert (skipped["task"], skipped["status"], skipped["dimension"]) == ("SICK-R", "skipped", None)


def test_benchmarks_stand_for_their_tasks() -> None:
    settings = TaskSettings(name="MTEB(eng, v2)")
    found = read_tasks([settings], PROMPTS).tasks
    assert len(found) == 41
    assert {task.type for task in found} >= {"Retrieval", "STS", "Summarization"}
    english = read_tasks([TaskSettings(name="MTEB(eng, v1)")], PROMPTS).tasks
    assert len(english) == 56
    (mirac,) = read_tasks([TaskSettings(name="MIRACLRetrieval")], PROMPTS).tasks
    assert mirac.revision


def test_a_model_gets_its_own_prompts_by_task_and_side(
    root: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, counted: Callable
) -> None:
    real = load_encoder

    def with_prompts(*arguments, **settings):
        model = real(*arguments, **settings)
        model.prompts = {"query": "q: ", "document": "d: ", "STS": "s: "}
        return model

    monkeypatch.setattr("gecko_kedro.encoder.settings.load_encoder", with_prompts)
    settings = [TaskSettings(name="S", type="STS", path="sts"),
                TaskSettings(name="R", type="Retrieval", path="pairs_of_texts")]  # fmt: skip
    tasks = read_tasks(settings, PROMPTS, root=root).tasks
    evaluate_encoder(under_test(tiny_encoder, templates="own"), tasks, cache_root=root / "cache")
    assert {text[:3] for text in counted} == {"q: ", "d: ", "s: "}
    assert sum(text.startswith("s: ") for text in counted) == len(TEXTS)


def test_labels_read_at_once_change_nothing_of_what_mteb_samples_and_scores() -> None:
    labels = [n * 7919 % 11 for n in range(500)]
    rows = Dataset.from_dict({"text": [str(n) for n in range(500)], "label": labels})
    found = []
    for kind in (AbsTaskClassification, keeping(AbsTaskClassification)):
        task: Any = object.__new__(kind)
        task.seed, task.samples_per_label, task.label_column_name = 42, 8, "label"
        order = None
        for experiment in range(3):
            sampled, order, chosen = task._undersample_data(rows, experiment, order)
            found.append((sampled["text"][:], list(order), chosen))
        found.append(task._calculate_scores(rows["label"], np.roll(labels, 11 * 9)))
    assert found[:4] == found[4:]
    assert 0 < found[3]["accuracy"] < 1
