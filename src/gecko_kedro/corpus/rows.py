"""Raw rows to documents: every value checked, every bad row set aside with its reason."""

import logging
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.cleaning import clean_text, is_unicode
from gecko_kedro.corpus.formats import RawRow
from gecko_kedro.corpus.html_text import html_to_text, looks_like_html
from gecko_kedro.corpus.quarantine import (
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
)
from gecko_kedro.corpus.results import ReadResult
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA

logger = logging.getLogger(__name__)


class _BadRowError(Exception):
    """A row that goes to quarantine: reason and detail."""

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
    for row in rows:
        doc_id = str(row.values.get(names.get("doc_id", ""), row.where))
        try:
            if row.reason is not None:
                raise _BadRowError(row.reason, row.detail)
            document = _document(row.values, names, tally)
            doc_id = str(document[0])
            if doc_id in documents:
                raise _BadRowError("duplicate_id", f"the id of {places[doc_id]}")
        except _BadRowError as error:
            reason, detail = error.reason, error.detail
            aside.append(
                quarantine_row(row.where, doc_id, reason=reason, detail=detail, record=row.values)
            )
            continue
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
    values: Mapping[str, Any], names: Mapping[str, str], tally: dict[str, int]
) -> tuple[str | None, ...]:
    """A row of DOCUMENT_SCHEMA; raises _BadRowError."""
    raw = {role: values.get(name) for role, name in names.items()}
    if raw["text"] is None:
        raise _BadRowError("null_text", f"{names['text']} is null or missing")
    if "doc_id" in names and raw["doc_id"] in (None, ""):
        raise _BadRowError("null_id", f"{names['doc_id']} is null, empty or missing")
    fields = {role: _string(role, names[role], value) for role, value in raw.items()}
    title, text = fields.get("title"), fields["text"] or ""
    if looks_like_html(text):
        tally["html_converted"] += 1
        page_title, text = html_to_text(text)
        title = title or page_title
    clean = clean_text(text)
    tally["newlines_normalised"] += bool(clean.newlines)
    tally["control_characters_removed"] += bool(clean.controls)
    if not clean.text:
        raise _BadRowError("empty_text", f"{names['text']} has no characters but white space")
    title, summary = _one_line(title), _one_line(fields.get("summary"))
    doc_id = fields.get("doc_id") or _hash_id(title, clean.text)
    return doc_id, title, summary, clean.text, fields.get("group") or doc_id


def _string(role: str, name: str, value: Any) -> str | None:
    """``value`` as a string; whole numbers are allowed where they are names of something."""
    if role in ("doc_id", "group") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise _BadRowError("not_a_string", f"{name} is a {type(value).__name__}")
    if value is not None and not is_unicode(value):
        raise _BadRowError("lone_surrogate", f"{name} holds half of a surrogate pair")
    return value


def _one_line(text: str | None) -> str | None:
    return " ".join(clean_text(text).text.split()) or None if text else None


def _hash_id(title: str | None, text: str) -> str:
    return blake2b(f"{title or ''}\0{text}".encode(), digest_size=8).hexdigest()
