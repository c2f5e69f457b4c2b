"""The parameters: one frozen model for each pipeline and one for each thing that several share.

Values live in conf/base/parameters/*.yml, which say unit and the paper's value; here are types and
bounds. Nothing has a default in Python, so what YAML says is what runs. A field that only changes
how fast a result is made is marked ``EXECUTION``: it is no part of a fingerprint.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.overlap import OverlapSettings
from gecko_kedro.engine.settings import EngineSettings
from gecko_kedro.evaluation.comparing.ablation import AblationRow
from gecko_kedro.evaluation.tasks.settings import TaskSettings
from gecko_kedro.fret.controls import Shares
from gecko_kedro.fret.fusion import Fusion
from gecko_kedro.overrides import with_overrides
from gecko_kedro.retrieval.popularity import PopularitySettings
from gecko_kedro.retrieval.vector_table import VectorType
from gecko_kedro.teacher.settings import TeacherSettings
from gecko_kedro.training.settings import LoraSettings, TrainSettings
from gecko_kedro.training.sources import SourceSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from gecko_kedro.encoder.encoding import Vectors
    from gecko_kedro.encoder.formatting import Templates

EXECUTION: dict[str, Any] = {"execution_only": True}
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=1)] | None
PairKind = Literal["summary_body", "title_body", "name_body", "lead_body"]
Ranker = Literal["query_likelihood", "relevance", "retriever"]


# A SentenceTransformer. Kedro reads the annotations of nodes, so a name known only to the type
# checker would switch validation off, and importing the real one costs seconds.
Encoder = Any


class Params(BaseModel):
    """Frozen, and a name that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PythonDocsParams(Params):
    """The embedded corpus: docstrings of the installed packages."""

    include: list[str] | None
    exclude: list[str]
    stdlib: bool
    workers: Count = Field(json_schema_extra=EXECUTION)


class HeldoutParams(Params):
    """What training never sees, so that evaluation can."""

    groups: list[str]
    fraction: Share
    pair_kinds: list[PairKind]


class CorpusParams(Params):
    """Where passages come from and how they are cut."""

    source: str
    columns: dict[str, str | None]
    split: str
    python_docs: PythonDocsParams
    min_words: Annotated[int, Field(ge=0)]
    max_words: Count
    overlap_words: Annotated[int, Field(ge=0)]
    near_duplicate_threshold: Share | None
    max_passages: Limit
    pair_kinds: list[PairKind]
    heldout: HeldoutParams
    seed: Seed

    @model_validator(mode="after")
    def _overlap_fits(self) -> "CorpusParams":
        if self.overlap_words >= self.max_words:
            raise ValueError("overlap_words must be smaller than max_words")
        return self


class DecontaminateParams(Params):
    """What training must not see of the evaluation."""

    remove: bool | Literal["queries"]
    overlap: OverlapSettings


class QueriesParams(Params):
    """An existing query log without labels."""

    source: str | None
    columns: dict[str, str | None]
    max_queries: Limit
    use: Literal["join", "replace"]
    task_name: str


class EncoderParams(Params):
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


