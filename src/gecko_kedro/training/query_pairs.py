"""Pairs of a passage and a query, as a language model is adapted on them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.corpus.splits import cap
from gecko_kedro.teacher.adapted import QUERY_TOKENS
from gecko_kedro.teacher.query_form import ANY_KIND, passage_head, query_prefix
from gecko_kedro.teacher.settings import AdaptSettings
from gecko_kedro.teacher.tokens import PromptTokenizer
from gecko_kedro.training.sources import rates_of

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the label of a token that has no part in the loss

# What is learned from: a passage, its title (nullable), what kind of query it is, and the query.
QUERY_PAIR_SCHEMA = pl.Schema(
    {"source": pl.String, "kind": pl.String, "title": pl.String, "text": pl.String,
     "query": pl.String}
)  # fmt: skip
# What comes nearest to a kind of natural pair among the kinds of task of the prompts.
_KINDS = {
    "summary_body": "summary to document", "lead_body": "search result",
    "title_body": "title to article", "name_body": "keyword search",
}  # fmt: skip


def query_pairs(natural_pairs: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """QUERY_PAIR_SCHEMA and ``pair_id`` of natural pairs; a pair of a title has no title."""
    titles = passages.select("passage_id", "title")
    return natural_pairs.join(titles, on="passage_id", how="left", maintain_order="left").select(
        "pair_id",
        source=pl.lit("natural_pairs"),
        kind=pl.col("kind").replace_strict(_KINDS),
        title=pl.when(~pl.col("kind").is_in(["title_body", "name_body"])).then("title"),
        text="text",
        query="query",
    )


def heldout_pairs(natural_pairs: pl.DataFrame, settings: AdaptSettings) -> pl.DataFrame:
    """The natural pairs that no adaptation learns from: drawn by the hash of their ids."""
    return cap(
        natural_pairs, limit=settings.heldout_pairs, seed=settings.seed + 1, id_column="pair_id"
    )


def source_query_pairs(
    sources: Mapping[str, Checked], settings: AdaptSettings
) -> Iterator[pl.DataFrame]:
    """The same of each set from outside, ``rate`` of its rows; the kind is the set's task name."""
    rates = rates_of(settings.sources)
    for name, checked in sources.items():
        rows = checked.rows.with_columns(
            pl.format("{} {}", pl.lit(name), pl.int_range(pl.len())).alias("pair_id")
        )
        few = cap(
            rows, limit=round(rates[name] * rows.height), seed=settings.seed, id_column="pair_id"
        )
        yield few.select(
            "pair_id", source=pl.lit(name), kind="task_name", title="positive_title",
            text=pl.col("positive"), query="query",
        )  # fmt: skip


def token_rows(
    pairs: pl.DataFrame, tokenizer: PromptTokenizer, settings: AdaptSettings, *, end: int
) -> list[dict[str, list[int]]]:
    """Ids of ``prefix`` and ``query``, tokenised as they are asked later, ``end`` behind the query.

    Every other one is without its kind.
    """
    heads = [passage_head(text, title) for title, text in pairs.select("title", "text").iter_rows()]
    kinds = [kind if row % 2 else ANY_KIND for row, kind in enumerate(pairs["kind"])]
    cut = tokenizer.truncate(heads, settings.passage_tokens)
    prefixes = tokenizer.prompts([query_prefix(*one) for one in zip(cut, kinds, strict=True)])
    queries = tokenizer.continuations([f" {query}" for query in pairs["query"]])
    return [
        {"prefix": prefix, "query": [*query[: QUERY_TOKENS - 1], end]}
        for prefix, query in zip(prefixes, queries, strict=True)
    ]


def padded(batch: Sequence[dict[str, list[int]]], padding: int) -> dict[str, "torch.Tensor"]:
    """``input_ids``, ``attention_mask`` and ``labels`` (rows, longest row) of ``token_rows``."""
    import torch

    width = max(len(row["prefix"]) + len(row["query"]) for row in batch)
    ids, mask, labels = [], [], []
    for row in batch:
        prefix, query = row["prefix"], row["query"]
        gap = width - len(prefix) - len(query)
        ids.append([*prefix, *query, *[padding] * gap])
        mask.append([1] * (width - gap) + [0] * gap)
        labels.append([IGNORED] * len(prefix) + query + [IGNORED] * gap)
    names = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.tensor(values) for name, values in names.items()}
