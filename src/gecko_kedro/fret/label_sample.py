"""Labels to read: a sample of FRet with its passages side by side, and what was rejected."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.fret.settings import AuditSettings

_LONGEST_TEXT = 600
_EXAMPLES = 2  # of a reason to reject
_TEMPLATES = Path(__file__).parent / "templates"
LABEL_SAMPLE = pl.Schema(
    {
        "query_id": pl.String,
        "task": pl.String,  # as the teacher wrote it
        "task_name": pl.String,
        "query": pl.String,
        "positive_is_seed": pl.Boolean,  # nullable: a logged query has no seed
        "seed": pl.String,  # title and text, cut to 600 characters; null where it is the positive
        "seed_place": pl.String,  # such as "retriever 3, QL 1, RC 2, fused 2"; null like the text
        "positive": pl.String,
        "positive_place": pl.String,
        "negative": pl.String,  # nullable
        "negative_place": pl.String,
    }
)


def label_sample(
    fret: pl.DataFrame,
    rankings: pl.DataFrame,
    passages: pl.DataFrame,
    settings: AuditSettings = AuditSettings(),
) -> pl.DataFrame:
    """LABEL_SAMPLE: some rows of a FRET table, drawn without replacement; plain text.

    Half of them have a replaced seed, as far as there are; they alternate with the others.
    ``rankings`` (RANKING) give the places, ``passages`` the text of a replaced seed.
    """
    count = settings.rows
    drawn = fret.sample(fraction=1.0, shuffle=True, seed=settings.seed)
    is_replaced = ~pl.col("positive_is_seed").fill_null(value=True)
    replaced, others = drawn.filter(is_replaced), drawn.filter(~is_replaced)
    n_replaced = min(replaced.height, max(count // 2, count - others.height))
    parts = (replaced.head(n_replaced), others.head(max(0, count - n_replaced)))
    rows = pl.concat(
        [part.with_columns(_at=2 * pl.int_range(pl.len()) + n) for n, part in enumerate(parts)]
    ).sort("_at")
    places = _places(rankings.join(rows, on="query_id", how="semi"))
    shown = passages.filter(pl.col("passage_id").is_in(rows["seed_id"].implode()))
    texts = shown.select("passage_id", "title", "text").rows()
    seeds = {passage_id: _titled(title, text) for passage_id, title, text in texts}
    return pl.DataFrame(
        [_row(row, places, seeds) for row in rows.iter_rows(named=True)], schema=LABEL_SAMPLE
    )


def label_sample_page(sample: pl.DataFrame, *, teacher: str) -> str:
    """The sample as an HTML page without scripts, in which every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("label_sample.html.j2")
    return template.render(rows=sample.to_dicts(), teacher=teacher)


def reject_examples(quarantine: pl.DataFrame, *, kept: int) -> list[dict[str, Any]]:
    """For each ``reason`` of ``quarantine``, the most frequent first, its ``count`` and examples.

    ``rate`` is its share of the rejects and the ``kept`` together. Each of the two ``examples`` has
    the ``text`` of the record (the query, else the teacher's reply) and the ``detail``.
    """
    counts = quarantine["reason"].value_counts().sort("count", "reason", descending=[True, False])
    total = quarantine.height + kept
    found = []
    for reason, count in counts.iter_rows():
        rows = quarantine.filter(reason=reason).head(_EXAMPLES).iter_rows(named=True)
        examples = [{"text": _rejected(row), "detail": _cut(row["detail"])} for row in rows]
        found.append(
            {"reason": reason, "count": count, "rate": count / total, "examples": examples}
        )
    return found


def _rejected(row: dict[str, Any]) -> str:
    record = json.loads(row["record"])
    texts = (record.get(name) for name in ("query", "reply"))
    return _cut(next((text for text in texts if isinstance(text, str)), row["row_id"]))


def _row(
    row: dict[str, Any], places: dict[tuple[str, str | None], str], seeds: dict[str | None, str]
) -> dict[str, object]:
    query_id = row["query_id"]
    seed_id = None if row["positive_is_seed"] is not False else row["seed_id"]
    return {
        **{name: row[name] for name in ("query_id", "task", "task_name", "positive_is_seed")},
        "query": _cut(row["query"]),
        "seed": seeds.get(seed_id),
        "seed_place": places.get((query_id, seed_id)),
        "positive": _titled(row["positive_title"], row["positive"]),
        "positive_place": places.get((query_id, row["positive_id"])),
        "negative": row["negative"] and _titled(row["negative_title"], row["negative"]),
        "negative_place": places.get((query_id, row["negative_id"])),
    }


def _places(rankings: pl.DataFrame) -> dict[tuple[str, str | None], str]:
    ranks = {
        "retriever": "retriever_rank", "QL": "query_likelihood_rank", "RC": "relevance_rank",
        "fused": "fused_rank",
    }  # fmt: skip
    return {
        (query_id, passage_id): ", ".join(
            f"{name} {rank}" for name, rank in zip(ranks, own, strict=True) if rank is not None
        )
        for query_id, passage_id, *own in rankings.select(
            "query_id", "passage_id", *ranks.values()
        ).iter_rows()
    }


def _titled(title: str | None, text: str) -> str:
    return _cut(f"{title}: {text}" if title else text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT].rstrip() + "\u2026"
