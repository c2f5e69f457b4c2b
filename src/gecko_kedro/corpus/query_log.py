"""A log of real queries without labels, to join or replace synthetic ones."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from gecko_kedro.base.text import normalise
from gecko_kedro.corpus.cleaning import is_unicode
from gecko_kedro.corpus.columns import check_mapping
from gecko_kedro.corpus.formats import check_readable, read_table
from gecko_kedro.corpus.lines import RawRow, read_lines, readable
from gecko_kedro.corpus.quarantine import count_reasons, quarantine_table, set_aside
from gecko_kedro.corpus.results import QueryLogResult, ReadResult
from gecko_kedro.corpus.rows import collect_documents
from gecko_kedro.corpus.schemas import QUERY_LOG_SCHEMA

_ROLES = ("query_id", "query")


def read_query_log(source: str | None, *, columns: Mapping[str, str | None]) -> QueryLogResult:
    """The queries of ``source``, in its order, each once (case and white space ignored).

    ``source`` is a .txt file of one query a line, or a .jsonl, .csv, .tsv or .parquet file whose
    columns ``columns`` names (``query``, and ``query_id`` or None); ``None`` is an empty log.
    Without a ``query_id`` the id is a hash of the query. Rows are checked as those of
    ``read_corpus`` are, with the same reasons, and ``duplicate_query``.

    Raises InputError for a missing source, wrong columns, and when no query is left.
    """
    if source is None:
        empty = pl.DataFrame(schema=QUERY_LOG_SCHEMA)
        return QueryLogResult(empty, quarantine_table([]), {"queries": 0, "quarantined": 0})
    path = Path(source).expanduser()
    check_readable(path)
    read = _read(path, columns)
    queries = read.documents.select(query_id="doc_id", query="text")
    queries, repeated = set_aside(
        queries, _repeated(queries), id_column="query_id", where=source, reason="duplicate_query"
    )
    quarantine = pl.concat([read.quarantine, quarantine_table(repeated)])
    counts = {"queries": queries.height} | count_reasons(quarantine.rows())
    return QueryLogResult(queries, quarantine, counts)


def _read(path: Path, columns: Mapping[str, str | None]) -> ReadResult:
    if path.suffix.lower() == ".txt":
        return collect_documents(_read_lines(path), {"text": "query"}, source=str(path))
    names = check_mapping(columns, roles=_ROLES, required="query", where="queries.columns")
    roles = {"text": names["query"]}
    if "query_id" in names:
        roles["doc_id"] = names["query_id"]
    rows = read_table(path, wanted=list(roles.values()))
    return collect_documents(rows, roles, source=str(path))


def _read_lines(path: Path) -> Iterator[RawRow]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        bad = ("not_utf8", "bytes that are not UTF-8") if not is_unicode(line) else ()
        yield RawRow(f"{path}:{number}", {"query": readable(line)}, *bad)


def _repeated(queries: pl.DataFrame) -> dict[str, str]:
    """Ids of queries that came before, with the id that stays."""
    first: dict[str, str] = {}
    return {
        query_id: f"same query as {kept}"
        for query_id, query in queries.iter_rows()
        if (kept := first.setdefault(normalise(query), query_id)) != query_id
    }
