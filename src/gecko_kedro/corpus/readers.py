"""A corpus from files or from the Hugging Face Hub, as documents, and a log of queries.

Every value is checked, and every bad row set aside with its reason.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.duplicates import repeated
from gecko_kedro.corpus.folder import TEXT_SUFFIXES, read_folder
from gecko_kedro.corpus.formats import TABLE_SUFFIXES, check_readable, read_hub, read_table
from gecko_kedro.corpus.html_text import html_to_text, looks_like_html
from gecko_kedro.corpus.lines import RawRow, read_lines, readable, usable
from gecko_kedro.corpus.quarantine import (
    Checked,
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
    set_aside,
)
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA, QUERY_LOG_SCHEMA
from gecko_kedro.corpus.texts import clean_text, is_unicode
from gecko_kedro.corpus.values import as_text, check_mapping, is_missing

logger = logging.getLogger(__name__)

_ROLES = ("doc_id", "title", "text", "group", "summary")
# Of a query log: its roles, and what a document has in their place.
_QUERY_ROLES = {"query_id": "doc_id", "query": "text"}
_FOLDER_COLUMNS = {"doc_id": "doc_id", "title": "title", "text": "text"}


def read_corpus(source: str, *, columns: Mapping[str, str | None], split: str = "train") -> Checked:
    """The documents (DOCUMENT_SCHEMA) of ``source``, in its order.

    ``source`` is a folder of .txt, .md and .html files, a .jsonl, .csv, .tsv or .parquet file, or
    a Hugging Face data set id (``"owner/name"`` or ``"owner/name:configuration"``, of which
    ``split`` is read). ``columns`` maps ``text`` and, where there are such columns, ``doc_id``,
    ``title``, ``group`` and ``summary`` to names; ``None`` means that there is none. Folders need
    no mapping. Without a ``doc_id`` the id is a hash of title and text, which stays the same when
    rows come and go; without a ``group`` each document is its own.

    Text is cleaned as in texts.py; a text that is a whole HTML page is converted; both are
    counted. Ids, titles and groups that are numbers become text as values.py says.
    docs/own-corpus.md lists the reasons for which a row, or a field of it, is set aside.

    Raises InputError for a missing source, wrong columns, and when no document is left.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return collect_documents(read_folder(path), _FOLDER_COLUMNS, source=source)
    names = check_mapping(columns, roles=_ROLES, required="text", where="corpus.columns")
    wanted = list(dict.fromkeys(names.values()))
    if path.exists():
        return collect_documents(read_table(path, wanted=wanted), names, source=source)
    if looks_like_path(source):
        raise InputError(
            source,
            expected="a folder or file",
            got=Words("no such file or folder"),
            fix=f"Check the path; relative ones start at {Path.cwd()}.",
        )
    return collect_documents(read_hub(source, split=split, wanted=wanted), names, source=source)


def read_query_log(source: str | None, *, columns: Mapping[str, str | None]) -> Checked:
    """The queries (QUERY_LOG_SCHEMA) of ``source``, in its order, each once by ``base.text``.

    ``source`` is a .txt file of one query a line, or a .jsonl, .csv, .tsv or .parquet file whose
    columns ``columns`` names (``query``, and ``query_id`` or None); ``None`` is an empty log.
    Without a ``query_id`` the id is a hash of the query. Rows are checked as those of
    ``read_corpus`` are, with the same reasons, and ``duplicate_query``.

    Raises InputError for a missing source, wrong columns, and when no query is left.
    """
    if source is None:
        empty = pl.DataFrame(schema=QUERY_LOG_SCHEMA)
        return Checked(empty, quarantine_table([]), {"queries": 0, "quarantined": 0})
    path = Path(source).expanduser()
    check_readable(path)
    if path.suffix.lower() == ".txt":
        rows, roles = _query_rows(path), {"text": "query"}
    else:
        names = check_mapping(
            columns, roles=[*_QUERY_ROLES], required="query", where="queries.columns"
        )
        roles = {_QUERY_ROLES[role]: name for role, name in names.items()}
        rows = read_table(path, wanted=list(roles.values()))
    read = collect_documents(rows, roles, source=str(path))
    queries = read.rows.select(query_id="doc_id", query="text")
    again = {gone: f"same query as {kept}" for gone, kept in repeated(queries.iter_rows()).items()}
    queries, aside = set_aside(
        queries, again, id_column="query_id", where=source, reason="duplicate_query"
    )
    quarantine = pl.concat([read.quarantine, quarantine_table(aside)])
    counts = {"queries": queries.height} | count_reasons(quarantine.rows())
    return Checked(queries, quarantine, counts)


