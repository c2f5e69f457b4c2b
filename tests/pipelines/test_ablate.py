"""Ablation rows: the same functions as the road's, a store that is resumed, nested reports."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from gecko_kedro import evaluation
from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import PAIR_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.ablation import main_scores
from gecko_kedro.evaluation.comparing.settings import AblationRow, AblationRows, AblationSettings
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.fret.schemas import CANDIDATE, JUDGEMENT, QUERY, table
from gecko_kedro.params import FinetuneParams, RelabelParams
from gecko_kedro.pipelines.ablate import runs
from gecko_kedro.pipelines.ablate.rows import (
    Material,
    Mixtures,
    row_fret,
    seeded,
    unequal_queries,
    without_material,
)
from gecko_kedro.pipelines.relabel import nodes as relabel_nodes
from gecko_kedro.training import EXAMPLE_SCHEMA
from gecko_kedro.training.settings import EncoderTraining
from tests.support.small_training import SETTINGS
from tests.support.tiny_encoder import tiny_encoder

BASE = Path(__file__).resolve().parents[2] / "conf" / "base"
WORDS = ("yeast", "lamp", "bridge", "comet", "tulip", "anvil", "otter", "canal")


def as_they_are(examples: pl.DataFrame) -> pl.DataFrame:
    """In place of decontamination."""
    return examples


def parameters(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((BASE / f"parameters/{name}.yml").read_text("utf-8"))
    return raw[name]


RELABEL = RelabelParams.model_validate(
    parameters("relabel") | {"rankers": ["query_likelihood", "relevance"]}
)
TRAIN = SETTINGS.model_copy(update={"max_steps": 2, "epochs": 1})
FINETUNE = FinetuneParams.model_validate(
    parameters("finetune")
    | {"train": TRAIN.model_dump(), "mix": {"rates": {"fret": 1, "natural_pairs": 0}}}
)
ROWS = AblationRows(rows=["recipe", "seed_none"], definitions=parameters("ablate")["definitions"])
RUN = AblationSettings(seeds=[1, 2], max_rows=None)


@pytest.fixture(scope="module")
def material() -> Material:
    """Each word has a passage and two queries; QL and RC disagree on the best candidate."""
    ids = [f"p{n}" for n in range(len(WORDS))]
    passages = pl.DataFrame(
        {"passage_id": ids, "title": [None] * len(ids), "text": [f"of a {w}" for w in WORDS]},
        schema={"passage_id": pl.String, "title": pl.String, "text": pl.String},
    )
    queries, candidates, judgements = [], [], []
    for n in range(2 * len(WORDS)):
        query_id, own = f"q{n:02}", n % len(WORDS)
        queries.append(
            {"query_id": query_id, "task": "Find it", "task_name": "search result",
             "query": f"what is {WORDS[own]} {n}", "passage_id": ids[own], "origin": "synthetic"}
        )  # fmt: skip
        for place in range(4):
            passage_id = ids[(own + place) % len(WORDS)]
            both = {"query_id": query_id, "passage_id": passage_id}
            candidates.append({**both, "retriever_rank": place + 1, "is_seed": place == 0,
                               "retriever_score": 0.9 - place / 10})  # fmt: skip
            judgements.append(
                {**both, "query_likelihood": -float((place - 1) ** 2),
                 "label_log_likelihoods": [-1.0, -float((place - 2) ** 2)],
                 "query_cut": False, "passage_cut": False}
            )  # fmt: skip
    return Material(
        table(queries, QUERY), passages, table(candidates, CANDIDATE),
        table(judgements, JUDGEMENT), PAIR_SCHEMA.to_frame(), None, EXAMPLE_SCHEMA.to_frame(),
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A bench with a tiny encoder, and what is needed to run rows on it."""

    bench: runs.Bench
    material: Material

    def run(self, settings: AblationSettings = RUN, **rows: AblationRow) -> pl.DataFrame:
        chosen = rows or ROWS.chosen()
        mixtures = Mixtures(self.material, FINETUNE, self.bench.load, as_they_are)
        planned = runs.plan_runs(
            chosen, mixtures, self.bench, relabel=RELABEL, finetune=FINETUNE, settings=settings
        )
        return runs.run_planned(planned, mixtures, self.bench)


