"""The results as text for a terminal: aligned, at most 100 columns."""

from collections.abc import Mapping

import polars as pl

from gecko_kedro.evaluation.comparison import Comparison

_NAME_WIDTH = 22
_HEADER = (
    f"{'model':<{_NAME_WIDTH}} {'dim':>5} {'nDCG@10':>8} {'recall@20':>10} "
    f"{'vs base':>8}  {'95 % interval':<17} {'p':>7}  verdict"
)


def as_text(comparison: Comparison) -> str:
    """A block for each task: the models, and under them what FRet adds at each dimension."""
    blocks = []
    for (task,), rows in comparison.results.group_by("task", maintain_order=True):
        lines = [str(task), _HEADER, "-" * len(_HEADER)]
        lines += [_result_line(row) for row in rows.iter_rows(named=True)]
        fret = comparison.fret.filter(pl.col("task") == task)
        if not fret.is_empty():
            lines += ["", f"What FRet adds ({fret['model'][0]} minus {fret['against'][0]})"]
            lines += [_difference_line(row) for row in fret.iter_rows(named=True)]
        blocks.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(blocks)


def _result_line(row: Mapping[str, object]) -> str:
    dimension = "" if row["dimension"] is None else row["dimension"]
    return (
        f"{_short(row['model'])} {dimension:>5} {row['ndcg_at_10']:>8.4f} "
        f"{row['recall_at_20']:>10.4f} {_difference(row)}"
    )


def _difference_line(row: Mapping[str, object]) -> str:
    return f"{_short('')} {row['dimension']:>5} {'':>8} {'':>10} {_difference(row)}"


def _difference(row: Mapping[str, object]) -> str:
    if row["difference"] is None:
        return ""
    interval = f"{row['low']:+.4f} .. {row['high']:+.4f}"
    return f"{row['difference']:>+8.4f}  {interval:<17} {row['p']:>7.4f}  {row['verdict']}"


def _short(name: object) -> str:
    text = str(name)
    shown = text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 1] + "…"
    return f"{shown:<{_NAME_WIDTH}}"
