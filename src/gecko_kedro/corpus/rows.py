"""Raw rows to documents: every value checked, every bad row set aside with its reason."""

import logging
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.cleaning import clean_text
from gecko_kedro.corpus.html_text import html_to_text, looks_like_html
from gecko_kedro.corpus.lines import RawRow, usable
from gecko_kedro.corpus.quarantine import (
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
)
from gecko_kedro.corpus.results import ReadResult
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA
from gecko_kedro.corpus.values import as_text, is_missing

logger = logging.getLogger(__name__)


class _UnfitError(Exception):
    """A value, and with it a field or a whole row, that goes to quarantine: reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def collect_documents(
    rows: Iterable[RawRow], names: Mapping[str, str], *, source: str
) -> ReadResult:
    """The documents of ``rows``, in order; ``names`` gives the column of each role, at least text.

    Raises InputError when no row is usable.
    """
    documents: dict[str, tuple[str | None, ...]] = {}
    places: dict[str, str] = {}
    aside: list[QuarantineRow] = []
    tally = {"newlines_normalised": 0, "control_characters_removed": 0, "html_converted": 0}

    def set_aside(row: RawRow, row_id: object, unfit: _UnfitError) -> None:
        aside.append(
            quarantine_row(
                row.where, str(row_id), reason=unfit.reason, detail=unfit.detail, record=row.values
            )
        )

    id_column = names.get("doc_id", "")
    for row in usable(rows, aside, id_column=id_column):
        without: list[_UnfitError] = []
        try:
            document = _document(row.values, names, tally, without)
            doc_id = str(document[0])
            if doc_id in documents:
                raise _UnfitError("duplicate_id", f"the id of {places[doc_id]}")
        except _UnfitError as unfit:
            set_aside(row, row.values.get(id_column, row.where), unfit)
            continue
        for field in without:
            set_aside(row, doc_id, field)
        documents[doc_id] = document
        places[doc_id] = row.where
    counts = {"documents": len(documents)} | tally | count_reasons(aside)
    if not documents:
        raise InputError(
            source,
            expected="at least one usable document",
            got=Words(
                f"no document; set aside: {count_reasons(aside)}" if aside else "no rows at all"
            ),
            fix=f"First problem: {aside[0][0]}: {aside[0][3]}." if aside else "Is the file empty?",
        )
    logger.info("Read %s: %s", source, counts)
    table = pl.DataFrame(list(documents.values()), schema=DOCUMENT_SCHEMA, orient="row")
    return ReadResult(table, quarantine_table(aside), counts)


def _document(
    values: Mapping[str, Any],
    names: Mapping[str, str],
    tally: dict[str, int],
    without: list[_UnfitError],
) -> tuple[str | None, ...]:
    """A row of DOCUMENT_SCHEMA; fields that it has to do ``without``, and _UnfitError for a row."""
    text = _text(values.get(names["text"]), names["text"])
    fields = {role: _field(values, role, name, without) for role, name in names.items()}
    title = fields.get("title")
    if looks_like_html(text):
        tally["html_converted"] += 1
        page_title, text = html_to_text(text)
        title = title or page_title
    clean = clean_text(text)
    tally["newlines_normalised"] += bool(clean.newlines)
    tally["control_characters_removed"] += bool(clean.controls)
    if not clean.text:
        raise _UnfitError("empty_text", f"{names['text']} has no characters but white space")
    title, summary = _one_line(title), _one_line(fields.get("summary"))
    doc_id = fields.get("doc_id") or _hash_id(title, clean.text)
    return doc_id, title, summary, clean.text, fields.get("group") or doc_id


def _text(value: Any, name: str) -> str:
    if is_missing(value):
        raise _UnfitError("null_text", f"{name} is null or missing")
    if not isinstance(value, str):
        raise _UnfitError("not_a_string", f"{name} is a {type(value).__name__}")
    return value


def _field(
    values: Mapping[str, Any], role: str, name: str, without: list[_UnfitError]
) -> str | None:
    """The value of any role but the text; what is none joins ``without``."""
    if role == "text":
        return None
    try:
        value = as_text(values.get(name))
    except TypeError as error:
        without.append(_UnfitError("not_a_string", f"{name} is {error}; the document is kept"))
        return None
    if role == "doc_id" and not (value and value.strip()):
        without.append(_UnfitError("null_id", f"{name} is null or empty; the document is kept"))
    return value.strip() if value and role in ("doc_id", "group") else value


def _one_line(text: str | None) -> str | None:
    return " ".join(clean_text(text).text.split()) or None if text else None


def _hash_id(title: str | None, text: str) -> str:
    return blake2b(f"{title or ''}\0{text}".encode(), digest_size=8).hexdigest()
