"""Stages that have nothing to do are skipped and say so; nothing at all is an error that says why.

Documents of one sentence without titles give no natural pairs; a query log has no seeds.
"""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from gecko_kedro import corpus, evaluation, fret
from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import PAIR_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.corpus.settings import DecontaminateSettings
from gecko_kedro.encoder import save_encoder
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.scoring.settings import ScoreSettings
from gecko_kedro.evaluation.tasks.settings import SelectSettings
from gecko_kedro.fret.schemas import CANDIDATE, FRET, JUDGEMENT, QUERY
from gecko_kedro.pipelines.evaluate import content
from gecko_kedro.pipelines.evaluate import nodes as evaluate
from gecko_kedro.pipelines.finetune import nodes as finetune
from gecko_kedro.pipelines.mine import nodes as mine
from gecko_kedro.pipelines.pretrain import nodes as pretrain
from gecko_kedro.pipelines.relabel import nodes as relabel
from gecko_kedro.pipelines.synthesize import nodes as synthesize
from gecko_kedro.teacher import TeacherSettings
from gecko_kedro.training import EXAMPLE_SCHEMA
from gecko_kedro.training.settings import (
    EncoderTraining,
    FinetuneTraining,
    MinedNegativesSettings,
    MixSettings,
    PretrainTraining,
    SeedRetrieverTraining,
    SelectPairsSettings,
)
from gecko_kedro.training.trainer import HISTORY_SCHEMA
from tests.support.conf import CONF, all_base_parameters
from tests.support.small_training import assert_equal_weights, examples, weights
from tests.support.tiny_encoder import tiny_encoder

NO_EXAMPLES = pl.DataFrame(schema=EXAMPLE_SCHEMA)
NO_TASKS = evaluation.ReadTasks([], pl.DataFrame(schema=QUARANTINE_SCHEMA))
HOW = EncoderTraining()


@pytest.fixture
def load(tmp_path: Path) -> LoadSettings:
    save_encoder(tiny_encoder(), tmp_path / "base")
    return LoadSettings(
        reference=str(tmp_path / "base"), device="cpu", dtype="float32", max_seq_length=32
    )


def trained(stage: str, load: LoadSettings, folder: Path) -> tuple[Any, pl.DataFrame, Any]:
    """Model, history and metrics of a stage that has no examples."""
    if stage == "seed_retriever":
        settings = SeedRetrieverTraining()
        made = mine.train_seed_retriever(NO_EXAMPLES, folder, load, HOW, "trained", settings)
        return *made, None
    if stage == "pretrain":
        return pretrain.pretrain_encoder(NO_EXAMPLES, folder, load, HOW, PretrainTraining())
    return finetune.finetune_encoder(
        load.reference, NO_EXAMPLES, folder, load, HOW, FinetuneTraining(), 3
    )


@pytest.mark.parametrize("stage", ["seed_retriever", "pretrain", "finetune"])
def test_without_examples_the_base_takes_the_place_of_a_trained_encoder(
    stage: str, load: LoadSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="gecko_kedro"):
        model, history, metrics = trained(stage, load, tmp_path / "checkpoints")
    assert_equal_weights(weights(model), weights(tiny_encoder()))
    assert history.equals(HISTORY_SCHEMA.to_frame())
    assert metrics in (None, {"examples": 0, "skipped": True})
    said = [line for line in caplog.messages if "skipped" in line]
    assert said == [f"{stage} is skipped: there are no examples, and the encoder stays as it is"]
    save_encoder(model, tmp_path / "saved")
    assert not (tmp_path / "checkpoints").exists()
    assert evaluation.plot_training(history, title=stage).data == ()


def test_sentences_without_titles_make_no_pairs_and_no_examples(load: LoadSettings) -> None:
    documents = pl.DataFrame(
        {"doc_id": ["a", "b"], "title": [None, None], "text": ["A kettle of steel.", "A lamp."],
         "group": ["a", "b"], "summary": [None, None]},
        schema_overrides={"title": pl.String, "summary": pl.String},
    )  # fmt: skip
    settings = corpus.PassageSettings(min_words=1)
    passages = corpus.make_passages(documents, settings).rows
    pairs, heldout, aside = synthesize.pair_passages(
        passages[:1], passages[1:], corpus.PairSettings()
    )
    assert pairs.is_empty()
    assert heldout.is_empty()
    assert aside.is_empty()
    chosen, _ = pretrain.select_pretrain_examples(pairs, {}, [], SelectPairsSettings())
    clean, overlaps = pretrain.decontaminate_pretrain_examples(
        chosen, heldout, None, NO_TASKS, load, DecontaminateSettings()
    )
    assert clean.equals(NO_EXAMPLES)
    assert overlaps.is_empty()


def test_without_labels_pairs_and_sources_there_is_nothing_to_fine_tune_on() -> None:
    sources, _ = finetune.collect_source_examples({}, [], LoadSettings(), MinedNegativesSettings())
    mixed, _ = finetune.mix_finetune_examples(
        pl.DataFrame(schema=FRET), pl.DataFrame(schema=PAIR_SCHEMA), None, sources, [],
        MixSettings(),
    )  # fmt: skip
    assert mixed.equals(NO_EXAMPLES)


def log_queries(*texts: str) -> pl.DataFrame:
    rows = [
        {"query_id": f"log:{n}", "task": "t", "task_name": "question answering", "query": text,
         "passage_id": None, "origin": "log"}
        for n, text in enumerate(texts)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=QUERY)


