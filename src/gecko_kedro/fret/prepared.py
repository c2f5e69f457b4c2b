"""The teacher of a stage, ready to be opened."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Settings
from gecko_kedro.engine import EngineSettings, build_engine
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.teacher import StoredTeacher, TeacherSettings, build_teacher
from gecko_kedro.teacher.check import Call


class PreparedTeacher(Settings):
    """Which teacher it is, what it is asked with, and where its replies are.

    Nothing is loaded before there is work for it.
    """

    teacher: TeacherSettings
    prompts: Prompts
    engine: EngineSettings = Field(json_schema_extra=EXECUTION)
    store: Path = Field(json_schema_extra=EXECUTION)

    def open(self, texts: Iterable[str], calls: Sequence[Call]) -> StoredTeacher:
        """``build_teacher`` on the engine; ``texts`` and ``calls`` as there."""
        engine = build_engine(self.engine)
        return build_teacher(
            self.teacher, texts=texts, store=self.store, calls=calls, engine=engine
        )
