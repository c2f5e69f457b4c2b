"""The docstrings of one source file, read with ``ast``: nothing is imported or executed.

Only the standard library is imported here, because worker processes load this module.
"""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gecko_kedro.corpus.texts import clean_text, count_words, has_words

SUMMARY_WORDS = (4, 60)  # a summary line is a phrase, not a label and not an essay
BODY_WORDS = 20  # a body shorter than this stays with its summary

# A docstring is a statement that begins with a quote: at the start of a line or behind a colon.
# Files without one (a third of an environment) are not worth parsing.
_MAY_HAVE_DOCSTRING = re.compile(rb"""(?:^|[:;])[ \t]*[rRuU]?["']""", re.MULTILINE)
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
_HOLDS_STATEMENTS = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While)
_Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """A Python file to read."""

    path: str
    module: str  # dotted name, "json.decoder"
    group: str  # top-level package, or "stdlib"


class DocRow(NamedTuple):
    """One docstring; ``text`` has no summary line where ``summary`` is given."""

    doc_id: str  # qualified name
    summary: str | None
    text: str
    group: str


class FileDocs(NamedTuple):
    """What one file gave: its docstrings, or the reason why it could not be read."""

    source: Source
    rows: tuple[DocRow, ...] = ()
    reason: str | None = None
    detail: str = ""
    newlines: int = 0
    controls: int = 0


def read_docstrings(source: Source) -> FileDocs:
    """The docstrings of modules, classes, methods and functions of a file, in its order.

    Functions local to another function are left out: nobody looks them up. A file that cannot be
    read, decoded (PEP 263 coding lines count) or parsed gives no rows and a reason.
    """
    try:
        data = Path(source.path).read_bytes()
    except OSError as error:
        return FileDocs(source, reason="unreadable", detail=str(error))
    if not _MAY_HAVE_DOCSTRING.search(data):
        return FileDocs(source)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        code = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        return FileDocs(source, reason="not_decodable", detail=str(error))
    try:
        with warnings.catch_warnings():  # other people's invalid escapes are not our users' news
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        detail = f"{type(error).__name__}: {error}"
        return FileDocs(source, reason="syntax_error", detail=detail)
    rows, newlines, controls = [], 0, 0
    for name, node in _definitions(tree, source.module):
        clean = clean_text(ast.get_docstring(node) or "")
        newlines, controls = newlines + bool(clean.newlines), controls + bool(clean.controls)
        if clean.text:
            rows.append(DocRow(name, *split_summary(clean.text), source.group))
    return FileDocs(source, tuple(rows), newlines=newlines, controls=controls)


def split_summary(docstring: str) -> tuple[str | None, str]:
    """The summary line and the body of a clean docstring.

    The summary is the first paragraph on one line, or else the first line where that is a
    sentence, of 4 to 60 words; it is split off only when the body has at least 20 words.
    Otherwise ``(None, docstring)``.
    """
    paragraph, *body = _PARAGRAPH_END.split(docstring, maxsplit=1)
    if body and _is_summary(paragraph, body[0]):
        return " ".join(paragraph.split()), body[0].strip()
    line, *body = docstring.split("\n", maxsplit=1)
    if body and line.rstrip().endswith((".", "!", "?")) and _is_summary(line, body[0]):
        return line.strip(), body[0].strip()
    return None, docstring


def _is_summary(summary: str, body: str) -> bool:
    fewest, most = SUMMARY_WORDS
    return fewest <= count_words(summary) <= most and has_words(body, BODY_WORDS)


def _definitions(tree: ast.Module, module: str) -> Iterator[tuple[str, _Definition]]:
    """Every documented thing with its qualified name, also under ``if``, ``try`` and ``with``."""
    yield module, tree
    # A stack, not recursion: generated files nest deeper than Python's limit.
    stack: list[tuple[str, ast.AST]] = [(module, node) for node in reversed(tree.body)]
    while stack:
        scope, node = stack.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{scope}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                stack.extend((name, child) for child in reversed(node.body))
        elif isinstance(node, _HOLDS_STATEMENTS):
            inner = list(ast.iter_child_nodes(node))
            for handler in getattr(node, "handlers", []):
                inner.extend(handler.body)
            stack.extend((scope, child) for child in reversed(inner))
