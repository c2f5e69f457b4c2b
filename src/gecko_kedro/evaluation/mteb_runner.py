"""Scores of encoders and of BM25 on retrieval tasks, through mteb's own API and result cache."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from gecko_kedro.encoder.formatting import GECKO
from gecko_kedro.encoder.loading import Dtype, resolve_reference
from gecko_kedro.evaluation.schemas import (
    FAILURES_SCHEMA,
    METRICS,
    PER_QUERY_SCHEMA,
    SCORES_SCHEMA,
)
from gecko_kedro.evaluation.tasks import RetrievalData
from gecko_kedro.progress import Progress

if TYPE_CHECKING:
    from gecko_kedro.evaluation.mteb_tasks import LocalRetrieval

logger = logging.getLogger(__name__)

BM25 = "bm25"
_WHAT_MAKES_A_VECTOR = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")
_NOT_PART_OF_IT = frozenset({"gecko.json"})  # the training record: other words, same vectors


@dataclass(frozen=True)
class EncoderUnderTest:
    """A model and how its inputs are written; one result for each of ``dims``.

    ``templates``: ``"gecko"`` for models trained with the templates, ``"none"`` for others.
    """

    name: str
    reference: str
    templates: Literal["gecko", "none"]
    dims: tuple[int, ...]
    max_seq_length: int | None
    batch_size: int
    device: str = "auto"
    dtype: Dtype = "auto"

    def revision(self) -> str:
        """Twelve hex digits over all that decides a vector: weights, configuration, templates.

        Two models never share one, so that mteb's cache cannot mistake one for the other. A hub id
        counts by its name: mteb's cache does not notice when the hub changes it.
        """
        how = [self.templates, GECKO.model_dump(), self.max_seq_length, self.dtype]
        sha = hashlib.sha256(json.dumps(how).encode())
        source = Path(resolve_reference(self.reference))
        if not source.is_dir():
            sha.update(self.reference.encode())
            return sha.hexdigest()[:12]
        files = {path for pattern in _WHAT_MAKES_A_VECTOR for path in source.rglob(pattern)}
        for path in sorted(files):
            if path.name not in _NOT_PART_OF_IT:
                sha.update(str(path.relative_to(source)).encode())
                with path.open("rb") as file:
                    sha.update(hashlib.file_digest(file, "sha256").digest())
        return sha.hexdigest()[:12]


@dataclass(frozen=True)
class ScoreTable:
    """SCORES_SCHEMA, PER_QUERY_SCHEMA, and what failed (FAILURES_SCHEMA).

    ``encoded`` counts the texts that went through the model: 0 when all came from the cache.
    """

    scores: pl.DataFrame
    per_query: pl.DataFrame
    failures: pl.DataFrame
    encoded: int = 0


def evaluate_encoder(
    encoder: EncoderUnderTest, tasks: Sequence[RetrievalData], *, cache_root: Path
) -> ScoreTable:
    """Score ``encoder`` at each of its dimensions on each task.

    Texts are embedded once a task and cut for each dimension. Finished (dimension, task) pairs lie
    under ``cache_root`` and are not computed again for the same weights, templates and data; a
    failing pair is reported in ``failures`` and leaves the others alone.
    """
    from gecko_kedro.evaluation.mteb_models import EmbedOnce, GeckoEncoder

    embed, revision = EmbedOnce(encoder), encoder.revision()
    done = []
    with Progress(f"evaluate {encoder.name}", total=len(tasks) * len(encoder.dims),
                  unit="result") as progress:  # fmt: skip
        for data in tasks:
            for dimension in encoder.dims:
                model = GeckoEncoder(encoder, dimension=dimension, revision=revision, embed=embed)
                row = {"model": encoder.name, "dimension": dimension, "task": data.name}
                done.append(_evaluate(model, data, row, cache_root=cache_root))
                progress.advance()
            embed.forget()
    logger.info("%s: %d results, %d texts embedded", encoder.name, len(done), embed.encoded)
    return concat_scores(done, encoded=embed.encoded)


def evaluate_bm25(tasks: Sequence[RetrievalData], *, cache_root: Path) -> ScoreTable:
    """The lexical baseline on the same tasks, with the same metrics; its dimension is null."""
    from gecko_kedro.evaluation.mteb_models import Bm25Search

    row = {"model": BM25, "dimension": None}
    return concat_scores(
        [_evaluate(Bm25Search(), data, {**row, "task": data.name}, cache_root=cache_root)
         for data in tasks]
    )  # fmt: skip


def concat_scores(tables: Sequence[ScoreTable], *, encoded: int | None = None) -> ScoreTable:
    """One table out of several."""
    return ScoreTable(
        pl.concat([pl.DataFrame(schema=SCORES_SCHEMA), *(t.scores for t in tables)]),
        pl.concat([pl.DataFrame(schema=PER_QUERY_SCHEMA), *(t.per_query for t in tables)]),
        pl.concat([pl.DataFrame(schema=FAILURES_SCHEMA), *(t.failures for t in tables)]),
        encoded=sum(table.encoded for table in tables) if encoded is None else encoded,
    )


def _evaluate(
    model: Any, data: RetrievalData, row: dict[str, Any], *, cache_root: Path
) -> ScoreTable:
    """One model on one task, from the cache where both of its files are there."""
    import mteb

    from gecko_kedro.evaluation.mteb_tasks import local_task

    # mteb's cache does not look at the data: its digest in the path keeps other data's scores out.
    folder = cache_root / f"{data.name}-{data.digest}"
    meta = model.mteb_model_meta
    single_scores = folder / "per_query" / meta.name / f"{meta.revision}.parquet"
    task, cache = local_task(data), mteb.ResultCache(folder / "mteb")
    with _no_progress_bars():
        result = mteb.evaluate(
            model,
            task,
            cache=cache,
            overwrite_strategy="only-missing" if single_scores.is_file() else "always",
            raise_error=False,
            co2_tracker=False,
            encode_kwargs={"batch_size": 256, "show_progress_bar": False},  # rows read at a time
            show_progress_bar=False,
        )
    if result.exceptions:
        error = str(result.exceptions[0].exception)
        logger.error("%s failed on %s: %s", meta.name, data.name, error)
        return ScoreTable(
            pl.DataFrame(schema=SCORES_SCHEMA),
            pl.DataFrame(schema=PER_QUERY_SCHEMA),
            pl.DataFrame([{**row, "error": error}], schema=FAILURES_SCHEMA),
        )
    if task.per_query is not None:
        _write(_per_query(task, row), single_scores)
    # From the file, whose numbers are rounded: a later run must give the same table.
    finished = cache.get_task_result_path(data.name, meta)
    means = mteb.TaskResult.from_disk(finished).scores["test"][0]
    scores = [{**row, "metric": name, "score": float(means[name])} for name in METRICS]
    return ScoreTable(
        pl.DataFrame(scores, schema=SCORES_SCHEMA),
        pl.read_parquet(single_scores),
        pl.DataFrame(schema=FAILURES_SCHEMA),
    )


def _per_query(task: "LocalRetrieval", row: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{**row, **single} for single in task.per_query or []],
                        schema=PER_QUERY_SCHEMA)  # fmt: skip


def _write(frame: pl.DataFrame, path: Path) -> None:
    """The whole file or none: its presence says that the result is finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    frame.write_parquet(temporary)
    temporary.replace(path)


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
