"""The LLM: one small protocol, its backends, the response store and token accounting."""

from gecko_kedro.teacher.build import build_teacher, teacher_name
from gecko_kedro.teacher.lexical import LexicalTeacher
from gecko_kedro.teacher.protocol import (
    Generation,
    Prompt,
    Refused,
    Scored,
    ScoredLabels,
    Teacher,
)
from gecko_kedro.teacher.settings import (
    AdaptSettings,
    LexicalSettings,
    ModelSettings,
    TeacherSettings,
    TransformersSettings,
    VllmSettings,
)
from gecko_kedro.teacher.store import ResponseStore
from gecko_kedro.teacher.stored_teacher import StoredTeacher

__all__ = [
    "AdaptSettings", "Generation", "LexicalSettings", "LexicalTeacher", "ModelSettings", "Prompt",
    "Refused", "ResponseStore", "Scored", "ScoredLabels", "StoredTeacher", "Teacher",
    "TeacherSettings", "TransformersSettings", "VllmSettings", "build_teacher",
    "teacher_name",
]  # fmt: skip
