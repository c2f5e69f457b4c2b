"""From settings to a teacher with a memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from gecko_kedro.teacher.check import Call, check_teacher
from gecko_kedro.teacher.lexical import NAME, LexicalTeacher
from gecko_kedro.teacher.protocol import Teacher
from gecko_kedro.teacher.settings import TeacherSettings
from gecko_kedro.teacher.store import ResponseStore
from gecko_kedro.teacher.stored import StoredTeacher

STORE_NAME = "responses.sqlite"


def teacher_name(settings: TeacherSettings) -> str:
    """What the teacher is called in cards and reports."""
    if settings.backend == "http":
        revision = settings.http.revision
        return f"{settings.http.model} over HTTP" + (f", revision {revision}" if revision else "")
    return NAME


def build_teacher(
    settings: TeacherSettings,
    *,
    texts: Iterable[str],
    store: Path | str,
    calls: Sequence[Call] = (),
) -> StoredTeacher:
    """The teacher that ``settings`` names, its replies kept in the folder ``store``.

    ``texts`` are the passages of the corpus; only the lexical stand-in reads them, for its word
    statistics. Each of ``calls`` is tried at once with a tiny example (``check_teacher``).
    """
    teacher: Teacher
    if settings.backend == "http":
        from gecko_kedro.teacher.http.teacher import HttpTeacher

        teacher = HttpTeacher(settings.http)
    else:
        teacher = LexicalTeacher.fit(texts, settings=settings.lexical)
    if settings.backend != "http" or settings.http.check_at_start:
        check_teacher(teacher, calls)
    responses = ResponseStore(Path(store) / STORE_NAME)
    return StoredTeacher(
        teacher,
        responses,
        batch_size=settings.batch_size,
        prices=settings.prices,
        budget=settings.budget,
    )
