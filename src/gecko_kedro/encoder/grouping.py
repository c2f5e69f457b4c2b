"""Which texts are embedded together: those of like length, so that little is padded."""

import numpy as np


def token_budget_ranges(
    descending: list[int], budget: int, *, cost: float, largest: int | None = None
) -> list[tuple[int, int]]:
    """(start, end) of groups of texts; ``descending`` are their lengths, the longest first.

    A group's longest text times its size is at most ``budget``, but each has one text at least; no
    group has more than ``largest`` texts. Of all ways to cut, this is the one with the fewest
    tokens, padding included, where a group costs ``cost`` tokens besides.
    """
    n = len(descending)
    most_texts = n if largest is None else largest
    least = np.full(n + 1, np.inf)  # cost of the first so many texts
    least[0] = 0
    begin = np.zeros(n + 1, dtype=np.int64)  # of the last group of these
    for start, longest in enumerate(descending):
        most = min(n - start, most_texts, max(1, budget // longest))
        costs = least[start] + cost + longest * np.arange(1, most + 1)
        ends = slice(start + 1, start + most + 1)
        less = costs < least[ends]
        least[ends][less] = costs[less]
        begin[ends][less] = start
    ranges, end = [], n
    while end:
        ranges.append((int(begin[end]), end))
        end = ranges[-1][0]
    return ranges[::-1]
