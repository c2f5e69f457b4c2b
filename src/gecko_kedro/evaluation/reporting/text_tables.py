"""The tables of the smaller pipelines as text for a terminal."""

from collections.abc import Sequence

import polars as pl


def ablation_text(table: pl.DataFrame) -> str:
    """ABLATION_TABLE_SCHEMA in points, and below it the notes."""
    rows = [("row", "task", "dim", "mean", "sd", "diff", "95 % interval", "paper")]
    rows += [
        (one["row"], one["task"], str(one["dimension"]), _points(one["mean"]),
         _points(one["deviation"]), _points(one["difference"], "+"),
         _interval(one["low"], one["high"], scale=100), _points(one["paper_difference"], "+"))
        for one in table.filter(pl.col("task").is_not_null()).iter_rows(named=True)
    ]  # fmt: skip
    noted = table.filter(pl.col("note").is_not_null()).unique(["row", "note"], maintain_order=True)
    notes = [f"{one['row']}: {one['note']}" for one in noted.iter_rows(named=True)]
    return "\n".join([_aligned(rows, "<<>>>>>>"), *notes])


def parity_text(table: pl.DataFrame, model: str) -> str:
    """PARITY_SCHEMA, in percent."""
    rows = [("task", "ours", "published", "difference", "allowed", "verdict")]
    rows += [
        (one["task"], _number(one["ours"], ".2f"),
         " ".join(f"{score:.2f}" for score in one["published"] or ()),
         _number(one["difference"], "+.2f"), _number(one["tolerance"], ".2f"), one["verdict"])
        for one in table.iter_rows(named=True)
    ]  # fmt: skip
    return f"{model}: our scores beside published ones, in percent\n{_aligned(rows, '<><>><')}"


def label_quality_text(table: pl.DataFrame) -> str:
    """LABEL_QUALITY_SCHEMA."""
    rows = [("ranking", "measure", "mean", "difference", "95 % interval")]
    rows += [
        (one["ranking"], one["measure"], f"{one['mean']:.3f}", f"{one['difference']:+.3f}",
         _interval(one["low"], one["high"], digits=3))
        for one in table.iter_rows(named=True)
    ]  # fmt: skip
    return _aligned(rows, "<<>>>")


def _aligned(rows: Sequence[Sequence[str]], sides: str) -> str:
    """The rows, each column as wide as its longest cell, on the left or right (``<``, ``>``)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _interval(low: float | None, high: float | None, *, scale: float = 1, digits: int = 2) -> str:
    if low is None or high is None:
        return ""
    return f"[{scale * low:+.{digits}f}, {scale * high:+.{digits}f}]"


def _points(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{100 * value:{sign}.2f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
