"""What the teacher costs: a few seed passages and candidate sets, asked through the store."""

from functools import partial

import numpy as np
import polars as pl

from gecko_kedro import corpus, fret
from gecko_kedro.base.memory import Measuring
from gecko_kedro.estimation import CallMeasure, TeacherMeasure
from gecko_kedro.params import RelabelParams, SynthesizeParams
from gecko_kedro.pipelines.estimate.calibration import parquet_bytes
from gecko_kedro.teacher.stored_teacher import StoredTeacher


def measure_teacher(
    passages: pl.DataFrame,
    logged: pl.DataFrame,
    *,
    queries: int,
    n_candidates: int,
    prepared: fret.PreparedTeacher,
    synthesize: SynthesizeParams,
    relabel: RelabelParams,
) -> tuple[TeacherMeasure, pl.DataFrame]:
    """Let the teacher write ``queries`` queries and judge as many candidate sets.

    Replies go to the run's own store, and the seed passages are those of the sample that the run
    would draw first. With ``logged`` (QUERY) these are judged and nothing is written. A candidate
    set is the seed and passages at random: its cost depends on lengths, not on likeness. The
    QUERY rows come with the measure.
    """
    calls = fret.ranker_calls(relabel.rankers)
    with Measuring() as starting:
        teacher = prepared.open(passages["text"], calls if logged.height else ["generate", *calls])
    write = partial(
        fret.synthesize_queries,
        teacher=teacher, prompts=prepared.prompts, settings=synthesize.write,
    )  # fmt: skip
    seed = synthesize.sample.seed
    seeds = corpus.cap(passages, limit=0 if logged.height else queries, seed=seed)
    # A first call loads what the others need.
    first = write(seeds.head(1)).queries
    spent_first = teacher.usage.total().seconds
    with Measuring() as writing:
        others = write(seeds[1:]).queries
    spent_writing = teacher.usage.total().seconds
    written = pl.concat([first, others, logged.head(queries)])
    sets = _candidate_sets(written, passages, n_candidates, seed=seed)
    with Measuring() as judging:
        judgements, _ = fret.score_candidates(
            written, sets, passages, teacher=teacher, prompts=prepared.prompts,
            rankers=relabel.rankers, settings=relabel.judge,
        )  # fmt: skip
    spent_judging = teacher.usage.total().seconds - spent_writing
    reads_corpus = prepared.teacher.backend == "lexical"
    measure = TeacherMeasure(
        calls=_calls(teacher),
        start_seconds=0.0 if reads_corpus else starting.seconds,
        start_seconds_per_passage=starting.seconds / passages.height if reads_corpus else 0.0,
        seed_seconds=max(0.0, writing.seconds - spent_writing + spent_first)
        / max(1, seeds.height - 1),
        candidate_seconds=max(0.0, judging.seconds - spent_judging) / max(1, sets.height),
        stored_bytes=teacher.stored_bytes_per_call(),
        query_bytes=parquet_bytes(written) / max(1, written.height),
        judgement_bytes=parquet_bytes(judgements) / max(1, judgements.height),
        memory=max(starting.memory, writing.memory, judging.memory),
    )
    teacher.close()
    return measure, written


def _candidate_sets(
    queries: pl.DataFrame, passages: pl.DataFrame, n_candidates: int, *, seed: int
) -> pl.DataFrame:
    """(query_id, passage_id): the seed, where there is one, and others at random."""
    generator = np.random.default_rng(seed)
    sets = []
    for query_id, seed_id in queries.select("query_id", "passage_id").iter_rows():
        drawn = generator.permutation(passages.height)[:n_candidates]
        ids = [one for one in passages["passage_id"].gather(drawn) if one != seed_id]
        chosen = ([seed_id] if seed_id is not None else []) + ids
        sets += [(query_id, passage_id) for passage_id in chosen[:n_candidates]]
    return pl.DataFrame(sets, schema={"query_id": pl.String, "passage_id": pl.String}, orient="row")


def _calls(teacher: StoredTeacher) -> dict[str, CallMeasure]:
    found = {}
    for kind in ("generate", "query_log_likelihood", "label_log_likelihood"):
        used = teacher.usage.of(kind)
        if answered := used.calls + used.hits:
            found[kind] = CallMeasure(
                prompt_tokens=(used.prompt_tokens + used.hit_prompt_tokens) / answered,
                completion_tokens=(used.completion_tokens + used.hit_completion_tokens) / answered,
                seconds=teacher.seconds_per_call(kind),
            )
    return found