@pytest.fixture
def place(material: Material, tmp_path: Path) -> Place:
    tiny_encoder().save(str(tmp_path / "tiny"))
    load = LoadSettings(
        reference=str(tmp_path / "tiny"), device="cpu", dtype="float32", max_seq_length=32
    )
    task = RetrievalData(
        "own",
        material.passages.select(pl.col("passage_id").alias("id"), "title", "text"),
        material.queries.select(pl.col("query_id").alias("id"), pl.col("query").alias("text"),
                                pl.col("passage_id").alias("group")),
        material.queries.select("query_id", "passage_id", pl.lit(1, pl.Int64).alias("score")),
    )  # fmt: skip
    folders = [tmp_path / name for name in ("checkpoints", "cache", "store")]
    bench = runs.Bench(str(tmp_path / "tiny"), [task], load, EncoderTraining(), (32, 8), *folders)
    return Place(bench, material)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of all real trainings, in order."""
    seen: list[int] = []
    original = runs.Bench.train_and_score

    def watched(bench: runs.Bench, row: Any, known: Any, examples: Any, key: str) -> pl.DataFrame:
        seen.append(known.finetune.train.seed)
        return original(bench, row, known, examples, key)

    monkeypatch.setattr(runs.Bench, "train_and_score", watched)
    return seen


def row_of(name: str) -> AblationRow:
    return ROWS.definitions[name]


def resolved(name: str, seed: int = 1) -> Any:
    return seeded(name, row_of(name), seed, relabel=RELABEL, finetune=FINETUNE, settings=RUN)


def test_the_recipe_makes_the_fret_of_relabel(material: Material) -> None:
    rankings = relabel_nodes.fuse_rankings(
        material.candidates, material.judgement_shards, RELABEL.rankers, RELABEL.fuse
    )
    refused = QUARANTINE_SCHEMA.to_frame()
    expected, _ = relabel_nodes.choose_examples(
        rankings, material.queries, material.passages, refused, RELABEL.choose
    )
    assert row_fret(material, resolved("recipe").relabel).equals(expected)
    assert expected.height == material.queries.height


@pytest.mark.parametrize(
    ("name", "positive", "negative"),
    [
        # Candidates p0 to p3 of query 0: QL prefers p1, RC p2; fused, p1 by the retriever's rank.
        ("recipe", "p1", "p3"),
        ("relabelled_none", "p1", None),
        ("seed_none", "p0", None),
        ("seed_last", "p0", "p3"),
        ("query_likelihood", "p1", "p3"),
        ("relevance", "p2", "p3"),  # its last is the seed, which is passed over
    ],
)
def test_a_row_has_its_own_positives_and_negatives(
    material: Material, name: str, positive: str, negative: str | None
) -> None:
    first = row_fret(material, resolved(name).relabel).row(0, named=True)
    assert first["positive_id"] == positive
    assert first["negative_id"] == negative


def test_sampled_negatives_are_drawn_by_the_seed_and_nothing_else_is(material: Material) -> None:
    def negatives(name: str, seed: int) -> list[str]:
        return row_fret(material, resolved(name, seed).relabel)["negative_id"].to_list()

    assert negatives("seed_sampled", 1) != negatives("seed_sampled", 2)
    assert negatives("seed_sampled", 1) == negatives("seed_sampled", 1)
    assert negatives("recipe", 1) == negatives("recipe", 2)


def test_a_share_of_fret_is_that_many_rows(material: Material, place: Place) -> None:
    mixtures = Mixtures(material, FINETUNE, place.bench.load, as_they_are)
    shares = {"fret_100": 16, "fret_50": 8, "fret_25": 4}
    assert {name: mixtures.examples(resolved(name)).height for name in shares} == shares


def test_max_rows_cuts_all_sets_to_the_same_share(material: Material) -> None:
    pairs = pl.DataFrame([{"pair_id": f"n{n}", "query": "q", "text": "t"} for n in range(32)])
    whole = replace(material, natural_pairs=pairs)
    cut = whole.cut(4)
    assert cut.queries.height == 4
    assert cut.natural_pairs.height == 8
    assert whole.cut(None) is whole
    assert whole.cut(4).queries.equals(cut.queries)
    assert row_fret(cut, RELABEL).height == 4


def test_max_steps_shortens_every_training() -> None:
    known = seeded(
        "recipe", row_of("recipe"), 1, relabel=RELABEL, finetune=FINETUNE,
        settings=AblationSettings(max_steps=1),
    )  # fmt: skip
    assert known.finetune.train.max_steps == 1


def test_the_label_mask_is_left_out_where_nothing_is_classified(
    material: Material, tmp_path: Path
) -> None:
    rows = {"label_mask": row_of("label_mask"), "recipe": row_of("recipe")}
    left_out = without_material(rows, material, FINETUNE)
    assert set(left_out) == {"label_mask"}
    assert "classification" in left_out["label_mask"]
    assert not without_material(rows, material, with_intents(tmp_path))


def test_rows_of_the_seed_passage_need_queries_that_have_one(material: Material) -> None:
    rows = {name: row_of(name) for name in ("recipe", "seed_none", "relabelled_none")}
    logged = pl.when(pl.int_range(pl.len()) < 4).then(None).otherwise("passage_id")
    some = replace(material, queries=material.queries.with_columns(passage_id=logged))
    none = replace(
        material, queries=material.queries.with_columns(passage_id=pl.lit(None, pl.String))
    )
    assert not without_material(rows, some, FINETUNE)
    assert unequal_queries(rows, some) == {
        "seed_none": "without 4 of 16 queries, which have no seed passage"
    }
    assert not unequal_queries(rows, material)
    assert set(without_material(rows, none, FINETUNE)) == {"seed_none"}


def with_intents(folder: Path) -> FinetuneParams:
    texts = [f"{label},{label} number {n}" for label in ("play", "stop") for n in range(6)]
    (folder / "intents.csv").write_text("label,text\n" + "\n".join(texts), "utf-8")
    source = {
        "name": "intents", "data": str(folder / "intents.csv"), "converter": "classification",
        "columns": {"text": "text", "label": "label"}, "task": "classification", "symmetric": True,
    }  # fmt: skip
    return FinetuneParams.model_validate(FINETUNE.model_dump() | {"sources": [source]})


def test_the_label_mask_reads_the_same_rows_without_ids(
    material: Material, place: Place, tmp_path: Path
) -> None:
    finetune = with_intents(tmp_path)
    made = {}
    for name in ("recipe", "label_mask"):
        known = seeded(name, row_of(name), 1, relabel=RELABEL, finetune=finetune, settings=RUN)
        source = runs.training.read_source(finetune.sources[0], seed=finetune.mix.seed)
        whole = replace(material, source_examples=source.rows)
        examples = Mixtures(whole, finetune, place.bench.load, as_they_are).examples(known)
        made[name] = examples.filter(dataset="intents")
    with_ids, masked = made["recipe"], made["label_mask"]
    assert with_ids.height == masked.height == 12
    assert with_ids["label"].is_null().all()
    assert masked["label"].to_list() == ["play"] * 6 + ["stop"] * 6
    bare = [text.rpartition(" ")[0] for text in with_ids["query"]]
    assert masked["query"].to_list() == bare


def test_what_the_store_has_is_not_trained_again(place: Place, trained: list[int]) -> None:
    first = place.run()
    assert trained == [1, 2, 1, 2]
    again = place.run()
    assert trained == [1, 2, 1, 2]
    assert again.equals(first)
    assert main_scores(first).select("row", "seed", "dimension").rows() == [
        (row, seed, dimension)
        for row in ("recipe", "seed_none")
        for seed in (1, 2)
        for dimension in (32, 8)
    ]


def test_a_stopped_run_goes_on_with_what_is_missing(
    place: Place, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluation.evaluate_encoder
    calls = iter([True, True, False])

    def stopped(*arguments: Any, **options: Any) -> Any:
        if not next(calls):
            raise KeyboardInterrupt
        return whole(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "evaluate_encoder", stopped)
        with pytest.raises(KeyboardInterrupt):
            place.run()
    assert trained == [1, 2, 1]
    results = place.run()
    assert trained == [1, 2, 1, 1, 2]  # the first row is there; the second from its checkpoint on
    assert main_scores(results)["row"].unique(maintain_order=True).to_list() == [
        "recipe", "seed_none",
    ]  # fmt: skip
    assert not [file for file in place.bench.checkpoints.rglob("*") if file.is_file()]


def test_a_changed_row_trains_alone(place: Place, trained: list[int]) -> None:
    rows = {"recipe": row_of("recipe"), "other": row_of("seed_none")}
    place.run(**rows)
    changed = rows["other"].model_copy(
        update={"overrides": {"finetune.train.loss.same_tower": False}}
    )
    place.run(recipe=rows["recipe"], other=changed)
    assert trained == [1, 2, 1, 2, 1, 2]


def test_rows_that_come_to_the_same_thing_are_trained_once(
    place: Place, trained: list[int]
) -> None:
    results = place.run(recipe=row_of("recipe"), relabelled_last=row_of("relabelled_last"))
    assert trained == [1, 2]
    scores = main_scores(results)
    same = [scores.filter(row=name)["score"].to_list() for name in ("recipe", "relabelled_last")]
    assert same[0] == same[1]


def test_another_format_is_read_in_training_and_evaluation(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gecko_kedro.evaluation.scoring import mteb_models

    seen: list[str] = []
    whole = mteb_models.encode_texts

    def watched(model: Any, texts: list[str], **options: Any) -> Any:
        seen.extend(texts)
        return whole(model, texts, **options)

    monkeypatch.setattr(mteb_models, "encode_texts", watched)
    place.run(
        AblationSettings(seeds=[1], max_rows=None),
        format_concatenated=row_of("format_concatenated"),
    )
    assert "search result what is yeast 0" in seen
    assert not [text for text in seen if "query:" in text or "title:" in text]


def test_each_row_is_a_part_of_the_run_with_its_scores(place: Place) -> None:
    seen: list[tuple[Any, ...]] = []
    current: list[str] = []

    @contextmanager
    def part(name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        current.append(name)
        seen.append(("part", name, parameters["relabel"]["choose"]["negative"]))
        yield
        current.pop()

    def note(name: str, step: int, values: Mapping[str, float]) -> None:
        if name in {"scores", "mean", "deviation"}:
            seen.append((current[-1], name, step, sorted(values)))

    stop = events.subscribe_parts(part)
    with events.listening(note):
        place.run()
    stop()
    wide, narrow = "own.32.ndcg_at_10", "own.8.ndcg_at_10"
    assert seen[0] == ("part", "recipe", "last")
    assert seen[1:3] == [("recipe", "scores", seed, [wide, narrow]) for seed in (1, 2)]
    assert ("recipe", "mean", 0, [wide]) in seen
    assert ("recipe", "deviation", 0, [narrow]) in seen
    assert ("part", "seed_none", "none") in seen


def test_a_task_that_is_not_there_is_answered_with_those_that_are(place: Place) -> None:
    assert runs.chosen_tasks(place.bench.tasks, None) == list(place.bench.tasks)
    assert runs.chosen_tasks(place.bench.tasks, ["own"]) == list(place.bench.tasks)
    with pytest.raises(InputError, match="Known: own"):
        runs.chosen_tasks(place.bench.tasks, ["heldout"])
