"""The parameters of conf/, composed of the settings of the rooms: a block for each pipeline.

Each node takes a block of its own, such as ``params:mine.search``. The values of
conf/base/parameters are the defaults here too. A field that only changes how fast a result is made
is marked ``EXECUTION``: it is no part of a fingerprint.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import EXECUTION, Count, Limit, Seed, Settings, Share
from gecko_kedro.corpus.settings import (
    DecontaminateSettings,
    HeldoutSettings,
    PairSettings,
    PassageSettings,
    PythonDocsSettings,
)
from gecko_kedro.engine.settings import EngineSettings
from gecko_kedro.evaluation.comparing.ablation import AblationRow
from gecko_kedro.evaluation.comparing.label_quality import JudgedSettings, LabelQualitySettings
from gecko_kedro.evaluation.tasks.settings import TaskSettings
from gecko_kedro.fret.settings import (
    RANKERS,
    AuditSettings,
    ChooseSettings,
    FilterSettings,
    FuseSettings,
    JoinSettings,
    JudgeSettings,
    Ranker,
    SampleSettings,
    WriteSettings,
)
from gecko_kedro.overrides import with_overrides
from gecko_kedro.retrieval.settings import (
    EmbedSettings,
    PopularitySettings,
    RouteSettings,
    SearchSettings,
)
from gecko_kedro.teacher.settings import TeacherSettings
from gecko_kedro.training.settings import LoraSettings, TrainSettings
from gecko_kedro.training.sources import SourceSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from gecko_kedro.encoder.encoding import Vectors
    from gecko_kedro.encoder.formatting import Templates

# A SentenceTransformer. Kedro reads the annotations of nodes, so a name known only to the type
# checker would switch validation off, and importing the real one costs seconds.
Encoder = Any

# What a parameter was called before it got the name of the node that reads it.
RENAMED: dict[str, str] = {
    "corpus.min_words": "corpus.passages.min_words",
    "corpus.max_words": "corpus.passages.max_words",
    "corpus.overlap_words": "corpus.passages.overlap_words",
    "corpus.near_duplicate_threshold": "corpus.passages.near_duplicate_threshold",
    "corpus.max_passages": "corpus.heldout.max_passages",
    "corpus.seed": "corpus.passages.seed and corpus.heldout.seed",
    "corpus.pair_kinds": "corpus.pairs.kinds",
    "corpus.heldout.pair_kinds": "corpus.pairs.heldout_kinds",
    "queries.max_queries": "queries.join.max_queries",
    "queries.use": "queries.join.use",
    "queries.task_name": "queries.join.task_name",
    "synthesize.n_seeds": "synthesize.sample.n_seeds",
    "synthesize.pilot": "a pipeline: kedro run --pipelines estimate",
    "synthesize.queries_per_passage": "synthesize.write.queries_per_passage",
    "synthesize.temperature": "synthesize.write.temperature",
    "synthesize.top_p": "synthesize.write.top_p",
    "synthesize.shares": "synthesize.write.shares",
    "synthesize.max_passage_tokens": "synthesize.write.max_passage_tokens",
    "synthesize.language": "synthesize.write.language",
    "synthesize.shard_size": "synthesize.write.shard_size",
    "synthesize.max_query_words": "synthesize.filter.max_words",
    "synthesize.near_duplicate_threshold": "synthesize.filter.near_duplicate_threshold",
    "synthesize.max_reject_rate": "synthesize.write.max_reject_rate, of the teacher's replies, and "
    "synthesize.filter.max_reject_rate, of all queries",
    "synthesize.seed": "synthesize.sample.seed, synthesize.write.seed and synthesize.filter.seed",
    "mine.n_candidates": "mine.search.n_candidates",
    "mine.lexical_candidates": "mine.search.lexical_candidates",
    "mine.route_constant": "mine.search.route_constant",
    "mine.popularity.pool": "mine.search.popularity_pool",
    "mine.search_shard_size": "mine.search.shard_size",
    "mine.threads": "mine.search.threads",
    "mine.max_seq_length": "mine.embed.max_seq_length",
    "mine.vectors_dtype": "mine.embed.vectors_dtype",
    "mine.embed_shard_size": "mine.embed.shard_size",
    "mine.exact_max_pairs": "mine.route.exact_max_pairs",
    "mine.min_recall": "mine.route.min_recall",
    "mine.recall_queries": "mine.route.recall_queries",
    "relabel.relevance_score": "relabel.fuse.relevance_score",
    "relabel.fusion": "relabel.fuse.method",
    "relabel.fusion_k": "relabel.fuse.k",
    "relabel.ranker_weights": "relabel.fuse.weights",
    "relabel.max_query_tokens": "relabel.judge.max_query_tokens",
    "relabel.max_passage_tokens": "relabel.judge.max_passage_tokens",
    "relabel.queries_at_once": "relabel.judge.queries_at_once",
    "relabel.shard_size": "relabel.judge.shard_size",
    "relabel.positive": "relabel.choose.positive",
    "relabel.negative": "relabel.choose.negative",
    "relabel.percent_of_positive": "relabel.choose.percent_of_positive",
    "relabel.audit_rows": "relabel.audit.rows",
    "relabel.seed": "relabel.choose.seed and relabel.audit.seed",
    "label_quality.max_queries": "label_quality.select.max_queries",
    "label_quality.max_passages": "label_quality.select.max_passages",
    "label_quality.fold": "label_quality.compare.fold",
    "label_quality.resamples": "label_quality.compare.resamples",
    "label_quality.seed": "label_quality.select.seed and label_quality.compare.seed",
}


class CorpusParams(Settings):
    """Where passages come from, and how they are cut, split and paired."""

    source: str = "python-docs"
    columns: dict[str, str | None] = {
        "doc_id": None,
        "title": None,
        "text": "text",
        "group": None,
        "summary": None,
    }
    split: str = "train"
    python_docs: PythonDocsSettings = PythonDocsSettings()
    passages: PassageSettings = PassageSettings()
    heldout: HeldoutSettings = HeldoutSettings()
    pairs: PairSettings = PairSettings()


class QueriesParams(Settings):
    """An existing query log without labels."""

    source: str | None = None
    columns: dict[str, str | None] = {"query_id": None, "query": "query"}
    join: JoinSettings = JoinSettings()


class SynthesizeParams(Settings):
    """How many queries are written, how, and which are thrown away."""

    sample: SampleSettings = SampleSettings()
    write: WriteSettings = WriteSettings()
    filter: FilterSettings = FilterSettings()


class MineParams(Settings):
    """The seed retriever, the vectors and the candidates."""

    seed_retriever: Literal["trained", "given"] = "trained"
    train: TrainSettings
    embed: EmbedSettings = EmbedSettings()
    route: RouteSettings = RouteSettings()
    popularity: PopularitySettings = PopularitySettings()
    search: SearchSettings = SearchSettings()


class RelabelParams(Settings):
    """Rankers, fusion and the choice of positive and negative."""

    rankers: Annotated[list[Ranker], Field(min_length=1)] = list(RANKERS)
    judge: JudgeSettings = JudgeSettings()
    fuse: FuseSettings = FuseSettings()
    choose: ChooseSettings = ChooseSettings()
    audit: AuditSettings = AuditSettings()


class LabelQualityParams(Settings):
    """Judged queries to measure the teacher's rankings on."""

    data: str | None = None
    split: str = "test"
    task_name: str = "question answering"
    select: JudgedSettings = JudgedSettings()
    compare: LabelQualitySettings = LabelQualitySettings()