def looks_like_path(source: str) -> bool:
    """Whether ``source`` means a file or folder, not a Hugging Face data set id."""
    return (
        source.startswith(("/", ".", "~"))
        or source.count("/") > 1
        or Path(source).suffix.lower() in (*TABLE_SUFFIXES, *TEXT_SUFFIXES)
    )


class _UnfitError(Exception):
    """A value, and with it a field or a whole row, that goes to quarantine: reason and detail."""


def collect_documents(rows: Iterable[RawRow], names: Mapping[str, str], *, source: str) -> Checked:
    """The documents of ``rows``, in order; ``names`` gives the column of each role, at least text.

    Raises InputError when no row is usable.
    """
    documents: dict[str, tuple[str | None, ...]] = {}
    places: dict[str, str] = {}
    aside: list[QuarantineRow] = []
    tally = Counter(newlines_normalised=0, control_characters_removed=0, html_converted=0)
    id_column = names.get("doc_id", "")
    for row in usable(rows, aside, id_column=id_column):
        unfit: list[_UnfitError] = []
        row_id = row.values.get(id_column, row.where)
        try:
            document = _document(row.values, names, tally, unfit)
            doc_id = str(document[0])
            if doc_id in documents:
                raise _UnfitError("duplicate_id", f"the id of {places[doc_id]}")
            documents[doc_id], places[doc_id], row_id = document, row.where, doc_id
        except _UnfitError as of_row:
            unfit = [of_row]
        for reason, detail in (one.args for one in unfit):
            aside.append(
                quarantine_row(
                    row.where, str(row_id), reason=reason, detail=detail, record=row.values
                )
            )
    if not documents:
        raise InputError(
            source,
            expected="at least one usable document",
            got=Words(
                f"no document; set aside: {count_reasons(aside)}" if aside else "no rows at all"
            ),
            fix=f"First problem: {aside[0][0]}: {aside[0][3]}." if aside else "Is the file empty?",
        )
    counts = {"documents": len(documents), **tally, **count_reasons(aside)}
    logger.info("Read %s: %s", source, counts)
    table = pl.DataFrame(list(documents.values()), schema=DOCUMENT_SCHEMA, orient="row")
    return Checked(table, quarantine_table(aside), counts)


def _document(
    values: Mapping[str, Any],
    names: Mapping[str, str],
    tally: Counter[str],
    without: list[_UnfitError],
) -> tuple[str | None, ...]:
    """A row of DOCUMENT_SCHEMA; fields that it has to do ``without``, and _UnfitError for a row."""
    column = names["text"]
    text = values.get(column)
    if is_missing(text):
        raise _UnfitError("null_text", f"{column} is null or missing")
    if not isinstance(text, str):
        raise _UnfitError("not_a_string", f"{column} is a {type(text).__name__}")
    fields = {
        role: _field(values, role, name, without) for role, name in names.items() if role != "text"
    }
    title = fields.get("title")
    if looks_like_html(text):
        tally["html_converted"] += 1
        page_title, text = html_to_text(text)
        title = title or page_title
    clean = clean_text(text)
    tally["newlines_normalised"] += bool(clean.newlines)
    tally["control_characters_removed"] += bool(clean.controls)
    if not clean.text:
        raise _UnfitError("empty_text", f"{column} has no characters but white space")
    title, summary = _one_line(title), _one_line(fields.get("summary"))
    content = f"{title or ''}\0{clean.text}".encode()
    doc_id = fields.get("doc_id") or blake2b(content, digest_size=8).hexdigest()
    return doc_id, title, summary, clean.text, fields.get("group") or doc_id


def _field(
    values: Mapping[str, Any], role: str, name: str, without: list[_UnfitError]
) -> str | None:
    """The value of any role but the text; what is none joins ``without``."""
    try:
        value = as_text(values.get(name))
    except TypeError as error:
        without.append(_UnfitError("not_a_string", f"{name} is {error}; the document is kept"))
        return None
    if role == "doc_id" and not (value and value.strip()):
        without.append(_UnfitError("null_id", f"{name} is null or empty; the document is kept"))
    return value.strip() if value and role in ("doc_id", "group") else value


def _query_rows(path: Path) -> Iterator[RawRow]:
    for number, line in read_lines(path):
        if line.strip():
            bad = () if is_unicode(line) else ("not_utf8", "bytes that are not UTF-8")
            yield RawRow(f"{path}:{number}", {"query": readable(line)}, *bad)


def _one_line(text: str | None) -> str | None:
    return " ".join(clean_text(text).text.split()) or None if text else None
