"""A log of real queries without labels, to join or replace synthetic ones."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from gecko_kedro.corpus.cleaning import is_unicode
from gecko_kedro.corpus.duplicates import repeated
from gecko_kedro.corpus.formats import check_readable, read_table
from gecko_kedro.corpus.lines import RawRow, read_lines, readable
from gecko_kedro.corpus.quarantine import Checked, count_reasons, quarantine_table, set_aside
from gecko_kedro.corpus.readers import collect_documents
from gecko_kedro.corpus.schemas import QUERY_LOG_SCHEMA
from gecko_kedro.corpus.values import check_mapping

_ROLES = {"query_id": "doc_id", "query": "text"}  # ours, and what a document has in its place


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
        rows, roles = _read_lines(path), {"text": "query"}
    else:
        names = check_mapping(columns, roles=[*_ROLES], required="query", where="queries.columns")
        roles = {_ROLES[role]: name for role, name in names.items()}
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


def _read_lines(path: Path) -> Iterator[RawRow]:
    for number, line in read_lines(path):
        if line.strip():
            bad = () if is_unicode(line) else ("not_utf8", "bytes that are not UTF-8")
            yield RawRow(f"{path}:{number}", {"query": readable(line)}, *bad)