class EncoderParams(Settings):
    """The initial embedder and base model."""

    reference: str
    device: str = Field(json_schema_extra=EXECUTION)
    dtype: Literal["auto", "float32", "bfloat16"]
    batch_size: Count = Field(json_schema_extra=EXECUTION)
    max_seq_length: Count
    trust_remote_code: bool
    attention: str | None = Field(json_schema_extra=EXECUTION)
    bidirectional: bool
    width: Limit
    templates: Literal["gecko", "own"]
    lora: LoraSettings | None

    def load(
        self,
        reference: str | None = None,
        *,
        for_training: bool = False,
        max_seq_length: int | None = None,
    ) -> "SentenceTransformer":
        """The encoder ``reference``, by default the base model, as these parameters say."""
        from gecko_kedro.encoder.loading import load_encoder

        return load_encoder(
            reference or self.reference,
            device=self.device,
            dtype=self.dtype,
            max_seq_length=max_seq_length or self.max_seq_length,
            for_training=for_training,
            trust_remote_code=self.trust_remote_code,
            attention=self.attention,
            bidirectional=self.bidirectional,
            width=self.width,
        )

    def trained_templates(self, model: "SentenceTransformer") -> "Templates":
        """What ``model``, the base or one trained from it, is trained with."""
        from gecko_kedro.encoder.formatting import GECKO, own_templates

        return GECKO if self.templates == "gecko" else own_templates(model.prompts)

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """``(n, d)`` L2-normalised vectors of bare texts by the base model."""
        from gecko_kedro.encoder.encoding import encode_texts

        return encode_texts(self.load(), texts, batch_size=self.batch_size)


