"""The teacher of a pipeline: which one it is, what it is asked with, and where its replies are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.pipeline import Node

from gecko_kedro.engine import EngineSettings, build_engine
from gecko_kedro.fret import Prompts
from gecko_kedro.pipelines._namespace import step
from gecko_kedro.teacher import StoredTeacher, TeacherSettings, build_teacher
from gecko_kedro.teacher.check import Call


@dataclass(frozen=True)
class PreparedTeacher:
    """All that a teacher needs to be opened. Nothing is loaded before there is work for it."""

    settings: TeacherSettings
    engine: EngineSettings
    prompts: Prompts
    store: Path

    def open(self, texts: Iterable[str], calls: Sequence[Call]) -> StoredTeacher:
        """``build_teacher`` on the engine; ``texts`` and ``calls`` as there."""
        engine = build_engine(self.engine)
        return build_teacher(
            self.settings, texts=texts, store=self.store, calls=calls, engine=engine
        )


def prepare_teacher(
    prompts: dict[str, Any],
    store: Path,
    teacher_settings: TeacherSettings,
    engine_settings: EngineSettings,
) -> PreparedTeacher:
    """Put together what the nodes behind this one ask the teacher with."""
    known = Prompts.model_validate(prompts)
    return PreparedTeacher(teacher_settings, engine_settings, known, store)


def teacher_step(output: str) -> Node:
    """The node ``prepare_teacher``; each pipeline has one of its own, so that it runs alone too."""
    inputs = ["prompts", "response_store", "params:teacher", "params:engine"]
    return step(prepare_teacher, inputs=inputs, outputs=output)
