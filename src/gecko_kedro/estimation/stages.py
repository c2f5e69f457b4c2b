"""From rates and sizes to what each stage costs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic.dataclasses import dataclass as validated

from gecko_kedro.estimation import measured
from gecko_kedro.estimation.sizes import RunSize, TrainingPlan
from gecko_kedro.teacher.usage import KindUsage

_COPIES_OF_PASSAGES = 3  # before the split, before decontamination, and those that are used
_COPIES_OF_QUERIES = 2  # shards and table
_COPIES_OF_CANDIDATES = 2  # the same
_COPIES_OF_JUDGEMENTS = 2  # shards and rankings
_PASSAGES_OF_A_ROW = 3  # in FRet, once more in its examples, which lie there twice
_WEIGHT_BYTES = 4
_TRAINED_BYTES = 16  # of a weight in training: itself, its gradient and AdamW's two moments
_CHECKPOINT_BYTES = 12  # weight and moments
_CHECKPOINTS_AT_ONCE = 3  # two are kept, a third is being written


@dataclass(frozen=True)
class StageCost:
    """What one node costs. Seconds of wall clock; bytes; tokens as the teacher counts them."""

    stage: str
    seconds: float
    memory: float  # peak of the process
    disk: float  # of what stays
    scratch: float = 0.0  # of what is removed at its end
    usage: KindUsage = field(default_factory=KindUsage)
    encoder_tokens: float = 0.0


@validated(frozen=True)
class Measures:
    """All that was measured; ``training`` by the name of its pipeline."""

    corpus: measured.CorpusMeasure
    encoder: measured.EncoderMeasure
    search: measured.SearchMeasure
    teacher: measured.TeacherMeasure
    training: Mapping[str, measured.TrainingMeasure]

    @classmethod
    def read(cls, **parts: Any) -> "Measures":
        """From the content of the files; a wrong one raises pydantic's ValidationError."""
        return cls(**parts)


def run_costs(
    measures: Measures,
    size: RunSize,
    *,
    plans: Mapping[str, TrainingPlan],
    n_candidates: int,
    queries_per_passage: int,
) -> list[StageCost]:
    """The costly nodes of the road up to fine-tuning, in its order.

    A pipeline that is not in ``plans`` does not train. All calls of the teacher count as paid;
    evaluation and what takes seconds (splitting, filters, fusion, plots) are not in it.
    """

    def trained(pipeline: str, node: str) -> list[StageCost]:
        return [_training(node, measures, pipeline, plans[pipeline])] if pipeline in plans else []

    return [
        _read_passages(measures, size),
        _synthesize(measures, size, queries_per_passage),
        *trained("mine", "mine.train_seed_retriever"),
        _embed("mine.embed_passages", measures, size.passages, passages=True),
        _embed("mine.embed_queries", measures, size.queries, passages=False),
        _search(measures, size, n_candidates),
        _judge(measures, size, n_candidates),
        *trained("pretrain", "pretrain.pretrain_encoder"),
        *trained("finetune", "finetune.finetune_encoder"),
    ]


def total_cost(costs: Iterable[StageCost]) -> StageCost:
    """One after the other: sums, and the largest memory and scratch space."""
    costs = list(costs)
    usage = KindUsage()
    for cost in costs:
        usage.add(cost.usage)
    return StageCost(
        "all",
        seconds=sum(cost.seconds for cost in costs),
        memory=max(cost.memory for cost in costs),
        disk=sum(cost.disk for cost in costs),
        scratch=max(cost.scratch for cost in costs),
        usage=usage,
        encoder_tokens=sum(cost.encoder_tokens for cost in costs),
    )


def _read_passages(measures: Measures, size: RunSize) -> StageCost:
    corpus = measures.corpus
    scale = size.documents / corpus.sampled_documents
    return StageCost(
        "synthesize.read_passages",
        seconds=scale * corpus.seconds,
        memory=measures.encoder.base_memory + scale * corpus.memory,
        disk=_COPIES_OF_PASSAGES * size.passages * corpus.passage_bytes,
    )


