"""Scores of encoders and baselines on tasks, through mteb's own API and result cache."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gecko_kedro.base.files import atomic_path
from gecko_kedro.base.progress import Progress
from gecko_kedro.encoder.formatting import TEMPLATES
from gecko_kedro.evaluation.scoring.score_table import (
    BM25,
    FAILURES_SCHEMA,
    HYBRID,
    PER_QUERY_SCHEMA,
    RECORDS_SCHEMA,
    SCORES_SCHEMA,
    ScoreTable,
    concat_scores,
)
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.registered import unreachable
from gecko_kedro.evaluation.tasks.settings import TaskPrompt
from gecko_kedro.evaluation.tasks.task import Task

logger = logging.getLogger(__name__)

RANKED_TYPES = frozenset({"Retrieval", "Reranking"})  # what BM25 and the hybrid can do
_MORE_METRICS = ("recall_at_20", "mrr_at_10")  # of these, besides the main score
_SEED = 42  # of mteb's samples, the default of its AbsTask
_PACKAGES = (
    "mteb", "sentence-transformers", "transformers", "torch", "scikit-learn", "numpy", "bm25s",
)  # fmt: skip


def evaluate_encoder(
    encoder: EncoderUnderTest,
    tasks: Sequence[Task],
    *,
    cache_root: Path,
    hybrid_constant: float | None = None,
) -> ScoreTable:
    """Score ``encoder`` at each of its dimensions and precisions on each task.

    Texts are embedded once a task and cut for each dimension. With ``hybrid_constant`` BM25 is
    fused with the widest float32 vectors by reciprocal rank, as the model ``hybrid``. Finished
    results lie under ``cache_root`` and are not computed again for the same weights, templates and
    data; one that fails is reported in ``failures`` and leaves the others alone.
    """
    from gecko_kedro.evaluation.scoring.mteb_models import EmbedOnce

    embed, revision = EmbedOnce(encoder), encoder.revision()
    done: list[ScoreTable] = []
    with Progress(f"evaluate {encoder.name}", total=len(tasks), unit="task") as progress:
        for data in tasks:
            done += _evaluate_variants(
                encoder, data, revision, embed, cache_root=cache_root, constant=hybrid_constant
            )
            done.append(_recorded(data, **_facts(encoder, revision, data)))
            embed.forget()
            progress.advance()
    found = replace(concat_scores(done), encoded=embed.encoded)
    logger.info(
        "%s: %d results, %d failed or skipped, %d texts embedded", encoder.name,
        found.scores["main"].sum(), found.failures.height, embed.encoded,
    )  # fmt: skip
    return found


def evaluate_bm25(tasks: Sequence[Task], *, cache_root: Path) -> ScoreTable:
    """The lexical baseline on the retrieval and reranking tasks; its dimension is null."""
    from gecko_kedro.evaluation.scoring.mteb_models import Bm25Search

    found, row = [], {"model": BM25, "dimension": None}
    revision = Bm25Search().mteb_model_meta.revision
    for data in tasks:
        if data.type in RANKED_TYPES:
            found.append(_evaluate(Bm25Search, data, row, cache_root=cache_root))
            found.append(_recorded(data, model=BM25, reference="bm25s", model_revision=revision))
    return concat_scores(found)


def _evaluate_variants(
    encoder: EncoderUnderTest,
    data: Task,
    revision: str,
    embed: Any,
    *,
    cache_root: Path,
    constant: float | None,
) -> Iterator[ScoreTable]:
    """One result for each dimension and precision; data that cannot be fetched are tried once."""
    from gecko_kedro.evaluation.scoring.mteb_models import GeckoEncoder, HybridSearch, variant_name

    prompt = TaskPrompt(data.task, data.symmetric)
    how: dict[str, Any] = {"revision": revision, "embed": embed, "prompt": prompt}
    for precision, dimension in product(encoder.precisions, encoder.dims):
        made = partial(GeckoEncoder, encoder, dimension=dimension, precision=precision, **how)
        row = {"model": variant_name(encoder.name, precision), "dimension": dimension}
        found = _evaluate(made, data, row, cache_root=cache_root)
        if "skipped" in found.failures["status"]:
            everywhere = found.failures.with_columns(pl.lit(None, pl.Int64).alias("dimension"))
            yield replace(found, failures=everywhere)
            return
        yield found
    if constant is not None and data.type in RANKED_TYPES:
        dense = GeckoEncoder(encoder, dimension=max(encoder.dims), **how)
        fused = partial(HybridSearch, dense, constant=constant)
        whole = {"model": HYBRID, "dimension": None}
        yield _evaluate(fused, data, whole, cache_root=cache_root)
        yield _recorded(data, model=HYBRID, reference=f"{BM25} + {encoder.name}, k {constant:g}",
                        model_revision=revision)  # fmt: skip


def _evaluate(
    make_model: Callable[[], Any], data: Task, row: dict[str, Any], *, cache_root: Path
) -> ScoreTable:
    """One model on one task, from the cache where both of its files are there."""
    row = {**row, "task": data.name}
    try:
        return _scored(make_model(), data, row, cache_root=cache_root)
    # Whatever mteb, a data set or a model raises: the other results must not go with it.
    except Exception as error:
        return _failed(f"{type(error).__name__}: {error}", row)


def _scored(model: Any, data: Task, row: dict[str, Any], *, cache_root: Path) -> ScoreTable:
    import mteb

    from gecko_kedro.evaluation.scoring.items import score_items

    # mteb's cache does not look at the data: its digest in the path keeps other data's scores out.
    folder = cache_root / f"{data.name}-{data.digest}"
    meta = model.mteb_model_meta
    single_scores = folder / "per_query" / meta.name / f"{meta.revision}.parquet"
    task, results = data.to_mteb(), mteb.ResultCache(folder / "mteb")
    with _no_progress_bars():
        result = mteb.evaluate(
            model,
            task,
            cache=results,
            overwrite_strategy="only-missing" if single_scores.is_file() else "always",
            raise_error=False,
            co2_tracker=False,
            encode_kwargs={"batch_size": 256, "show_progress_bar": False},  # rows read at a time
            show_progress_bar=False,
            prediction_folder=folder,  # nothing is written: see KeepsPredictions
        )
    if result.exceptions:
        return _failed(str(result.exceptions[0].exception), row)
    # From the file, whose numbers are rounded: a later run must give the same table.
    finished = mteb.TaskResult.from_disk(results.get_task_result_path(data.name, meta))
    parts = [*chain.from_iterable(finished.scores.values())]
    main = task.metadata.main_score
    if getattr(task, "predictions", None) is not None or not single_scores.is_file():
        items = score_items(task, data.type, main, parts[0]) if len(parts) == 1 else []
        with atomic_path(single_scores) as temporary:
            table = pl.DataFrame([{**row, **item} for item in items], schema=PER_QUERY_SCHEMA)
            table.write_parquet(temporary)
    per_query = pl.read_parquet(single_scores, glob=False)
    return ScoreTable(_scores(data.type, main, parts, row), per_query)


def _scores(
    kind: str, main: str, parts: Sequence[Mapping[str, Any]], row: dict[str, Any]
) -> pl.DataFrame:
    """SCORES_SCHEMA: the mean of each metric over the subsets and splits."""
    more = _MORE_METRICS if kind in RANKED_TYPES else ()
    means = {main: [part["main_score"] for part in parts]}
    means |= {name: [part[name] for part in parts] for name in more if name in parts[0]}
    return pl.DataFrame(
        [
            {**row, "type": kind, "metric": name, "main": name == main,
             "score": float(np.mean(values))}
            for name, values in means.items()
        ],
        schema=SCORES_SCHEMA,
    )  # fmt: skip


def _failed(error: str, row: dict[str, Any]) -> ScoreTable:
    if skipped := unreachable(error):
        logger.warning("%s is skipped: its data cannot be fetched (%s)", row["task"], error)
    else:
        logger.error("%s failed on %s: %s", row["model"], row["task"], error)
    failure = {**row, "status": "skipped" if skipped else "failed", "error": error}
    return ScoreTable(failures=pl.DataFrame([failure], schema=FAILURES_SCHEMA))


def _facts(encoder: EncoderUnderTest, revision: str, data: Task) -> dict[str, Any]:
    with_template = encoder.templates in TEMPLATES
    return {
        "model": encoder.name,
        "reference": encoder.load.reference,
        "model_revision": revision,
        "templates": encoder.templates,
        "prompt": data.task if with_template else None,
        "symmetric": data.symmetric if with_template else None,
        "dtype": encoder.resolved_dtype(),
        "max_seq_length": encoder.load.max_seq_length,
        "device": encoder.load.device,
    }


def _recorded(data: Task, **facts: Any) -> ScoreTable:
    """One row of RECORDS_SCHEMA; a fact that is not given does not apply."""
    row = {"task": data.name, "type": data.type, "data_revision": data.revision, "seed": _SEED,
           "versions": _versions(), **facts}  # fmt: skip
    return ScoreTable(records=pl.DataFrame([row], schema=RECORDS_SCHEMA))


@cache
def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in _PACKAGES)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Silence the bars of ``datasets``: this room shows one of its own."""
    import datasets

    were_disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            datasets.enable_progress_bars()