class MixtureParams(Settings):
    """Training sets from outside, besides the project's own."""

    sources: list[SourceSettings]
    train: TrainSettings

    @model_validator(mode="after")
    def _names_are_unique(self) -> "MixtureParams":
        names = ["fret", "natural_pairs", *(source.name for source in self.sources)]
        if len(set(names)) < len(names):
            raise ValueError(f"each set needs a name of its own, got {names}")
        return self

    def source_rates(self) -> dict[str, float]:
        """How often a row of each source is seen an epoch."""
        return {source.name: source.rate for source in self.sources}


class PretrainParams(MixtureParams):
    """Pre-finetuning on natural pairs."""

    max_pairs: Limit


class MinedNegativesParams(Settings):
    """Hard negatives for sources that declare ``mine_negatives``."""

    candidates: Annotated[int, Field(ge=2)]
    percent_of_positive: Annotated[float, Field(gt=0.0, le=1.0)]
    n_negatives: Count


class FinetuneParams(MixtureParams):
    """Fine-tuning on the mixture."""

    rates: dict[str, Annotated[float, Field(ge=0.0)]]
    candidate_passages: str | None
    runs: Count
    mined_negatives: MinedNegativesParams

    @model_validator(mode="after")
    def _distillation_has_its_texts(self) -> "FinetuneParams":
        if self.train.loss.distillation and self.candidate_passages is None:
            raise ValueError("loss.distillation needs candidate_passages, the passages' table")
        return self


class EvaluateParams(Settings):
    """Tasks, dimensions and intervals."""

    data: str | None
    split: str
    task_name: str
    tasks: list[TaskSettings]
    tasks_root: str | None
    prompts: dict[str, dict[str, str | bool]]
    dimensions: list[Count]
    precisions: list[Literal["float32", "int8", "binary"]]
    hybrid_constant: Annotated[float, Field(ge=0.0)] | None
    max_passages: Count
    max_queries: Count
    resamples: Count
    moved_queries: Count
    seed: Seed

    @model_validator(mode="after")
    def _names_are_free(self) -> "EvaluateParams":
        """Told here, and not by the evaluation after hours of training."""
        taken = {"heldout"} | ({Path(self.data).name} if self.data else set())
        if twice := taken & {task.name for task in self.tasks}:
            raise ValueError(f"tasks: {sorted(twice)} names the held-out task or that of data")
        return self


class GuardParams(Settings):
    """What must not be forgotten, and the points between base and tuned."""

    tasks: list[TaskSettings]
    weights: Annotated[list[Share], Field(min_length=2)]
    weight: Share | None
    choose_fraction: Share
    seed: Seed

    @model_validator(mode="after")
    def _base_is_there(self) -> "GuardParams":
        wanted = {0.0} if self.weight is None else {0.0, self.weight}
        if not wanted <= set(self.weights):
            raise ValueError("weights must contain 0, the base, and weight where it is given")
        return self


class AblateParams(Settings):
    """Which rows, with which seeds, at what size, measured on what."""

    rows: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    max_rows: Limit
    max_steps: Limit
    tasks: list[str] | None
    definitions: dict[str, AblationRow]

    @field_validator("rows", mode="before")
    @classmethod
    def _one_text(cls, rows: object) -> object:
        """``--params`` takes no list of several: ``ablate.rows=recipe+seed_none``."""
        return rows.split("+") if isinstance(rows, str) else rows

    def chosen(self) -> dict[str, AblationRow]:
        """The chosen rows, each behind the one it is set against; ``all`` means all."""
        found: dict[str, AblationRow] = {}
        for name in self.definitions if self.rows == ["all"] else self.rows:
            row = self._row(name, "ablate.rows")
            if row.reference is not None:
                where = f"ablate.definitions.{name}.reference"
                found[row.reference] = self._row(row.reference, where)
                if found[row.reference].reference is not None:
                    raise InputError(
                        where,
                        expected="a row that has no reference itself",
                        got=row.reference,
                        fix="Set the row against that one's own reference.",
                    )
            found[name] = row
        return found

    def _row(self, name: str, where: str) -> AblationRow:
        if name not in self.definitions:
            raise InputError(
                where,
                expected="names in ablate.definitions",
                got=name,
                fix=f"Known: {', '.join(self.definitions)}; or all.",
            )
        return self.definitions[name]


