"""Held-out groups, stable samples, and the removal of what evaluation must not see in training."""

import logging
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import polars as pl

from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_table, set_aside
from gecko_kedro.corpus.words import normalise
from gecko_kedro.errors import InputError

logger = logging.getLogger(__name__)

_HASH_RANGE = 1 << 64


def stable_hash(text: str, *, seed: int) -> int:
    """A hash of ``text`` in 0 .. 2**64 - 1, the same on every machine and in every version."""
    salt = seed.to_bytes(8, "little", signed=True)
    return int.from_bytes(blake2b(text.encode(), digest_size=8, salt=salt).digest(), "big")


def split_heldout(
    passages: pl.DataFrame, *, groups: Sequence[str], fraction: float, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split ``passages`` by whole groups into ``(train, heldout)``, both in the given order.

    The groups named in ``groups`` are held out. Where none of them occurs (a corpus of one's own)
    each group is held out with probability ``fraction``, by the hash of its name: a group stays on
    its side when the corpus grows. Where chance holds out none of several groups, the one with the
    lowest hash is.

    Raises InputError when nothing is left to train on.
    """
    present = sorted(set(passages["group"]))
    named = sorted(set(groups) & set(present))
    missing = sorted(set(groups) - set(present))
    if named:
        out = named
    else:
        order = sorted(present, key=lambda group: (stable_hash(group, seed=seed), group))
        out = [g for g in order if stable_hash(g, seed=seed) < fraction * _HASH_RANGE]
        out = out or order[: 1 if fraction > 0 and len(order) > 1 else 0]
    if missing:
        logger.info("No passages of the held-out groups %s", ", ".join(missing))
    is_out = pl.col("group").is_in(out)
    train, heldout = passages.filter(~is_out), passages.filter(is_out)
    if train.is_empty():
        raise InputError(
            "split_heldout",
            expected="passages of at least one group that is not held out",
            got=f"no other group than {', '.join(out)}" if out else "no passages",
            fix="Name fewer held-out groups, lower the fraction or read a larger corpus.",
        )
    logger.info("%d passages to train on, %d of %d groups held out (%d passages)",
                train.height, len(out), len(present), heldout.height)  # fmt: skip
    return train, heldout


def cap(passages: pl.DataFrame, *, limit: int | None, seed: int) -> pl.DataFrame:
    """At most ``limit`` passages, in the given order; all of them where ``limit`` is None.

    The passages with the lowest hashes of their ids are taken (bottom-k sampling): a larger limit
    gives a superset, and a passage added to the corpus displaces at most one.
    """
    if limit is None or passages.height <= limit:
        return passages
    hashes = [stable_hash(passage_id, seed=seed) for passage_id in passages["passage_id"]]
    chosen = sorted(range(passages.height), key=lambda row: (hashes[row], row))[:limit]
    return passages[sorted(chosen)]


def decontaminate(
    table: pl.DataFrame,
    *,
    id_column: str,
    heldout_texts: Iterable[str],
    columns: Sequence[str] = ("text", "query", "summary", "title"),
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Take the rows out of a training table that hold a text or query of the evaluation.

    A row goes when one of ``columns`` (those that the table has) equals one of ``heldout_texts``,
    case and white space ignored. Titles count only when they have three words or more:
    "Introduction" is no leak. Gives the table, the quarantine (reasons
    ``text_in_heldout``, ``query_in_heldout`` ...) and the counts by reason.
    """
    heldout = {normalise(text) for text in heldout_texts} - {""}
    aside: list[QuarantineRow] = []
    counts: dict[str, int] = {}
    for column in (name for name in columns if name in table.columns):
        details = {
            row_id: f"its {column} is in the evaluation data"
            for row_id, value in table.select(id_column, column).iter_rows()
            if value is not None
            and normalise(value) in heldout
            and (column != "title" or len(value.split()) >= 3)
        }
        reason = f"{column}_in_heldout"
        table, rows = set_aside(
            table, details, id_column=id_column, where="decontamination", reason=reason
        )
        counts[reason] = len(rows)
        aside += rows
    return table, quarantine_table(aside), counts
