"""Bad rows are data: kept with where they came from, why they went and what they said."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA

LONGEST_STRING = 2_000  # characters of each string that are kept
_LONGEST_RECORD = 20_000

QuarantineRow = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Checked:
    """A table, what was set aside (QUARANTINE_SCHEMA), and counts of both and of each reason."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


def quarantine_row(
    where: str, row_id: str, *, reason: str, detail: str, record: Mapping[str, Any]
) -> QuarantineRow:
    """One row; ``record`` is kept as ``record_json`` writes it."""
    row = (where, row_id, reason, detail, record_json(record))
    # A lone surrogate, itself a reason for quarantine, has no UTF-8: write its escape.
    return tuple(value.encode("utf-8", "backslashreplace").decode() for value in row)  # type: ignore[return-value]


def record_json(record: Mapping[str, Any]) -> str:
    """A row as JSON with its strings cut to 2,000 characters."""
    cut = {str(k): v[:LONGEST_STRING] if isinstance(v, str) else v for k, v in record.items()}
    text = json.dumps(cut, ensure_ascii=False, default=repr)
    if len(text) > _LONGEST_RECORD:  # a list of a million numbers, say
        text = json.dumps({"beginning": text[:_LONGEST_RECORD]}, ensure_ascii=False)
    return text


def quarantine_table(rows: Sequence[QuarantineRow]) -> pl.DataFrame:
    """``rows`` as a table with QUARANTINE_SCHEMA."""
    return pl.DataFrame(rows, schema=QUARANTINE_SCHEMA, orient="row")


def set_aside(
    table: pl.DataFrame, details: Mapping[str, str], *, id_column: str, where: str, reason: str
) -> tuple[pl.DataFrame, list[QuarantineRow]]:
    """Move the rows whose id is a key of ``details`` (id -> detail) out of ``table``."""
    if not details:
        return table, []
    is_out = pl.col(id_column).is_in(list(details))
    rows = [
        quarantine_row(
            where, row[id_column], reason=reason, detail=details[row[id_column]], record=row
        )
        for row in table.filter(is_out).iter_rows(named=True)
    ]
    return table.filter(~is_out), rows


def count_reasons(rows: Sequence[QuarantineRow]) -> dict[str, int]:
    """``quarantined`` (all rows) and the number of rows of each reason, sorted by name."""
    reasons = Counter(row[2] for row in rows)
    return {"quarantined": len(rows), **dict(sorted(reasons.items()))}
