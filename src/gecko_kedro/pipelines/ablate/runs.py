"""Training and scoring of the rows of an ablation, each result kept as soon as it is there."""

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation, training
from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.progress import Progress
from gecko_kedro.datasets import TableDataset
from gecko_kedro.encoder.formatting import TEMPLATES
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.ablation import RESULT_SCHEMA, main_scores, result_table
from gecko_kedro.evaluation.comparing.settings import AblationRow, AblationSettings
from gecko_kedro.evaluation.scoring.under_test import TemplatesName
from gecko_kedro.params import FinetuneParams, RelabelParams, RowParams
from gecko_kedro.pipelines.ablate.rows import Mixtures, seeded
from gecko_kedro.training.checkpoints import remove_checkpoints
from gecko_kedro.training.settings import EncoderTraining

logger = logging.getLogger(__name__)
_KEYS = ("task", "metric", "dimension")


@dataclass(frozen=True)
class Bench:
    """What all rows share: where they start from, what they are scored on, and where it lies.

    ``store`` holds one Parquet file (RESULT_SCHEMA) for each trained model, named after a digest of
    all that shapes it: mixture, settings, templates, starting weights, tasks. So a changed row
    trains anew, the others do not, and rows that come to the same thing are trained once.
    """

    pretrained: str
    tasks: Sequence[evaluation.Task]
    load: LoadSettings
    training: EncoderTraining
    dims: tuple[int, ...]  # the largest and the smallest that evaluate scores
    checkpoints: Path
    cache: Path
    store: Path

    def templates(self, row: AblationRow) -> TemplatesName:
        """The name of those that a row is trained and scored with."""
        return row.templates or self.training.templates

    def under_test(self, reference: str, templates: TemplatesName) -> evaluation.EncoderUnderTest:
        """A model as evaluate would score it."""
        return evaluation.EncoderUnderTest(
            "ablation", self.load.of(reference), templates=templates, dims=self.dims
        )

    def key(self, row: AblationRow, known: RowParams, examples: pl.DataFrame, start: str) -> str:
        """The digest that a result goes by; ``start`` is the revision of the pretrained encoder."""
        shaping = [
            known.finetune.train.that_shape_the_result(),
            written.model_dump() if (written := TEMPLATES.get(self.templates(row))) else "own",
            start,
            self.dims,
            [self.load.bidirectional, self.load.width],
            self.training.model_dump(mode="json"),
            [(task.name, task.digest) for task in self.tasks],
        ]
        digest = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode())
        for example in examples.iter_rows():
            digest.update(json.dumps(example).encode())
        return digest.hexdigest()[:16]

    def stored(self, key: str) -> pl.DataFrame | None:
        """The result that goes by ``key``, if it is there."""
        file = self._file(key)
        return file.read() if file.exists() else None

    def train_and_score(
        self, row: AblationRow, known: RowParams, examples: pl.DataFrame, key: str
    ) -> pl.DataFrame:
        """Fine-tune the pretrained encoder on ``examples``, score it, and store the result.

        A killed training goes on from its last checkpoint. A task that fails is reported and has no
        score; where none has one the run stops.
        """
        from gecko_kedro.encoder.saving import save_encoder

        # One name for a seed in all rows: MLflow then draws their losses in one chart.
        name = f"ablate_seed_{known.finetune.train.seed}"
        model = self.load.load(self.pretrained, for_training=True)
        how = self.training.options(
            model, settings=known.finetune.train, checkpoints=self.checkpoints
        )
        if row.templates is not None:
            how["templates"] = TEMPLATES[row.templates]
        result = training.train_encoder(model, examples, loss="gecko", name=name, **how)
        with tempfile.TemporaryDirectory(prefix="gecko-ablate-") as folder:
            save_encoder(result.model, Path(folder) / "encoder")
            encoder = self.under_test(f"{folder}/encoder", self.templates(row))
            scores = evaluation.evaluate_encoder(encoder, self.tasks, cache_root=self.cache)
        if scores.scores.is_empty():
            raise InputError(
                "ablate.run.tasks",
                expected="at least one task that can be scored",
                got=scores.failures["error"].to_list(),
                fix="Name local tasks in evaluate.tasks, or hold out part of the corpus.",
            )
        table = result_table(scores, examples=examples.height, steps=int(result.metrics["steps"]))
        self._file(key).save(table)
        remove_checkpoints(self.checkpoints, name)
        return table

    def _file(self, key: str) -> TableDataset:
        schema = "gecko_kedro.evaluation.comparing.ablation.RESULT_SCHEMA"
        return TableDataset(filepath=str(self.store / f"{key}.parquet"), schema=schema)


