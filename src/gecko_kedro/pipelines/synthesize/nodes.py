"""Nodes of synthesize: a corpus becomes passages, and seed passages become (task, query)."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gecko_kedro import corpus, evaluation, fret, training
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.events import emit
from gecko_kedro.base.progress import Progress
from gecko_kedro.base.shards import NO_SHARD, Shard, count_missing, missing_pieces
from gecko_kedro.corpus.quarantine import LONGEST_STRING, quarantine_table
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.pipelines._decontamination import (
    against_evaluation,
    heldout_texts,
    overlap_counts,
)
from gecko_kedro.pipelines._trial import checked
from gecko_kedro.teacher import teacher_name

logger = logging.getLogger(__name__)
_ENOUGH_REPLIES = 100  # before that a few bad replies in a row could stop a long run


def read_passages(
    documents: corpus.Checked, settings: corpus.PassageSettings
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Clean, chunk and de-duplicate the documents."""
    made = corpus.make_passages(documents.rows, settings)
    quarantine = pl.concat([documents.quarantine, made.quarantine])
    logger.info(
        "read_passages: %d documents, %d passages, %d rows in quarantine",
        documents.rows.height, made.rows.height, quarantine.height,
    )  # fmt: skip
    reasons = quarantine["reason"].value_counts().sort("count", descending=True)
    metrics = {
        "counts": {"documents": documents.rows.height, "passages": made.rows.height},
        "quarantined": dict(reasons.iter_rows()),
    }
    return made.rows, quarantine, metrics


