"""Nodes of synthesize: a corpus becomes passages, and seed passages become (task, query)."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import corpus, evaluation, fret
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.events import emit
from gecko_kedro.base.progress import Progress
from gecko_kedro.base.shards import NO_SHARD, Shard, count_missing, missing_pieces
from gecko_kedro.corpus.quarantine import LONGEST_STRING
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.engine import EngineSettings, build_engine
from gecko_kedro.fret.pilot import pilot_size
from gecko_kedro.params import (
    CorpusParams,
    DecontaminateParams,
    EncoderParams,
    QueriesParams,
    SynthesizeParams,
)
from gecko_kedro.pipelines._decontamination import (
    against_evaluation,
    heldout_texts,
    overlap_counts,
)
from gecko_kedro.pipelines._teacher_work import write_queries
from gecko_kedro.pipelines._trial import checked
from gecko_kedro.teacher import TeacherSettings, build_teacher

logger = logging.getLogger(__name__)
_ENOUGH_REPLIES = 100  # before that a few bad replies in a row could stop a long run


def read_passages(
    documents: corpus.ReadResult, params: CorpusParams
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Clean, chunk and de-duplicate the documents."""
    made = corpus.make_passages(
        documents.documents,
        min_words=params.min_words,
        max_words=params.max_words,
        overlap_words=params.overlap_words,
        near_duplicate_threshold=params.near_duplicate_threshold,
        seed=params.seed,
    )
    quarantine = pl.concat([documents.quarantine, made.quarantine])
    logger.info(
        "read_passages: %d documents, %d passages, %d rows in quarantine",
        documents.documents.height, made.passages.height, quarantine.height,
    )  # fmt: skip
    reasons = quarantine["reason"].value_counts().sort("count", descending=True)
    metrics = {
        "counts": {"documents": documents.documents.height, "passages": made.passages.height},
        "quarantined": dict(reasons.iter_rows()),
    }
    return made.passages, quarantine, metrics


