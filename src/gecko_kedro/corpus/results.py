"""What the functions of this room give back: a table, what was set aside, and counts of both."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class ReadResult:
    """Documents (DOCUMENT_SCHEMA), quarantined rows (QUARANTINE_SCHEMA) and counts.

    ``counts`` has ``documents``, ``quarantined`` and one entry for each quarantine reason.
    """

    documents: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class PassageResult:
    """Passages (PASSAGE_SCHEMA), quarantined rows and counts."""

    passages: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class PairResult:
    """Natural pairs (PAIR_SCHEMA), quarantined rows and counts."""

    pairs: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class QueryLogResult:
    """Queries (QUERY_LOG_SCHEMA), quarantined rows and counts."""

    queries: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class OverlapResult:
    """The rows of a training table that do not overlap with the evaluation, those that do
    (OVERLAP_SCHEMA), and counts.

    ``counts`` has ``rows``, ``overlapping`` and one entry for each ``<column>_<reason>``.
    """

    rows: pl.DataFrame
    overlaps: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class DecontaminationResult:
    """The rows of a training table that stay, quarantined rows and counts."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]