def split_passages(
    all_passages: pl.DataFrame, settings: corpus.HeldoutSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hold whole groups (packages, documents) back for the evaluation; cap the rest."""
    return corpus.split_heldout(all_passages, settings)


def decontaminate_passages(
    undecided_passages: pl.DataFrame,
    heldout_passages: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    load: LoadSettings,
    settings: corpus.DecontaminateSettings,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Take out what overlaps with a query or positive of what evaluate or guard will score."""
    kept, overlaps = against_evaluation(
        undecided_passages,
        heldout_texts(heldout_passages, passages=["text", "summary"]),
        own_data,
        unseen,
        load=load,
        params=settings,
        where="passages",
        passages=["text", "summary"],
    )
    return kept, overlaps, overlap_counts(overlaps)


def pair_passages(
    passages: pl.DataFrame, heldout_passages: pl.DataFrame, settings: corpus.PairSettings
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Natural (query, passage) pairs; no training pair repeats a held-out text or query."""
    heldout = corpus.collect_pairs(heldout_passages, kinds=settings.heldout_kinds)
    paired = corpus.collect_pairs(passages, kinds=settings.kinds)
    same = corpus.OverlapSettings(ngram_words=None, near_duplicate_threshold=None)
    seen = heldout_texts(heldout.rows, queries=["query"], passages=["text"])
    pairs, repeated = corpus.remove_overlaps(
        paired.rows, seen, same, where="pairs", columns=["text", "query"]
    )
    aside = repeated.sort("column", descending=True, maintain_order=True).select(
        pl.lit("decontamination").alias("where"), "row_id",
        pl.format("{}_in_heldout", "column").alias("reason"),
        pl.format("its {} is in the evaluation data", "column").alias("detail"), "record",
    )  # fmt: skip
    logger.info(
        "pair_passages: %d natural pairs, %d held out; %d removed because they are held out",
        pairs.height, heldout.rows.height, aside.height,
    )  # fmt: skip
    if heldout.rows.is_empty():
        logger.warning("pair_passages: no pair is held out; evaluate needs tasks of your own")
    quarantine = pl.concat([paired.quarantine, heldout.quarantine, aside])
    return pairs, heldout.rows, quarantine


def adapt_teacher(
    natural_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    sources: dict[str, corpus.Checked],
    checkpoints: Path,
    prepared: fret.PreparedTeacher,
) -> tuple[training.AdaptedModel, dict[str, Any]]:
    """The language model learns which queries the passages of this corpus are asked with.

    From natural pairs of the training corpus, and from the queries that the project ships. A
    teacher that is not adapted is left as it is.
    """
    settings = prepared.teacher
    if not settings.adapts:
        return training.AdaptedModel.none(), {}
    how = settings.adapt
    pairs = training.query_pairs(natural_pairs, passages)
    heldout = training.heldout_pairs(pairs, how)
    taught = pairs.join(heldout, on="pair_id", how="anti", maintain_order="left")
    taught = corpus.cap(taught, limit=how.max_pairs, seed=how.seed, id_column="pair_id")
    if how.written:
        shipped = corpus.adaptation_queries().rows.select(
            pl.format("written {}", pl.int_range(pl.len())).alias("pair_id"),
            pl.lit("written").alias("source"), pl.col("task").alias("kind"),
            "title", "text", "query",
        )  # fmt: skip
        taught = pl.concat([taught, shipped])
    taught = pl.concat([taught, *training.source_query_pairs(sources, how)])
    adapted = training.adapt_language_model(
        prepared.base_model(), taught, heldout, settings=how, checkpoints=checkpoints,
        revision=settings.model.revision,
    )  # fmt: skip
    return adapted, {"teacher": teacher_name(settings)} | adapted.record


def sample_seeds(
    passages: pl.DataFrame,
    log_source: str | None,
    use_of_log: Literal["join", "replace"],
    settings: fret.SampleSettings,
) -> pl.DataFrame:
    """Draw the seed passages at random; none where a query log replaces synthesis.

    Fewer seeds are a part of more, so that the replies of a trial are paid for once.
    """
    replaced = log_source is not None and use_of_log == "replace"
    seeds = corpus.cap(passages, limit=0 if replaced else settings.n_seeds, seed=settings.seed)
    logger.info(
        "sample_seeds: %d of %d passages; kedro run --pipelines estimate tells what they will cost",
        seeds.height, passages.height,
    )  # fmt: skip
    return seeds


def synthesize_queries(
    seed_passages: pl.DataFrame,
    passages: pl.DataFrame,
    finished: frozenset[int],
    adapted: Path | None,
    prepared: fret.PreparedTeacher,
    settings: fret.WriteSettings,
) -> Iterator[tuple[Shard, Shard]]:
    """Let the teacher write (task, query) for each seed passage, shard by shard.

    The rejected replies of a shard come first, so that a shard of queries that is there has its
    rejected replies there too. Too many rejects stop the run after any shard.
    """
    size = settings.shard_size
    total = count_missing(seed_passages, size=size, finished=finished)
    teacher = prepared.open(passages["text"], ["generate"] if total else [], adapted)
    kept, rejected = 0, QUARANTINE_SCHEMA.to_frame()
    if total == 0 and finished:
        yield NO_SHARD, NO_SHARD

    def written(progress: Progress) -> Iterator[tuple[Shard, Shard]]:
        for piece in missing_pieces(seed_passages, size=size, finished=finished):
            made = fret.synthesize_queries(
                piece.rows, teacher=teacher, prompts=prepared.prompts, settings=settings
            )
            emit("synthesize_replies", piece.index, made.counts)
            yield (
                Shard(piece.index, piece.total, made.quarantine),
                Shard(piece.index, piece.total, made.queries),
            )
            progress.advance(piece.rows.height)

    with (
        teacher.reporting("synthesize"),
        Progress("synthesize_queries", total=total, unit="passage") as progress,
        teacher.on_trial() as recent,
    ):

        def check(group: list[tuple[Shard, Shard]]) -> None:
            nonlocal kept, rejected
            kept += sum(queries.table.height for _, queries in group)
            rejected = pl.concat([rejected, *(rejects.table for rejects, _ in group)])
            try:
                enough = _ENOUGH_REPLIES if finished else 1
                fret.stop_above(
                    settings.max_reject_rate, rejected, n_kept=kept, at_least=enough,
                    where="synthesize.write.max_reject_rate",
                )  # fmt: skip
            except InputError:
                useless = fret.rejected_texts(rejected)
                recent.forget("generate", lambda reply: reply.text[:LONGEST_STRING] in useless)
                raise

        yield from checked(
            written(progress),
            enough=lambda group: (
                sum(r.table.height + q.table.height for r, q in group) >= _ENOUGH_REPLIES
            ),
            check=check,
            recent=recent,
        )


def collect_queries(
    query_shards: pl.DataFrame,
    query_log: corpus.Checked,
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    joining: fret.JoinSettings,
    load: LoadSettings,
    settings: corpus.DecontaminateSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The synthetic queries, the log beside them or in their place, and which are evaluated on."""
    joined = fret.join_query_log(query_shards, query_log.rows, joining)
    _, overlaps = against_evaluation(
        joined,
        heldout_texts(heldout_pairs, queries=["query"]),
        own_data,
        unseen,
        load=load,
        params=settings,
        where="queries",
        queries=["query"],
    )
    return joined, overlaps


def filter_queries(
    undecided_queries: pl.DataFrame,
    query_overlaps: pl.DataFrame,
    rejected_reply_shards: pl.DataFrame,
    query_log: corpus.Checked,
    passages: pl.DataFrame,
    heldout_pairs: pl.DataFrame,
    load: LoadSettings,
    settings: fret.FilterSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Drop what cannot be learned from, or is the evaluation's, with reasons."""
    removed = query_overlaps.filter("removed").select(query_id="row_id")
    seen = undecided_queries.join(removed, on="query_id", how="semi")
    kept, rejected = fret.filter_queries(
        undecided_queries,
        passages,
        settings,
        rejected=rejected_reply_shards,
        excluded_queries={*seen["query"], *heldout_pairs["query"]},
    )
    queries, lost = fret.round_trip(kept, passages, settings.round_trip, load=load)
    rejected = pl.concat([rejected, quarantine_table(lost)])
    logger.info("filter_queries: %d queries kept, %d rejected", queries.height, rejected.height)
    return queries, pl.concat([query_log.quarantine, rejected])


def report_queries(
    queries: pl.DataFrame,
    queries_quarantine: pl.DataFrame,
    prompts: dict[str, Any],
    settings: fret.WriteSettings,
) -> tuple[dict[str, Any], Any]:
    """The shares that the diversity controls came to, and the rejects by reason."""
    inventory = fret.Prompts.model_validate(prompts).synthesis.inventory
    shares = fret.share_report(queries, inventory, settings)
    reasons = queries_quarantine["reason"].value_counts().sort("count", "reason", descending=True)
    rejected = dict(reasons.iter_rows())
    total = max(1, queries.height + queries_quarantine.height)
    metrics = {
        "queries": queries.height,
        "quarantined": queries_quarantine.height,
        **rejected,
        "rates": {reason: count / total for reason, count in rejected.items()},
        "shares": shares,
    }
    logger.info(
        "report_queries: %s",
        ", ".join(f"{name.split('.')[1]} {share:.0%}" for name, share in shares.items()
                  if name.startswith(("wanted_task.", "got_length."))),
    )  # fmt: skip
    return metrics, fret.query_plot(shares, rejected)
