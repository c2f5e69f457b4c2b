"""The documentation on the user's own machine: docstrings of the installed Python packages.

Sources are read with ``ast``; nothing is imported or executed, and nothing leaves the machine.
"""

import gc
import logging
import multiprocessing
import os
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.progress import track
from gecko_kedro.corpus.cleaning import is_unicode
from gecko_kedro.corpus.docstrings import DocRow, FileDocs, Source, read_docstrings
from gecko_kedro.corpus.quarantine import (
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
)
from gecko_kedro.corpus.results import ReadResult
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA

logger = logging.getLogger(__name__)

STDLIB = "stdlib"
# Test suites repeat each other's one-liners; vendored copies repeat whole packages.
_TESTS = ("test", "tests", "idle_test", "idlelib")
_VENDORED = ("_vendor", "vendor", "_vendored", "vendored")
_SKIPPED_FOLDERS = {*_TESTS, *_VENDORED, "site-packages", "dist-packages", "__pycache__"}
_FILES_WORTH_A_POOL = 400  # below this, starting worker processes takes longer than reading
_FILES_PER_BATCH = 32


def harvest(
    *, include: Sequence[str] | None, exclude: Sequence[str], stdlib: bool, workers: int
) -> ReadResult:
    """The docstrings of the standard library and of every installed package, as documents.

    ``include`` and ``exclude`` are top-level package names; ``"stdlib"`` names the whole standard
    library, and one of its modules (``"json"``) names that module. ``include=None`` takes
    everything. ``doc_id`` and ``title`` are the qualified name, ``group`` is the top-level package
    or ``"stdlib"``. Documents are sorted by ``doc_id``; the result does not depend on ``workers``.

    Raises InputError when a name of ``include`` is not installed.
    """
    sources = list(package_sources(site_folders()))
    if stdlib:
        sources += stdlib_sources()
    chosen = _choose(sources, include=include, exclude=exclude)
    result = harvest_sources(chosen, workers=workers)
    logger.info(
        "Harvested %d docstrings from %d files of %d packages (%d rows quarantined)",
        result.documents.height,
        len(chosen),
        len({source.group for source in chosen}),
        result.quarantine.height,
    )
    return result


def site_folders() -> list[Path]:
    """The folders of the running environment into which packages are installed."""
    paths = sysconfig.get_paths()
    return [Path(path) for path in dict.fromkeys((paths["purelib"], paths["platlib"]))]


def package_sources(folders: Iterable[Path]) -> Iterator[Source]:
    """The Python files of every package and module in ``folders``, in a fixed order."""
    for folder in folders:
        for file, module in _python_files(folder):
            yield Source(str(file), module, module.partition(".")[0])


def stdlib_sources() -> Iterator[Source]:
    """The Python files of the standard library, without tests and IDLE."""
    for file, module in _python_files(Path(sysconfig.get_paths()["stdlib"])):
        yield Source(str(file), module, STDLIB)


def harvest_sources(sources: Sequence[Source], *, workers: int) -> ReadResult:
    """The docstrings of ``sources``; ``workers`` processes share the files.

    Of several docstrings with one qualified name (overloads, conditional definitions) the longest
    is kept, the first of equally long ones; the others and unreadable files are quarantined.
    """
    rows: dict[str, DocRow] = {}
    aside: list[QuarantineRow] = []
    newlines = controls = 0
    files = _read_all(sources, workers)
    for file in track(files, "Reading docstrings", total=len(sources), unit="file"):
        newlines, controls = newlines + file.newlines, controls + file.controls
        if file.reason is not None:
            aside.append(
                quarantine_row(
                    file.source.path, file.source.module,
                    reason=file.reason, detail=file.detail, record=file.source._asdict(),
                )
            )  # fmt: skip
        for row in file.rows:
            loser = _keep_longest(rows, row)
            if loser is not None:
                aside.append(_aside(file.source, *loser))
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
    return ReadResult(documents, quarantine_table(aside), counts | count_reasons(aside))


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


def _choose(
    sources: Sequence[Source], *, include: Sequence[str] | None, exclude: Sequence[str]
) -> list[Source]:
    def names(source: Source) -> set[str]:
        return {source.group, source.module.partition(".")[0]}

    known = set().union(*(names(source) for source in sources))
    for name in include or ():
        if name not in known:
            near = ", ".join(get_close_matches(name, known, n=3)) or "none"
            raise InputError(
                "python_docs.include",
                expected="top-level names of installed packages",
                got=name,
                fix=f"Install it or take it out of the parameter; names near to it: {near}.",
            )
    return [
        source
        for source in sources
        if (include is None or names(source) & set(include)) and not names(source) & set(exclude)
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


def _keep_longest(rows: dict[str, DocRow], row: DocRow) -> tuple[str, DocRow] | None:
    """Add ``row``; what has to go for it, with the reason."""
    if not is_unicode(row.text) or not is_unicode(row.summary or ""):
        return "lone_surrogate", row
    kept = rows.get(row.doc_id)
    if kept is None:
        rows[row.doc_id] = row
        return None
    if _length(row) > _length(kept):
        rows[row.doc_id] = row
        return "duplicate_name", kept
    return "duplicate_name", row


def _length(row: DocRow) -> int:
    return len(row.summary or "") + len(row.text)


def _aside(source: Source, reason: str, row: DocRow) -> QuarantineRow:
    detail = {
        "duplicate_name": "another definition of this name has a longer docstring",
        "lone_surrogate": "the docstring holds half of a surrogate pair, which is no character",
    }[reason]
    return quarantine_row(
        source.path, row.doc_id, reason=reason, detail=detail, record=row._asdict()
    )
