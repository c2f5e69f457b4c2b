"""The estimate measures the run's own functions and leaves nothing but stored replies behind."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from gecko_kedro import corpus, fret
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.estimation import Measures
from gecko_kedro.fret.schemas import QUERY, empty_table
from gecko_kedro.params import CorpusParams, Parameters, check_parameters
from gecko_kedro.pipeline_registry import register_pipelines
from gecko_kedro.pipelines.estimate import nodes
from gecko_kedro.pipelines.estimate.asking import measure_teacher
from gecko_kedro.pipelines.estimate.calibration import (
    measure_corpus,
    measure_encoder,
    measure_search,
    measure_training,
)
from gecko_kedro.pipelines.estimate.plan import plan_run, training_examples
from gecko_kedro.pipelines.synthesize import nodes as synthesize
from gecko_kedro.teacher import build_teacher
from tests.support.tiny_encoder import tiny_encoder
from tests.test_params import CONF, load

PROMPTS = yaml.safe_load((CONF / "prompts" / "gecko.yml").read_text("utf-8"))
TOPICS = ("bread", "tea", "salt", "honey", "plums", "rice", "soup", "beans")


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    """Those of the test environment, with a tiny encoder."""
    values = load("test")
    tiny_encoder().save(str(tmp_path / "tiny"))
    values["encoder"]["load"] |= {"reference": str(tmp_path / "tiny"), "max_seq_length": 32}
    values["mine"]["embed"]["max_seq_length"] = 32
    for stage in ("mine", "pretrain", "finetune"):
        values[stage]["train"]["loss"]["matryoshka_dims"] = []
    return values


@pytest.fixture
def known(parameters: dict[str, Any]) -> Parameters:
    return check_parameters(parameters)


def documents() -> pl.DataFrame:
    rows = [
        {
            "doc_id": f"d{n}{topic}",
            "title": topic.title(),
            "text": f"How {topic} number {n} is kept in the {TOPICS[n]} house. Dry, dark and cool, "
            f"never beside the {topic} stove in summer, and turned every {n + 2} weeks.",
            "group": topic,
        }
        for n in range(4)
        for topic in TOPICS
    ]
    table = pl.DataFrame(rows)
    others = {name: kind for name, kind in DOCUMENT_SCHEMA.items() if name not in table.columns}
    return table.with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in others.items()
    ).select(list(DOCUMENT_SCHEMA))


def measured_corpus(params: CorpusParams) -> tuple[Any, pl.DataFrame]:
    passages = params.passages.model_copy(update={"near_duplicate_threshold": None})
    loose = params.model_copy(update={"passages": passages})
    return measure_corpus(documents(), sample=1000, params=loose)


def prepared(known: Parameters, store: Path) -> fret.PreparedTeacher:
    return fret.PreparedTeacher(
        teacher=known.teacher, prompts=PROMPTS, engine=known.engine, store=store
    )


def ask(passages: pl.DataFrame, known: Parameters, store: Path, **changes: Any) -> Any:
    given = {"queries": 3, "n_candidates": 4} | changes
    return measure_teacher(
        passages, empty_table(QUERY), prepared=prepared(known, store), synthesize=known.synthesize,
        relabel=known.relabel, **given,
    )  # fmt: skip


def test_the_stages_of_an_estimate_are_nodes_of_the_road(
    known: Parameters, parameters: dict[str, Any], tmp_path: Path
) -> None:
    corpus_measure, passages = measured_corpus(known.corpus)
    encoding = measure_encoder(
        passages, texts=8, load=known.encoder.load,
        max_seq_length=known.mine.embed.max_seq_length, seed=1,
    )  # fmt: skip
    teaching, queries = ask(passages, known, tmp_path)
    examples = training_examples(passages, queries, kinds=known.corpus.pairs.kinds, rows=3)
    training = {
        "mine": measure_training(
            examples["mine"],
            known.encoder.load,
            known.encoder.train,
            settings=known.mine.train,
            loss="in_batch",
        ),
        "finetune": measure_training(
            examples["finetune"],
            known.encoder.load,
            known.encoder.train,
            settings=known.finetune.train,
            loss="gecko",
        ),
    }
    training["pretrain"] = training["mine"]
    searching = measure_search(
        dimension=encoding.dimension, dtype="float32", settings=known.mine.search, seed=1
    )
    measures = Measures(corpus_measure, encoding, searching, teaching, training)
    estimate = plan_run(measures, logged=0, prices=known.teacher.prices, parameters=parameters)
    names = {node.name for node in register_pipelines()["__default__"].nodes}
    assert set(estimate.content["stages"]) <= names
    assert all(stage["seconds"] > 0 for stage in estimate.content["stages"].values())
    assert all(stage["memory"] > 0 for stage in estimate.content["stages"].values())
    assert estimate.content["all"]["usage"]["calls"] > 0
    assert len(estimate.text.splitlines()) == 2 + len(names & set(estimate.content["stages"])) + 1


def large_corpus() -> corpus.Checked:
    """More documents than the estimate reads, of two passages each, in twenty groups."""
    sentences = [f"Room {n} of the {TOPICS[n % 8]} store is kept dry and cool." for n in range(600)]
    rows = [
        {"doc_id": f"d{n}", "title": f"Store {n}", "group": f"g{n % 20}",
         "text": f"{sentences[n]} It has {n + 3} shelves.\n\nVisitor {n} asked for {TOPICS[n % 8]} "
                 f"and paid {n + 7} coins for it."}
        for n in range(600)
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema_overrides=DOCUMENT_SCHEMA)
    others = [pl.lit(None, dtype=DOCUMENT_SCHEMA[name]).alias(name)
              for name in DOCUMENT_SCHEMA if name not in table.columns]  # fmt: skip
    documents = table.with_columns(others).select(list(DOCUMENT_SCHEMA))
    return corpus.Checked(documents, QUARANTINE_SCHEMA.to_frame(), {})


@pytest.mark.parametrize(("corpus_seed", "max_passages"), [(7, None), (7, 900), (3, 900)])
def test_the_replies_of_an_estimate_are_some_of_those_that_the_run_asks_for(
    known: Parameters,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    corpus_seed: int,
    max_passages: int | None,
) -> None:
    chunks = {"min_words": 4, "max_words": 14, "near_duplicate_threshold": None}
    update = {
        "passages": known.corpus.passages.model_copy(update=chunks | {"seed": corpus_seed}),
        "heldout": known.corpus.heldout.model_copy(
            update={"seed": corpus_seed, "max_passages": max_passages}
        ),
    }
    corpus_params = known.corpus.model_copy(update=update)
    documents, drawing = large_corpus(), known.synthesize.sample
    sample, measure = nodes.sample_documents(
        documents, corpus_params.model_dump(), drawing.n_seeds, 10, 5
    )
    assert 10 < measure["sampled_documents"] < documents.rows.height / 2
    # The lexical stand-in is another one for each corpus that it is fitted on; an LLM is not.
    texts = sample["text"]
    monkeypatch.setattr(fret.prepared, "build_teacher", lambda settings, **given: build_teacher(
        settings, **(given | {"texts": texts})
    ))  # fmt: skip
    ask(sample, known, tmp_path, queries=5)

    made, _, _ = synthesize.read_passages(documents, corpus_params.passages)
    passages, _ = synthesize.split_passages(made, corpus_params.heldout)
    seeds = synthesize.sample_seeds(passages, None, "join", drawing)
    assert seeds.height == drawing.n_seeds
    teacher = build_teacher(known.teacher, texts=texts, store=tmp_path)
    fret.synthesize_queries(
        seeds, teacher=teacher, prompts=fret.Prompts.model_validate(PROMPTS),
        settings=known.synthesize.write,
    )  # fmt: skip
    assert teacher.usage.generate.hits == 5
    assert teacher.usage.generate.calls == seeds.height - 5


def test_a_trial_on_fewer_seeds_is_a_part_of_the_run(known: Parameters) -> None:
    _, passages = measured_corpus(known.corpus)
    trial, whole = (
        synthesize.sample_seeds(passages, None, "join", fret.SampleSettings(n_seeds=n))
        for n in (6, 20)
    )
    assert trial.height == 6
    assert trial["passage_id"].is_in(whole["passage_id"].implode()).all()


def test_every_kind_of_call_of_the_run_is_measured(known: Parameters, tmp_path: Path) -> None:
    _, passages = measured_corpus(known.corpus)
    measure, _ = ask(passages, known, tmp_path)
    assert set(measure.calls) == {
        "generate", "query_log_likelihood", "label_log_likelihood"
    }  # fmt: skip


def test_a_second_estimate_pays_nothing_and_keeps_the_rate_of_the_first(
    known: Parameters, tmp_path: Path
) -> None:
    _, passages = measured_corpus(known.corpus)
    first, _ = ask(passages, known, tmp_path)
    second, _ = ask(passages, known, tmp_path)
    assert second.calls.keys() == first.calls.keys()
    for kind, call in second.calls.items():
        assert call.prompt_tokens == first.calls[kind].prompt_tokens
        assert call.seconds == pytest.approx(first.calls[kind].seconds)


def test_a_query_log_in_place_of_synthesis_is_judged_and_nothing_is_written(
    known: Parameters, tmp_path: Path
) -> None:
    _, passages = measured_corpus(known.corpus)
    log = pl.DataFrame({"query_id": ["1", "2"], "query": ["dry salt", "cool tea"]})
    measure, judged = measure_teacher(
        passages, fret.as_queries(log, task_name="search result"), queries=8, n_candidates=4,
        prepared=prepared(known, tmp_path), synthesize=known.synthesize,
        relabel=known.relabel,
    )  # fmt: skip
    assert "generate" not in measure.calls
    assert judged["query_id"].to_list() == ["1", "2"]


def test_training_is_measured_without_a_trace(known: Parameters, tmp_path: Path) -> None:
    _, passages = measured_corpus(known.corpus)
    _, queries = ask(passages, known, tmp_path / "store")
    examples = training_examples(passages, queries, kinds=known.corpus.pairs.kinds, rows=3)
    assert examples["finetune"]["negatives"].list.len().to_list() == [1] * 3
    before = sorted(tmp_path.rglob("*"))
    measure = measure_training(
        examples["finetune"], known.encoder.load, known.encoder.train,
        settings=known.finetune.train, loss="gecko",
    )  # fmt: skip
    assert measure.row_seconds > 0
    assert sorted(tmp_path.rglob("*")) == before