@dataclass(frozen=True)
class Planned:
    """One training: its row, seed and parameters, and the digest that its result goes by."""

    name: str
    row: AblationRow
    known: RowParams
    key: str

    @property
    def seed(self) -> int:
        """Of mixture, batches and draws."""
        return self.known.finetune.train.seed


def plan_runs(
    rows: Mapping[str, AblationRow],
    mixtures: Mixtures,
    bench: Bench,
    *,
    relabel: RelabelParams,
    finetune: FinetuneParams,
    settings: AblationSettings,
) -> list[Planned]:
    """Every training of ``rows``, in order, before the first: what cannot be done is said now."""
    planned = []
    start = bench.under_test(bench.pretrained, "gecko").revision()
    for name, row in rows.items():
        for seed in settings.seeds:
            known = seeded(name, row, seed, relabel=relabel, finetune=finetune, settings=settings)
            key = bench.key(row, known, mixtures.examples(known), start)
            planned.append(Planned(name, row, known, key))
    return planned


def run_planned(planned: Sequence[Planned], mixtures: Mixtures, bench: Bench) -> pl.DataFrame:
    """RESULT_SCHEMA of all trainings behind the columns ``row`` and ``seed``.

    Each row is a part of the run (an MLflow run of its own): its parameters, the score of each
    seed, their mean and deviation.
    """
    tables = [pl.DataFrame(schema={"row": pl.String(), "seed": pl.Int64(), **RESULT_SCHEMA})]
    with Progress("run_ablations", total=len(planned), unit="training") as progress:
        for name, runs in groupby(planned, key=attrgetter("name")):
            of_row = list(runs)
            with events.part(name, _shown_parameters(of_row)):
                results = []
                for run in of_row:
                    results.append(_result(run, mixtures, bench))
                    _report_seed(run, results[-1])
                    progress.advance(note=name)
                _report_spread(results)
            tables += [
                result.with_columns(row=pl.lit(name), seed=pl.lit(run.seed, pl.Int64)).select(
                    tables[0].columns
                )
                for run, result in zip(of_row, results, strict=True)
            ]
    return pl.concat(tables)


def _result(run: Planned, mixtures: Mixtures, bench: Bench) -> pl.DataFrame:
    stored = bench.stored(run.key)
    if stored is not None:
        return stored
    logger.info("run_ablations: training %s, seed %d", run.name, run.seed)
    return bench.train_and_score(run.row, run.known, mixtures.examples(run.known), run.key)


def _shown_parameters(runs: Sequence[Planned]) -> dict[str, Any]:
    """What a row's own MLflow run says of it."""
    first = runs[0]
    return {
        "row": first.name,
        "seeds": [run.seed for run in runs],
        **first.row.model_dump(exclude={"overrides"}),
        "changes": first.row.overrides or "none",
        "relabel": first.known.relabel.model_dump(
            mode="json", exclude={"choose": {"seed"}, "audit": True}
        ),
        "finetune": first.known.finetune.model_dump(mode="json", exclude={"sources"}),
    }


def _report_seed(run: Planned, result: pl.DataFrame) -> None:
    """Main scores of one trained model; the step is the seed."""
    values = {_metric(score): score["score"] for score in main_scores(result).to_dicts()}
    events.emit("scores", run.seed, values)
    shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    logger.info("run_ablations: %s, seed %d: %s", run.name, run.seed, shown)


def _report_spread(results: Sequence[pl.DataFrame]) -> None:
    """Mean and sample standard deviation over the seeds of one row."""
    scores = pl.concat(map(main_scores, results)).group_by(_KEYS, maintain_order=True)
    for one in scores.agg(mean=pl.col("score").mean(), deviation=pl.col("score").std()).to_dicts():
        for name in ("mean", "deviation"):
            if one[name] is not None:
                events.emit(name, 0, {_metric(one): one[name]})


def chosen_tasks(
    tasks: Sequence[evaluation.Task], names: Sequence[str] | None
) -> list[evaluation.Task]:
    """The tasks of these names, or all; a name that is none of them raises InputError."""
    known = {task.name: task for task in tasks}
    if names is None:
        return list(tasks)
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            "ablate.run.tasks",
            expected="names of tasks that evaluate is told to run",
            got=unknown,
            fix=f"Known: {', '.join(known)}.",
        )
    return [known[name] for name in names]


def _metric(score: dict[str, Any]) -> str:
    return f"{score['task']}.{score['dimension']}.{score['metric']}".replace(" ", "_")