def split_passages(
    all_passages: pl.DataFrame, params: CorpusParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hold whole groups (packages, documents) back for the evaluation; cap the rest."""
    train, heldout = corpus.split_heldout(
        all_passages,
        groups=params.heldout.groups,
        fraction=params.heldout.fraction,
        seed=params.seed,
    )
    left = train.height
    train = corpus.cap(train, limit=params.max_passages, seed=params.seed)
    if train.height < left:
        logger.warning(
            "split_passages: %d of %d passages are trained on; corpus.max_passages: null takes all",
            train.height, left,
        )  # fmt: skip
    logger.info("split_passages: %d to train on, %d held out", train.height, heldout.height)
    return train, heldout


def decontaminate_passages(
    undecided_passages: pl.DataFrame,
    heldout_passages: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    encoder_params: EncoderParams,
    params: DecontaminateParams,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Take out what overlaps with a query or positive of what evaluate or guard will score."""
    kept, overlaps = against_evaluation(
        undecided_passages,
        heldout_texts(heldout_passages, passages=["text", "summary"]),
        own_data,
        unseen,
        encoder_params=encoder_params,
        params=params,
        where="passages",
        passages=["text", "summary"],
    )
    return kept, overlaps, overlap_counts(overlaps)


def pair_passages(
    passages: pl.DataFrame, heldout_passages: pl.DataFrame, params: CorpusParams
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Natural (query, passage) pairs; no training pair repeats a held-out text or query."""
    heldout = corpus.collect_pairs(heldout_passages, kinds=params.heldout.pair_kinds)
    paired = corpus.collect_pairs(passages, kinds=params.pair_kinds)
    clean = corpus.decontaminate(paired.pairs, heldout.pairs)
    logger.info(
        "pair_passages: %d natural pairs, %d held out; %d removed because they are held out",
        clean.rows.height, heldout.pairs.height, clean.quarantine.height,
    )  # fmt: skip
    quarantine = pl.concat([paired.quarantine, heldout.quarantine, clean.quarantine])
    return clean.rows, heldout.pairs, quarantine


def sample_seeds(
    passages: pl.DataFrame, queries_params: QueriesParams, params: SynthesizeParams
) -> pl.DataFrame:
    """Draw the seed passages at random; none where a query log replaces synthesis.

    Those of a pilot are among those of the whole, so that its replies are paid for once.
    """
    replaced = queries_params.source is not None and queries_params.use == "replace"
    whole = 0 if replaced else min(params.n_seeds, passages.height)
    n_seeds = pilot_size(whole, share=params.pilot)
    seeds = corpus.cap(passages, limit=n_seeds, seed=params.seed)
    logger.info("sample_seeds: %d of %d passages", seeds.height, passages.height)
    return seeds


def synthesize_queries(
    seed_passages: pl.DataFrame,
    passages: pl.DataFrame,
    prompts: dict[str, Any],
    store: Path,
    finished: frozenset[int],
    teacher_settings: TeacherSettings,
    engine_settings: EngineSettings,
    params: SynthesizeParams,
) -> Iterator[tuple[Shard, Shard]]:
    """Let the teacher write (task, query) for each seed passage, shard by shard.

    The rejected replies of a shard come first, so that a shard of queries that is there has its
    rejected replies there too. Too many rejects stop the run after any shard.
    """
    total = count_missing(seed_passages, size=params.shard_size, finished=finished)
    teacher = build_teacher(
        teacher_settings,
        texts=passages["text"],
        store=store,
        calls=["generate"] if total else [],
        engine=build_engine(engine_settings),
    )
    kept, rejected = 0, QUARANTINE_SCHEMA.to_frame()
    if total == 0 and finished:
        yield NO_SHARD, NO_SHARD

    def written(progress: Progress) -> Iterator[tuple[Shard, Shard]]:
        for piece in missing_pieces(seed_passages, size=params.shard_size, finished=finished):
            made = write_queries(piece.rows, teacher, prompts, params)
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
                fret.stop_above(params.max_reject_rate, rejected, n_kept=kept, at_least=enough)
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


def filter_queries(
    query_shards: pl.DataFrame,
    rejected_reply_shards: pl.DataFrame,
    query_log: corpus.QueryLogResult,
    passages: pl.DataFrame,
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    queries_params: QueriesParams,
    encoder_params: EncoderParams,
    decontaminate_params: DecontaminateParams,
    params: SynthesizeParams,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Drop what cannot be learned from, with reasons; a query log joins or replaces synthesis."""
    log = corpus.cap(
        query_log.queries, limit=queries_params.max_queries, seed=params.seed, id_column="query_id"
    )
    joined = fret.join_query_log(
        query_shards,
        log,
        use=queries_params.use,
        task_name=queries_params.task_name,
    )
    clean, overlaps = against_evaluation(
        joined,
        heldout_texts(heldout_pairs, queries=["query"]),
        own_data,
        unseen,
        encoder_params=encoder_params,
        params=decontaminate_params,
        where="queries",
        queries=["query"],
    )
    kept = fret.filter_queries(
        joined,
        passages,
        rejected=rejected_reply_shards,
        max_words=params.max_query_words,
        max_reject_rate=params.max_reject_rate,
        near_duplicate_threshold=params.near_duplicate_threshold,
        excluded_queries={*joined["query"]} - {*clean["query"]} | {*heldout_pairs["query"]},
        seed=params.seed,
    )
    logger.info(
        "filter_queries: %d queries kept, %d rejected", kept.queries.height, kept.quarantine.height
    )
    return kept.queries, pl.concat([query_log.quarantine, kept.quarantine]), overlaps


def report_queries(
    queries: pl.DataFrame,
    queries_quarantine: pl.DataFrame,
    prompts: dict[str, Any],
    params: SynthesizeParams,
) -> tuple[dict[str, Any], Any]:
    """The shares that the diversity controls came to, and the rejects by reason."""
    inventory = fret.Prompts.model_validate(prompts).synthesis.inventory
    shares = fret.share_report(queries, inventory, params.shares, seed=params.seed)
    reasons = queries_quarantine["reason"].value_counts().sort("count", "reason", descending=True)
    rejected = dict(reasons.iter_rows())
    metrics = {
        "queries": queries.height,
        "quarantined": queries_quarantine.height,
        **rejected,
        "shares": shares,
    }
    logger.info(
        "report_queries: %s",
        ", ".join(f"{name.split('.')[1]} {share:.0%}" for name, share in shares.items()
                  if name.startswith(("wanted_task.", "got_length."))),
    )  # fmt: skip
    return metrics, fret.query_plot(shares, rejected)
