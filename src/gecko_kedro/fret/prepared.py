"""The teacher of a stage, ready to be opened, and which calls its rankers need."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Settings
from gecko_kedro.engine import EngineSettings, build_engine
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.settings import Ranker
from gecko_kedro.teacher import StoredTeacher, TeacherSettings, build_teacher
from gecko_kedro.teacher.build import named_model
from gecko_kedro.teacher.check import Call

_CALLS: dict[Ranker, Call] = {
    "query_likelihood": "query_log_likelihood",
    "relevance": "label_log_likelihood",
}


def ranker_calls(rankers: Sequence[Ranker]) -> list[Call]:
    """The calls behind ``rankers``; the retriever's own rank needs none."""
    return [_CALLS[ranker] for ranker in rankers if ranker in _CALLS]


class PreparedTeacher(Settings):
    """Which teacher it is, what it is asked with, and where its replies are.

    Nothing is loaded before there is work for it.
    """

    teacher: TeacherSettings
    prompts: Prompts
    engine: EngineSettings = Field(json_schema_extra=EXECUTION)
    store: Path = Field(json_schema_extra=EXECUTION)
    models: Path | None = Field(None, json_schema_extra=EXECUTION)

    def base_model(self) -> str:
        """The folder or hub id of the model before it is adapted."""
        return named_model(self.teacher, self.models or self.store / "models", None).model.name

    def open(
        self, texts: Iterable[str], calls: Sequence[Call], adapted: Path | None = None
    ) -> StoredTeacher:
        """``build_teacher`` on the engine; ``texts``, ``calls`` and ``adapted`` as there."""
        return build_teacher(
            self.teacher, texts=texts, store=self.store, calls=calls,
            engine=build_engine(self.engine), models=self.models, adapted=adapted,
        )  # fmt: skip
