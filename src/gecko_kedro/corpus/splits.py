"""Held-out groups and stable samples."""

import logging
from collections.abc import Collection
from hashlib import blake2b

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.settings import HeldoutSettings

logger = logging.getLogger(__name__)


def stable_hash(text: str, *, seed: int) -> int:
    """A hash of ``text`` in 0 .. 2**64 - 1, the same on every machine and in every version."""
    salt = seed.to_bytes(8, "little", signed=True)
    return int.from_bytes(blake2b(text.encode(), digest_size=8, salt=salt).digest(), "big")


def split_heldout(
    passages: pl.DataFrame, settings: HeldoutSettings = HeldoutSettings()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split ``passages`` by whole groups into ``(train, heldout)``, both in the given order.

    The groups named in ``groups`` are held out. Where none of them occurs (a corpus of one's own)
    each group is, with probability ``fraction``, by the hash of its name: a group stays on its side
    when the corpus grows. Where that holds out nothing though ``fraction`` is above 0, the group
    with the lowest hash is. Of the rest at most ``max_passages`` are trained on (``cap``).

    Raises InputError when nothing is left to train on.
    """
    present = set(passages["group"])
    out = heldout_groups(present, settings)
    is_out = pl.col("group").is_in(sorted(out))
    train, heldout = passages.filter(~is_out), passages.filter(is_out)
    if train.is_empty():
        raise InputError(
            "corpus.heldout",
            expected="passages of at least one group that is not held out",
            got=Words(f"no group but {', '.join(sorted(out))}" if out else "no passages"),
            fix="Name fewer held-out groups, lower the fraction or read a larger corpus.",
        )
    if missing := sorted(set(settings.groups) - present):
        logger.info("No passages of the held-out groups %s", ", ".join(missing))
    if heldout.is_empty():
        logger.warning("Nothing is held out: name groups of this corpus, or set a fraction")
    capped = cap(train, limit=settings.max_passages, seed=settings.seed)
    if capped.height < train.height:
        logger.warning(
            "%d of %d passages are trained on; corpus.heldout.max_passages: null takes all",
            capped.height, train.height,
        )  # fmt: skip
    logger.info(
        "%d passages to train on; %d of %d groups held out, %d passages",
        capped.height, len(out), len(present), heldout.height,
    )  # fmt: skip
    return capped, heldout


def heldout_groups(present: Collection[str], settings: HeldoutSettings) -> set[str]:
    """Those of the groups ``present`` that ``split_heldout`` holds out."""
    hashes = {group: stable_hash(group, seed=settings.seed) for group in present}
    out = {group for group in present if group in settings.groups}
    out = out or {group for group in present if hashes[group] < settings.fraction * 2**64}
    if not out and settings.fraction > 0 and len(present) > 1:
        out = {min(present, key=lambda group: (hashes[group], group))}
    return out


def cap(
    rows: pl.DataFrame, *, limit: int | None, seed: int, id_column: str = "passage_id"
) -> pl.DataFrame:
    """At most ``limit`` rows, in the given order; all of them where ``limit`` is None.

    The rows with the lowest hashes of their ids are taken (bottom-k sampling): a larger limit
    gives a superset, and a row added to the table displaces at most one.
    """
    if limit is None or rows.height <= limit:
        return rows
    hashes = [stable_hash(row_id, seed=seed) for row_id in rows[id_column]]
    chosen = sorted(range(rows.height), key=lambda row: (hashes[row], row))[:limit]
    return rows[sorted(chosen)]
