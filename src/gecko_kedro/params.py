"""The parameters of conf/, composed of the settings of the rooms: a block for each pipeline.

Each node takes a block of its own, such as ``params:mine.search``. The values of
conf/base/parameters are the defaults here too. A field that only changes how fast a result is made
is marked ``EXECUTION``: it is no part of a fingerprint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import EXECUTION, Count, Settings
from gecko_kedro.corpus.settings import (
    PYTHON_DOCS,
    DecontaminateSettings,
    HeldoutSettings,
    PairSettings,
    PassageSettings,
    PythonDocsSettings,
)
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.engine.settings import EngineSettings
from gecko_kedro.estimation.settings import EstimateSettings
from gecko_kedro.evaluation.comparing.label_quality import LabelQualitySettings
from gecko_kedro.evaluation.comparing.settings import (
    AblationRow,
    AblationRows,
    AblationSettings,
    CompareSettings,
    ParitySettings,
    ShowSettings,
    SweepSettings,
    WeightSettings,
)
from gecko_kedro.evaluation.scoring.settings import ScoreSettings
from gecko_kedro.evaluation.tasks.judged import JudgedSettings
from gecko_kedro.evaluation.tasks.settings import STDLIB_QUESTIONS, SelectSettings, TaskSettings
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
from gecko_kedro.mistakes import new_name, wrong_values
from gecko_kedro.overrides import with_overrides
from gecko_kedro.renamed import RENAMED
from gecko_kedro.retrieval.settings import (
    EmbedSettings,
    PopularitySettings,
    RouteSettings,
    SearchSettings,
)
from gecko_kedro.teacher.settings import TeacherSettings
from gecko_kedro.training.settings import (
    EncoderTraining,
    FinetuneTraining,
    MinedNegativesSettings,
    MixSettings,
    PretrainTraining,
    SeedRetrieverTraining,
    SelectPairsSettings,
)
from gecko_kedro.training.sources import SourceSettings

# A SentenceTransformer. Kedro reads the annotations of nodes, so a name known only to the type
# checker would switch validation off, and importing the real one costs seconds.
Encoder = Any


class CorpusParams(Settings):
    """Where passages come from, and how they are cut, split and paired."""

    source: str = PYTHON_DOCS
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
    encoder: EncoderTraining = EncoderTraining()
    train: SeedRetrieverTraining = SeedRetrieverTraining()
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
    # Only shown: makes nothing stale of a node that takes the whole block.
    audit: AuditSettings = Field(AuditSettings(), json_schema_extra=EXECUTION)


class LabelQualityParams(Settings):
    """Judged queries to measure the teacher's rankings on."""

    data: str | None = None
    split: str = "test"
    task_name: str = "question answering"
    select: JudgedSettings = JudgedSettings()
    compare: LabelQualitySettings = LabelQualitySettings()


class EncoderParams(Settings):
    """The initial embedder and base model."""

    load: LoadSettings = LoadSettings()
    train: EncoderTraining = EncoderTraining()


class MixtureParams(Settings):
    """Training sets from outside, besides the project's own."""

    sources: list[SourceSettings] = []

    @model_validator(mode="after")
    def _names_are_unique(self) -> "MixtureParams":
        names = ["fret", "natural_pairs", *(source.name for source in self.sources)]
        if len(set(names)) < len(names):
            raise ValueError(f"each set needs a name of its own, got {names}")
        return self


class PretrainParams(MixtureParams):
    """Pre-finetuning on natural pairs."""

    select: SelectPairsSettings = SelectPairsSettings()
    train: PretrainTraining = PretrainTraining()


class FinetuneParams(MixtureParams):
    """Fine-tuning on the mixture."""

    candidate_passages: str | None = None
    runs: Count = 1
    mine: MinedNegativesSettings = MinedNegativesSettings()
    mix: MixSettings = MixSettings()
    train: FinetuneTraining = FinetuneTraining()

    @model_validator(mode="after")
    def _distillation_has_its_texts(self) -> "FinetuneParams":
        if self.train.loss.distillation and self.candidate_passages is None:
            raise ValueError("loss.distillation needs candidate_passages, the passages' table")
        return self


class EvaluateParams(Settings):
    """Tasks, and how they are selected, scored, compared and shown."""

    data: str | None = None
    split: str = "test"
    task_name: str = "question answering"
    tasks: list[TaskSettings] = [STDLIB_QUESTIONS]
    tasks_root: str | None = None
    prompts: dict[str, dict[str, str | bool]] = {}
    select: SelectSettings = SelectSettings()
    score: ScoreSettings = ScoreSettings()
    compare: CompareSettings = CompareSettings()
    show: ShowSettings = ShowSettings()

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
    sweep: SweepSettings = SweepSettings()
    choose: WeightSettings = WeightSettings()

    @model_validator(mode="after")
    def _base_is_there(self) -> "GuardParams":
        if not {0.0, self.choose.weight or 0.0} <= set(self.sweep.weights):
            raise ValueError("sweep.weights must contain 0, the base, and choose.weight if given")
        return self


class AblateParams(AblationRows):
    """Which rows, with which seeds, at what size, measured on what."""

    run: AblationSettings = AblationSettings()
    compare: CompareSettings = CompareSettings()


class ParityParams(Settings):
    """A model with published scores, and how far ours may be from them."""

    load: LoadSettings = LoadSettings(dtype="float32")
    dimension: Count = 384
    compare: ParitySettings = ParitySettings()
    data: str | None = None
    tasks: list[TaskSettings]


class Parameters(Settings):
    """All of them, as the files of one environment give them."""

    corpus: CorpusParams = CorpusParams()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    queries: QueriesParams = QueriesParams()
    teacher: TeacherSettings = TeacherSettings()
    engine: EngineSettings = EngineSettings()
    encoder: EncoderParams = EncoderParams()
    synthesize: SynthesizeParams = SynthesizeParams()
    mine: MineParams = MineParams()
    relabel: RelabelParams = RelabelParams()
    pretrain: PretrainParams = PretrainParams()
    finetune: FinetuneParams = FinetuneParams()
    evaluate: EvaluateParams = EvaluateParams()
    label_quality: LabelQualityParams = LabelQualityParams()
    guard: GuardParams
    ablate: AblateParams
    parity: ParityParams
    estimate: EstimateSettings = EstimateSettings()


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
            where, expected="names of today's parameters", got=old, fix=new_name(old)
        )  # fmt: skip
    given = {"relabel": relabel.model_dump(), "finetune": finetune.model_dump()}
    changed = with_overrides(given, row.overrides, where=where)
    try:
        return RowParams.model_validate(changed)
    except ValidationError as error:
        raise wrong_values(where, error, Parameters) from error


def check_parameters(parameters: Mapping[str, Any]) -> Parameters:
    """The checked parameters; one ``InputError`` tells every mistake and the nearest right name."""
    try:
        known = Parameters.model_validate(dict(parameters))
    except ValidationError as error:
        raise wrong_values("parameters", error, Parameters) from error
    known.ablate.chosen()
    for name, row in known.ablate.definitions.items():
        row_parameters(name, row, known.relabel, known.finetune)
    return known
