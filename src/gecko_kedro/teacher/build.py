"""From settings to a teacher with a memory."""

from collections.abc import Iterable
from pathlib import Path

from gecko_kedro.teacher.lexical import NAME, LexicalTeacher
from gecko_kedro.teacher.settings import TeacherSettings
from gecko_kedro.teacher.store import ResponseStore
from gecko_kedro.teacher.stored import StoredTeacher

STORE_NAME = "responses.sqlite"


def teacher_name(settings: TeacherSettings) -> str:
    """What the teacher is called in cards and reports; ``settings.backend`` has one value yet."""
    return NAME


def build_teacher(
    settings: TeacherSettings, *, texts: Iterable[str], store: Path | str
) -> StoredTeacher:
    """The teacher that ``settings`` names, its replies kept in the folder ``store``.

    ``texts`` are the passages of the corpus; only the lexical stand-in reads them, for its word
    statistics (``settings.backend`` has no other value yet).
    """
    teacher = LexicalTeacher.fit(texts, settings=settings.lexical)
    responses = ResponseStore(Path(store) / STORE_NAME)
    return StoredTeacher(teacher, responses, batch_size=settings.batch_size)
