"""From settings to a teacher with a memory."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from gecko_kedro.engine import Engine, LocalEngine
from gecko_kedro.teacher.adapted import QUERY_TOKENS, AdaptedTeacher
from gecko_kedro.teacher.check import Call, check_teacher
from gecko_kedro.teacher.embedded import EMBEDDED, MODEL, embedded_model, embedded_or_lexical
from gecko_kedro.teacher.lexical import NAME, LexicalTeacher
from gecko_kedro.teacher.pooled import PooledTeacher, TeacherWorker
from gecko_kedro.teacher.protocol import Teacher
from gecko_kedro.teacher.settings import TeacherSettings
from gecko_kedro.teacher.store import ResponseStore
from gecko_kedro.teacher.stored_teacher import StoredTeacher

STORE_NAME = "responses.sqlite"


def teacher_name(settings: TeacherSettings) -> str:
    """What the teacher is called in cards and reports."""
    if settings.backend == "lexical":
        return NAME
    if settings.backend == "http":
        revision = settings.http.revision
        return f"{settings.http.model} over HTTP" + (f", revision {revision}" if revision else "")
    name = MODEL if settings.model.name == EMBEDDED else settings.model.name
    return f"{name} ({settings.backend}{', adapted to the corpus' if settings.adapts else ''})"


def build_teacher(
    settings: TeacherSettings,
    *,
    texts: Iterable[str],
    store: Path | str,
    calls: Sequence[Call] = (),
    engine: Engine | None = None,
    models: Path | None = None,
    adapted: Path | None = None,
) -> StoredTeacher:
    """The teacher that ``settings`` names, its replies kept in the folder ``store``.

    ``texts`` are the passages of the corpus; only the lexical stand-in reads them, for its word
    statistics. Each of ``calls`` is tried at once with a tiny example (``check_teacher``). With an
    ``engine`` on other processes they hold the backend, and this one the store. ``models`` and
    ``adapted`` are those of ``named_model``; models are unpacked beside the replies by default.
    """
    if settings.backend == "auto":
        settings = settings.model_copy(update={"backend": embedded_or_lexical()})
    named = named_model(settings, models or Path(store) / "models", adapted)
    teacher = placed_teacher(named, texts, engine or LocalEngine())
    if settings.adapts:
        teacher = AdaptedTeacher.of(teacher, adapted, settings.adapt)
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


def named_model(settings: TeacherSettings, models: Path, adapted: Path | None) -> TeacherSettings:
    """``settings`` with the folder of the model that is meant, and how it is asked if adapted.

    The embedded one is unpacked below ``models``.
    """
    if settings.backend not in ("transformers", "vllm"):
        return settings
    model = settings.model
    if adapted is not None or model.name == EMBEDDED:
        model = model.model_copy(update={"name": str(adapted or embedded_model(models))})
    if settings.adapts:  # a query is a line
        form = {"chat_template": "off", "stop": ("\n",), "max_new_tokens": QUERY_TOKENS}
        model = model.model_copy(update=form)
    return settings.model_copy(update={"model": model})


def placed_teacher(settings: TeacherSettings, texts: Iterable[str], engine: Engine) -> Teacher:
    """The same without a store: in this process, or in the workers of ``engine``."""
    if engine.in_process:
        return _backend(settings, texts)
    # The other backends need not be sent the corpus.
    read = texts if settings.backend == "lexical" else ()
    factory = partial(TeacherWorker, partial(_backend, settings, read))
    return PooledTeacher(
        engine.hold([factory] * engine.workers("teacher"), role="teacher"),
        calls_at_once=engine.calls_at_once,
    )


def _backend(settings: TeacherSettings, texts: Iterable[str]) -> Teacher:
    # A backend is imported when it is used: torch and vLLM cost seconds.
    if settings.backend == "http":
        from gecko_kedro.teacher.http.teacher import HttpTeacher

        return HttpTeacher(settings.http)
    if settings.backend == "transformers":
        from gecko_kedro.teacher.transformers_teacher import TransformersTeacher

        return TransformersTeacher.load(settings.model, settings.transformers)
    if settings.backend == "vllm":
        from gecko_kedro.teacher.vllm_teacher import VllmTeacher

        return VllmTeacher.load(settings.model, settings.vllm)
    return LexicalTeacher.fit(texts, settings=settings.lexical)