class ParityParams(Settings):
    """A model with published scores, and how far ours may be from them."""

    model: str
    published: list[str]
    dimension: Count
    max_seq_length: Count
    dtype: Literal["auto", "float32", "bfloat16"]
    device: str = Field(json_schema_extra=EXECUTION)
    batch_size: Count = Field(json_schema_extra=EXECUTION)
    data: str | None
    tolerance_by_type: dict[str, Annotated[float, Field(ge=0.0)]]
    tolerance_by_task: dict[str, Annotated[float, Field(ge=0.0)]]
    tasks: list[TaskSettings]


class EstimateParams(Settings):
    """How much is tried before a run is estimated, and a size to estimate on paper."""

    documents: Count
    texts: Count
    queries: Count
    training_rows: Annotated[int, Field(ge=2)]
    passages: Limit
    seed: Seed


class Parameters(Settings):
    """All of them, as the files of one environment give them."""

    corpus: CorpusParams = CorpusParams()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    queries: QueriesParams = QueriesParams()
    teacher: TeacherSettings = TeacherSettings()
    engine: EngineSettings = EngineSettings()
    encoder: EncoderParams
    synthesize: SynthesizeParams = SynthesizeParams()
    mine: MineParams
    relabel: RelabelParams = RelabelParams()
    pretrain: PretrainParams
    finetune: FinetuneParams
    evaluate: EvaluateParams
    label_quality: LabelQualityParams = LabelQualityParams()
    guard: GuardParams
    ablate: AblateParams
    parity: ParityParams
    estimate: EstimateParams


class RowParams(Settings):
    """What a row of an ablation may change, and runs again."""

    relabel: RelabelParams
    finetune: FinetuneParams


def row_parameters(
    name: str, row: AblationRow, relabel: RelabelParams, finetune: FinetuneParams
) -> RowParams:
    """The parameters of one row; InputError for an override that does not exist or hold."""
    where = f"ablate.definitions.{name}.overrides"
    for old in RENAMED.keys() & row.overrides:
        raise InputError(
            where, expected="names of today's parameters", got=old, fix=_new_name(old)
        )  # fmt: skip
    given = {"relabel": relabel.model_dump(), "finetune": finetune.model_dump()}
    changed = with_overrides(given, row.overrides, where=where)
    try:
        return RowParams.model_validate(changed)
    except ValidationError as error:
        raise _wrong_values(where, error) from error


def check_parameters(parameters: Mapping[str, Any]) -> Parameters:
    """The checked parameters; one ``InputError`` tells every mistake and the nearest right name."""
    try:
        known = Parameters.model_validate(dict(parameters))
    except ValidationError as error:
        raise _wrong_values("parameters", error) from error
    known.ablate.chosen()
    for name, row in known.ablate.definitions.items():
        row_parameters(name, row, known.relabel, known.finetune)
    return known


def _wrong_values(where: str, error: ValidationError) -> InputError:
    mistakes = [_explain(mistake) for mistake in error.errors()]
    return InputError(
        where,
        expected="known names and values within their bounds",
        got="no valid parameters: " + "; ".join(text for text, _ in mistakes),
        fix=" ".join(dict.fromkeys(fix for _, fix in mistakes)),
    )


def _explain(mistake: Mapping[str, Any]) -> tuple[str, str]:
    path = [str(part) for part in mistake["loc"]]
    name = ".".join(path)
    if name in RENAMED:
        return f"{name} is no parameter any more", _new_name(name)
    if mistake["type"] == "extra_forbidden":
        known = _names_at(path[:-1])
        near = get_close_matches(path[-1], known, n=1, cutoff=0.5)
        here = (known[near[0]],) if near else dict.fromkeys(n.split(".")[0] for n in known.values())
        names = ", ".join(".".join([*path[:-1], one]) for one in here)
        return f"{name} is no parameter", f"Did you mean {names}?" if near else f"Known: {names}."
    if mistake["type"] == "missing":
        return f"{name} is missing", f"Set {name}."
    # A key that was put in the wrong place must not be shown.
    value = "(hidden)" if path[:2] == ["teacher", "http"] else repr(mistake["input"])
    return f"{name} = {value}: {mistake['msg']}", f"Correct {name}."


def _new_name(old: str) -> str:
    return f"{old} is now {RENAMED[old]}."


def _names_at(path: Sequence[str]) -> dict[str, str]:
    """The last part of each name below ``path`` -> all of it from there on; the nearest first."""
    model: Any = Parameters
    for part in path:
        model = model.model_fields[part].annotation if _is_block(model) else None
    names = {name: name for name in model.model_fields} if _is_block(model) else {}
    for name in list(names):
        for last, inner in _names_at([*path, name]).items():
            names.setdefault(last, f"{name}.{inner}")
    return names


def _is_block(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