class SynthesizeParams(Params):
    """How many queries, and which ones are thrown away."""

    n_seeds: Count
    pilot: Annotated[float, Field(gt=0.0, le=1.0)] | None
    queries_per_passage: Count
    temperature: Annotated[float, Field(ge=0.0, le=2.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    shares: Shares
    max_passage_tokens: Limit
    max_query_words: Count
    language: str | None
    near_duplicate_threshold: Share | None
    max_reject_rate: Share
    shard_size: Count
    seed: Seed


class MineParams(Params):
    """The seed retriever and the candidates."""

    seed_retriever: Literal["trained", "given"]
    train: TrainSettings
    n_candidates: Annotated[int, Field(ge=2)]
    lexical_candidates: bool
    route_constant: Annotated[float, Field(ge=0.0)]
    max_seq_length: Count
    embed_shard_size: Count
    vectors_dtype: VectorType
    # These are inputs of their nodes by themselves: only the search is made anew for them.
    popularity: PopularitySettings = Field(json_schema_extra=EXECUTION)
    search_shard_size: Count = Field(json_schema_extra=EXECUTION)
    exact_max_pairs: Annotated[float, Field(ge=0.0)] = Field(json_schema_extra=EXECUTION)
    min_recall: Share = Field(json_schema_extra=EXECUTION)
    recall_queries: Count = Field(json_schema_extra=EXECUTION)
    threads: Limit = Field(json_schema_extra=EXECUTION)


class RelabelParams(Params):
    """Rankers, fusion and the choice of positive and negative."""

    rankers: Annotated[list[Ranker], Field(min_length=1)]
    relevance_score: Literal["top_grade", "expected_grade"]
    max_query_tokens: Limit
    max_passage_tokens: Limit
    queries_at_once: Count = Field(json_schema_extra=EXECUTION)
    fusion: Fusion
    fusion_k: Annotated[float, Field(ge=0.0)]
    ranker_weights: dict[Ranker, Annotated[float, Field(gt=0.0)]]
    positive: Literal["relabelled", "seed"]
    negative: Literal["last", "sampled", "none"]
    percent_of_positive: Annotated[float, Field(gt=0.0, le=1.0)] | None
    audit_rows: Count
    shard_size: Count
    seed: Seed


class MixtureParams(Params):
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


class MinedNegativesParams(Params):
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


class EvaluateParams(Params):
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


class LabelQualityParams(Params):
    """Judged queries to measure the teacher's rankings on."""

    data: str | None
    split: str
    task_name: str
    max_queries: Limit
    max_passages: Count
    fold: Literal[0, 1] | None
    resamples: Count
    seed: Seed


class GuardParams(Params):
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


class AblateParams(Params):
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


class ParityParams(Params):
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


class EstimateParams(Params):
    """How much is tried before a run is estimated, and a size to estimate on paper."""

    documents: Count
    texts: Count
    queries: Count
    training_rows: Annotated[int, Field(ge=2)]
    passages: Limit
    seed: Seed


class Parameters(Params):
    """All of them, as the files of one environment give them."""

    corpus: CorpusParams
    decontaminate: DecontaminateParams
    queries: QueriesParams
    teacher: TeacherSettings
    encoder: EncoderParams
    synthesize: SynthesizeParams
    mine: MineParams
    relabel: RelabelParams
    pretrain: PretrainParams
    finetune: FinetuneParams
    evaluate: EvaluateParams
    label_quality: LabelQualityParams
    guard: GuardParams
    ablate: AblateParams
    parity: ParityParams
    estimate: EstimateParams
    engine: EngineSettings


class RowParams(Params):
    """What a row of an ablation may change, and runs again."""

    relabel: RelabelParams
    finetune: FinetuneParams


def row_parameters(
    name: str, row: AblationRow, relabel: RelabelParams, finetune: FinetuneParams
) -> RowParams:
    """The parameters of one row; InputError for an override that does not exist or hold."""
    where = f"ablate.definitions.{name}.overrides"
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
        got=Words("no valid parameters: " + "; ".join(text for text, _ in mistakes)),
        fix=" ".join(dict.fromkeys(fix for _, fix in mistakes)),
    )


def _explain(mistake: Mapping[str, Any]) -> tuple[str, str]:
    path = [str(part) for part in mistake["loc"]]
    name = ".".join(path)
    if mistake["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        near = get_close_matches(path[-1], known, n=1, cutoff=0.5)
        prefix = "".join(f"{part}." for part in path[:-1])
        hint = f"Did you mean {prefix}{near[0]}?" if near else f"Known here: {', '.join(known)}."
        return f"{name} is no parameter", hint
    if mistake["type"] == "missing":
        return f"{name} is missing", f"Set {name} (conf/base/parameters/{path[0]}.yml has it)."
    # A key that was put in the wrong place must not be shown.
    value = "(hidden)" if path[:2] == ["teacher", "http"] else repr(mistake["input"])
    return f"{name} = {value}: {mistake['msg']}", f"Correct {name}."


def _fields_at(path: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Parameters
    for part in path:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