PASSAGES = pl.LazyFrame(
    {"passage_id": ["a"], "title": [None], "text": ["A lamp."]},
    schema_overrides={"title": pl.String},
)


def test_queries_of_a_log_alone_give_the_seed_retriever_no_examples() -> None:
    made, aside = mine.select_seed_examples(log_queries("which lamp"), PASSAGES)
    assert made.equals(NO_EXAMPLES)
    assert aside.is_empty()


def test_without_any_query_there_is_nothing_to_mine_for() -> None:
    with pytest.raises(InputError, match="no queries"):
        mine.select_seed_examples(log_queries(), PASSAGES)


def test_labels_of_which_none_is_left_are_described_all_the_same() -> None:
    queries, passages = log_queries("which lamp"), PASSAGES.collect()
    rankers: list[fret.Ranker] = ["query_likelihood", "relevance"]
    rankings = relabel.fuse_rankings(
        pl.DataFrame(schema=CANDIDATE), pl.DataFrame(schema=JUDGEMENT), rankers, fret.FuseSettings()
    )
    refused = pl.DataFrame(schema=QUARANTINE_SCHEMA)
    table, aside = relabel.choose_examples(
        rankings, queries, passages, refused, fret.ChooseSettings()
    )
    assert table.is_empty()
    assert aside["reason"].to_list() == ["no_candidates"]
    prompts, teacher = (
        yaml.safe_load((CONF / "prompts/gecko.yml").read_text("utf-8")),
        TeacherSettings(backend="lexical"),
    )
    card = relabel.describe_fret(
        table, prompts, "docs.jsonl", teacher, rankers, fret.JudgeSettings(), fret.FuseSettings(),
        fret.ChooseSettings(),
    )  # fmt: skip
    assert "docs.jsonl" in card
    samples, _ = relabel.sample_labels(rankings, table, passages, teacher, fret.AuditSettings())
    metrics, *_ = relabel.audit_labels(rankings, table, samples, refused, aside, prompts, teacher)
    assert metrics["examples"] == 0


def test_an_encoder_that_no_stage_has_trained_is_scored_with_its_own_prompts(
    load: LoadSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = FinetuneTraining(max_steps=1, max_seq_length=32, precision="fp32").model_copy(
        update={"loss": PretrainTraining().loss}
    )
    tuned, *_ = finetune.finetune_encoder(
        load.reference, examples(8), tmp_path / "checkpoints", load, HOW, training, 1
    )
    save_encoder(tuned, tmp_path / "tuned")
    seen: dict[str, str] = {}

    def scored(encoder: evaluation.EncoderUnderTest, *_: Any, **__: Any) -> Any:
        seen[encoder.name] = encoder.templates
        return evaluation.concat_scores([])

    monkeypatch.setattr(evaluation, "evaluate_encoder", scored)
    monkeypatch.setattr(evaluation, "evaluate_bm25", lambda *_, **__: evaluation.concat_scores([]))
    tables = evaluation.to_tables([])._asdict()
    evaluate.score_encoders(
        tables, NO_TASKS, load.reference, str(tmp_path / "tuned"), tmp_path, load, "gecko",
        ScoreSettings(),
    )  # fmt: skip
    assert seen == {"base": "own", "pretrained": "own", "gecko": "gecko"}


def test_own_data_are_enough_to_evaluate_on_and_nothing_at_all_is_not() -> None:
    heldout = pl.DataFrame(schema=PAIR_SCHEMA)
    data = evaluation.RetrievalData(
        "own",
        pl.DataFrame({"id": ["a"], "title": [None], "text": ["A lamp."]}).cast(
            {"title": pl.String}
        ),
        pl.DataFrame({"id": ["q"], "text": ["which lamp"], "group": ["q"]}),
        pl.DataFrame({"query_id": ["q"], "passage_id": ["a"], "score": [1]}),
        task="question answering",
    )
    own = evaluation.CheckedData(data, pl.DataFrame(schema=QUARANTINE_SCHEMA))
    tables, _ = evaluate.select_tasks(heldout, own, NO_TASKS, SelectSettings())
    assert tables["queries"]["task"].to_list() == ["own"]
    with pytest.raises(InputError, match="own queries and judgements"):
        evaluate.select_tasks(heldout, None, NO_TASKS, SelectSettings())


def test_card_and_report_say_which_stages_were_skipped() -> None:
    values = all_base_parameters()
    one = examples(1)
    facts = content.model_facts(NO_EXAMPLES, one, {}, values)
    assert facts.losses["pre-finetuning"] == "skipped: there were no examples"
    assert "equation 3" in facts.losses["fine-tuning"]
    assert facts.templates == "gecko"
    assert content.model_facts(NO_EXAMPLES, NO_EXAMPLES, {}, values).templates == "own"
    step = {"step": 1, "epoch": 1.0, "loss": 1.0, "learning_rate": 1.0, "grad_norm": None}
    shown = content.other_pipelines(
        {"training": {"Pre-finetuning": [], "Fine-tuning": [step]}, "corpus": {},
         "adaptation": {},
        "label_audit": {}, "forgetting": {}, "ablations": {}, "label_quality": []}
    )  # fmt: skip
    assert shown["notes"] == ["Pre-finetuning was skipped: there were no examples."]
