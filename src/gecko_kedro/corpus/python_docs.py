"""The documentation on the user's own machine: docstrings of the installed Python packages.

Sources are read with ``ast``; nothing is imported or executed, and nothing leaves the machine.
"""

import gc
import logging
import multiprocessing
import os
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.progress import Progress
from gecko_kedro.corpus.docstrings import DocRow, FileDocs, Source, read_docstrings
from gecko_kedro.corpus.quarantine import (
    Checked,
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
)
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA
from gecko_kedro.corpus.settings import PythonDocsSettings
from gecko_kedro.corpus.texts import is_unicode
from gecko_kedro.corpus.written_files import read_written

logger = logging.getLogger(__name__)

STDLIB = "stdlib"
# Test suites repeat each other's one-liners; vendored copies repeat whole packages.
_TESTS = ("test", "tests", "idle_test", "idlelib")
_VENDORED = ("_vendor", "vendor", "_vendored", "vendored")
_SKIPPED_FOLDERS = {*_TESTS, *_VENDORED, "site-packages", "dist-packages", "__pycache__"}
_FILES_WORTH_A_POOL = 400  # below this, starting worker processes takes longer than reading
_FILES_PER_BATCH = 32
_SHORTER = "another definition of this name has a longer docstring"
_SURROGATE = "the docstring holds half of a surrogate pair, which is no character"
_ADAPTATION = "the language model is adapted on it"


def harvest(settings: PythonDocsSettings = PythonDocsSettings()) -> Checked:
    """The docstrings of the standard library and of every installed package, as documents.

    ``include`` and ``exclude`` are top-level package names; ``"stdlib"`` names the whole standard
    library, and one of its modules (``"json"``) names that module. ``include=None`` takes
    everything. ``doc_id`` and ``title`` are the qualified name, ``group`` is the top-level package
    or ``"stdlib"``. Documents are sorted by ``doc_id``; the result does not depend on ``workers``.
    What a language model is adapted on (``written.adaptation_queries``) is set aside: a corpus
    with it would measure nothing.

    Raises InputError when a name of ``include`` is not installed.
    """
    paths = sysconfig.get_paths()
    sources = list(package_sources(Path(paths[name]) for name in ("purelib", "platlib")))
    if settings.stdlib:
        sources += stdlib_sources()
    chosen = _choose(sources, settings)
    adapted_on = set(read_written("adaptation")["passage"])
    result = harvest_sources(chosen, workers=settings.workers, adapted_on=adapted_on)
    logger.info(
        "Harvested %d docstrings from %d files of %d packages (%d rows quarantined)",
        result.rows.height, len(chosen), len({source.group for source in chosen}),
        result.quarantine.height,
    )  # fmt: skip
    return result


def package_sources(folders: Iterable[Path]) -> Iterator[Source]:
    """The Python files of every package and module in ``folders``, in a fixed order."""
    for folder in dict.fromkeys(folders):
        for file, module in _python_files(folder):
            yield Source(str(file), module, module.partition(".")[0])


def stdlib_sources() -> list[Source]:
    """The Python files of the standard library, in a fixed order."""
    files = _python_files(Path(sysconfig.get_path("stdlib")))
    return [Source(str(file), module, STDLIB) for file, module in files]


def harvest_sources(
    sources: Sequence[Source], *, workers: int, adapted_on: Collection[str] = ()
) -> Checked:
    """The docstrings of ``sources``; ``workers`` processes share the files.

    Of several docstrings with one qualified name (overloads, conditional definitions) the longest
    is kept, the first of equally long ones; the others, unreadable files and the names in
    ``adapted_on`` are quarantined.
    """
    rows: dict[str, DocRow] = {}
    aside: list[QuarantineRow] = []
    newlines = controls = 0

    def set_aside(row_id: str, reason: str, detail: str, record: Source | DocRow) -> None:
        aside.append(
            quarantine_row(
                file.source.path, row_id, reason=reason, detail=detail, record=record._asdict()
            )
        )

    with Progress("Reading docstrings", total=len(sources), unit="file") as progress:
        for file in _read_all(sources, workers):
            newlines, controls = newlines + file.newlines, controls + file.controls
            if file.reason is not None:
                set_aside(file.source.module, file.reason, file.detail, file.source)
            for row in file.rows:
                if not is_unicode(row.text + (row.summary or "")):
                    set_aside(row.doc_id, "lone_surrogate", _SURROGATE, row)
                elif row.doc_id in adapted_on:
                    set_aside(row.doc_id, "adaptation", _ADAPTATION, row)
                elif (kept := rows.setdefault(row.doc_id, row)) is not row:
                    rows[row.doc_id], loser = sorted((kept, row), key=_length, reverse=True)
                    set_aside(row.doc_id, "duplicate_name", _SHORTER, loser)
            progress.advance()
    documents = pl.DataFrame(
        [(r.doc_id, r.doc_id, r.summary, r.text, r.group) for _, r in sorted(rows.items())],
        schema=DOCUMENT_SCHEMA,
        orient="row",
    )
    counts = {
        "documents": documents.height,
        "files": len(sources),
        "newlines_normalised": newlines,
        "control_characters_removed": controls,
    }
    return Checked(documents, quarantine_table(aside), counts | count_reasons(aside))


def _python_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files that Python could import from ``folder``, with their dotted module names."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f.isidentifier() and f not in _SKIPPED_FOLDERS)
        package = Path(here).relative_to(folder).parts
        for name in sorted(files):
            stem, extension = os.path.splitext(name)
            if extension != ".py" or not stem.isidentifier() or _is_test(stem):
                continue
            module = ".".join(package if stem == "__init__" else (*package, stem))
            if module:
                yield Path(here, name), module


def _is_test(stem: str) -> bool:
    return stem.startswith("test_") or stem.endswith("_test") or stem == "conftest"


def _choose(sources: Sequence[Source], settings: PythonDocsSettings) -> list[Source]:
    names = [{source.group, source.module.partition(".")[0]} for source in sources]
    known, include = set().union(*names), settings.include
    if unknown := [name for name in include or () if name not in known]:
        near = ", ".join(get_close_matches(unknown[0], known, n=3)) or "none"
        raise InputError(
            "python_docs.include",
            expected="top-level names of installed packages",
            got=unknown[0],
            fix=f"Install it or take it out of the parameter; names near to it: {near}.",
        )
    return [
        source
        for source, own in zip(sources, names, strict=True)
        if (include is None or own & set(include)) and not own & set(settings.exclude)
    ]


def _read_all(sources: Sequence[Source], workers: int) -> Iterator[FileDocs]:
    """``read_docstrings`` of every source, in order."""
    if workers <= 1 or len(sources) < _FILES_WORTH_A_POOL:
        yield from map(read_docstrings, sources)
        return
    # Spawned, not forked: the parent may hold threads of torch or polars.
    context = multiprocessing.get_context("spawn")
    # Syntax trees have no cycles; without the collector a file takes a fifth less time.
    with ProcessPoolExecutor(workers, mp_context=context, initializer=gc.disable) as pool:
        yield from pool.map(read_docstrings, sources, chunksize=_FILES_PER_BATCH)


def _length(row: DocRow) -> int:
    return len(row.summary or "") + len(row.text)
