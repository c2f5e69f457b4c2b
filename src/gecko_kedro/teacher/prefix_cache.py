"""Keys and values of token prefixes, computed once and kept while there is room.

A radix tree over token ids with least-recently-used leaves given up first, as in RadixAttention
(Zheng et al. 2024, "SGLang", section 3). The few-shot prefix of a run is its trunk; passages are
branches; what follows a passage (a query, the question for its grade) are leaves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from torch import Tensor

# One (keys, values) for each layer, each (heads, tokens, width of a head).
KeysValues = list[tuple["Tensor", "Tensor"]]


@dataclass(eq=False)
class _Node:
    tokens: tuple[int, ...]
    keys_values: KeysValues
    parent: Optional["_Node"]
    children: dict[int, "_Node"] = field(default_factory=dict)
    last_use: int = 0


@dataclass(frozen=True)
class Match:
    """The longest known prefix of some tokens: its length, and its pieces from left to right."""

    length: int
    pieces: tuple[tuple[int, KeysValues], ...]  # (number of tokens, keys and values)


class PrefixCache:
    """Holds at most ``max_tokens`` tokens; 0 for none at all."""

    def __init__(self, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._root = _Node((), [], None)
        self._clock = count(1)
        self.n_tokens = 0

    def find(self, tokens: Sequence[int], *, at_most: int) -> Match:
        """What is known of the first ``at_most`` of ``tokens``."""
        pieces, length = [], 0
        for node, shared in self._path(tokens[:at_most]):
            pieces.append((shared, node.keys_values))
            length += shared
        return Match(length, tuple(pieces))

    def add(self, tokens: Sequence[int], keys_values: KeysValues) -> None:
        """Keep ``keys_values`` of the last of ``tokens``; those of the others must be known.

        They may have been given up in the meantime, or more may be known by now: then only what
        fits is kept, or nothing.
        """
        if len(tokens) > self.max_tokens:
            return
        new = keys_values[0][0].shape[1]
        path = list(self._path(tokens))
        length = sum(shared for _, shared in path)
        if length == len(tokens) or length < len(tokens) - new:
            return
        parent = self._root
        if path:
            last, shared = path[-1]
            parent = last if shared == len(last.tokens) else self._split(last, shared)
        kept = _piece(keys_values, length - (len(tokens) - new), new)
        tail = tuple(tokens[length:])
        # A slice would keep the keys and values of the whole batch alive.
        leaf = _Node(tail, [(k.clone(), v.clone()) for k, v in kept], parent)
        leaf.last_use = next(self._clock)
        parent.children[tail[0]] = leaf
        self.n_tokens += len(tail)
        self._make_room()

    def _path(self, tokens: Sequence[int]) -> Iterator[tuple[_Node, int]]:
        """The nodes along ``tokens`` and how many tokens of each agree; they count as used."""
        node, start, now = self._root, 0, next(self._clock)
        while start < len(tokens):
            child = node.children.get(tokens[start])
            if child is None:
                return
            shared = common_prefix(child.tokens, tokens[start:])
            child.last_use = now
            yield child, shared
            if shared < len(child.tokens):
                return
            node, start = child, start + shared

    def _split(self, node: _Node, at: int) -> _Node:
        """Make the first ``at`` tokens of ``node`` a node of their own, its parent."""
        assert node.parent is not None  # the root has no tokens to split
        upper = _Node(
            node.tokens[:at], _piece(node.keys_values, 0, at), node.parent, last_use=node.last_use
        )
        node.parent.children[node.tokens[0]] = upper
        node.keys_values = _piece(node.keys_values, at, len(node.tokens))
        node.tokens, node.parent = node.tokens[at:], upper
        upper.children[node.tokens[0]] = node
        return upper

    def _make_room(self) -> None:
        while self.n_tokens > self.max_tokens:
            oldest = min(self._leaves(), key=lambda node: node.last_use)
            assert oldest.parent is not None  # a leaf with tokens is never the root
            del oldest.parent.children[oldest.tokens[0]]
            self.n_tokens -= len(oldest.tokens)

    def _leaves(self) -> Iterator[_Node]:
        waiting = list(self._root.children.values())
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            if not node.children:
                yield node


def _piece(keys_values: KeysValues, start: int, stop: int) -> KeysValues:
    return [(keys[:, start:stop], values[:, start:stop]) for keys, values in keys_values]


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both begin with."""
    shorter = min(len(left), len(right))
    # Slices compare in C; bisection finds the first difference without a loop over tokens.
    low, high = 0, shorter
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def shared_prefixes(
    sequences: Sequence[tuple[int, ...]], *, shortest: int
) -> list[list[tuple[int, ...]]]:
    """The prefixes that at least two of ``sequences`` (sorted) share, level by level.

    Each goes on from one of the level before it and is at least ``shortest`` tokens longer, so that
    no pass is spent on a few tokens that two passages happen to begin with.
    """
    levels: list[list[tuple[int, ...]]] = []
    waiting = [(0, len(sequences), 0, 0)]  # rows from, to, the length they share so far, level
    while waiting:
        start, stop, known, level = waiting.pop()
        if stop - start < 2:
            continue
        length = common_prefix(sequences[start], sequences[stop - 1])  # sorted: that of all
        if length - known >= shortest:
            levels += [[] for _ in range(level + 1 - len(levels))]
            levels[level].append(sequences[start][:length])
            known, level = length, level + 1
        next_tokens = ((sequences[row][length : length + 1], row) for row in range(start, stop))
        for token, group in groupby(next_tokens, itemgetter(0)):
            branch = [row for _, row in group]
            if token:  # else they end here
                waiting.append((branch[0], branch[-1] + 1, known, level))
    return levels