def _asked(measures: Measures, size: RunSize, calls: Mapping[str, int]) -> tuple[KindUsage, float]:
    """Usage of the calls, with the start of the teacher in its seconds; and memory."""
    teacher = measures.teacher
    usage = KindUsage(
        seconds=teacher.start_seconds + size.passages * teacher.start_seconds_per_passage
    )
    for kind, count in calls.items():
        if kind in teacher.calls:
            usage.add(teacher.calls[kind].times(count))
    texts = size.passages * measures.corpus.passage_memory  # a table in memory
    return usage, measures.encoder.base_memory + teacher.memory + texts


def _synthesize(measures: Measures, size: RunSize, queries_per_passage: int) -> StageCost:
    teacher = measures.teacher
    usage, memory = _asked(measures, size, {"generate": size.seeds * queries_per_passage})
    bytes_a_call = teacher.stored_bytes + _COPIES_OF_QUERIES * teacher.query_bytes
    return StageCost(
        "synthesize.synthesize_queries",
        seconds=usage.seconds + size.seeds * teacher.seed_seconds,
        memory=memory,
        disk=usage.calls * bytes_a_call,
        usage=usage,
    )


def _judge(measures: Measures, size: RunSize, n_candidates: int) -> StageCost:
    teacher = measures.teacher
    pairs = size.queries * min(n_candidates, size.passages)
    rankers = ("query_log_likelihood", "label_log_likelihood")
    usage, memory = _asked(measures, size, dict.fromkeys(rankers, pairs))
    kept = _COPIES_OF_JUDGEMENTS * pairs * teacher.judgement_bytes
    fret = size.queries * _PASSAGES_OF_A_ROW * (
        2 * measures.corpus.passage_bytes + teacher.query_bytes
    )  # fmt: skip
    return StageCost(
        "relabel.judge_candidates",
        seconds=usage.seconds + pairs * teacher.candidate_seconds,
        memory=memory,
        disk=usage.calls * teacher.stored_bytes + kept + fret,
        usage=usage,
    )


def _embed(name: str, measures: Measures, texts: int, *, passages: bool) -> StageCost:
    encoder = measures.encoder
    each = encoder.passage_seconds if passages else encoder.query_seconds
    tokens = encoder.passage_tokens if passages else encoder.query_tokens
    return StageCost(
        name,
        seconds=encoder.load_seconds + texts * each,
        memory=encoder.base_memory + encoder.memory,
        disk=texts * encoder.dimension * measures.search.component_bytes,
        encoder_tokens=texts * tokens,
    )


def _search(measures: Measures, size: RunSize, n_candidates: int) -> StageCost:
    search, encoder = measures.search, measures.encoder
    # Mapped from the disk: pages that the system takes back where it needs them.
    vectors = (size.passages + size.queries) * encoder.dimension * search.component_bytes
    pairs = size.queries * size.passages
    candidates = size.queries * min(n_candidates, size.passages)
    return StageCost(
        "mine.search_candidates",
        seconds=pairs * search.pair_seconds + size.queries * search.query_seconds,
        memory=encoder.base_memory + vectors,
        disk=_COPIES_OF_CANDIDATES * candidates * measures.teacher.judgement_bytes,
    )


def _training(node: str, measures: Measures, pipeline: str, plan: TrainingPlan) -> StageCost:
    measured = measures.training[pipeline]
    batch = min(plan.batch_size, max(1, plan.rows))
    # The first one measured shows it: a process keeps what it had once.
    row_memory = max(each.row_memory for each in measures.training.values())
    return StageCost(
        node,
        seconds=measured.start_seconds
        + plan.rows_seen * measured.row_seconds
        + plan.checkpoints * measured.checkpoint_seconds,
        memory=measures.encoder.base_memory
        + _TRAINED_BYTES * measured.weights
        + batch * row_memory,
        disk=_WEIGHT_BYTES * measured.weights,
        scratch=_CHECKPOINTS_AT_ONCE * _CHECKPOINT_BYTES * measured.weights,
    )
