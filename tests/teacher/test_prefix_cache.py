"""The radix tree of keys and values: what it gives back is what was put in, and never too much."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.teacher.prefix_cache import (
    KeysValues,
    Match,
    PrefixCache,
    common_prefix,
    shared_prefixes,
)

SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=8
)


def values_of(tokens: tuple[int, ...]) -> KeysValues:
    """Like real ones, they depend on a token and on all before it."""
    rows = [float(hash(tokens[: end + 1]) % 9973) for end in range(len(tokens))]
    keys = torch.tensor(rows).reshape(1, -1, 1)
    return [(keys, -keys), (keys + 1, keys + 2)]


def joined(match: Match) -> KeysValues:
    layers = []
    for layer in range(2):
        keys, values = (
            torch.cat([kv[layer][part][:, :n] for n, kv in match.pieces], dim=1) for part in (0, 1)
        )
        layers.append((keys, values))
    return layers


def put(cache: PrefixCache, tokens: tuple[int, ...]) -> None:
    known = cache.find(tokens, at_most=len(tokens)).length
    if known < len(tokens):
        cache.add(tokens, [(k[:, known:], v[:, known:]) for k, v in values_of(tokens)])


@settings(deadline=None, max_examples=40)
@given(SEQUENCES, st.integers(0, 40))
def test_a_prefix_that_is_found_has_its_own_keys_and_values(
    sequences: list[tuple[int, ...]], room: int
) -> None:
    cache = PrefixCache(room)
    for tokens in sequences:
        put(cache, tokens)
        assert cache.n_tokens <= room
        for wanted in sequences:
            match = cache.find(wanted, at_most=len(wanted))
            if match.length:
                expected = values_of(wanted[: match.length])
                for found, true in zip(joined(match), expected, strict=True):
                    assert torch.equal(found[0], true[0])
                    assert torch.equal(found[1], true[1])


@settings(deadline=None, max_examples=40)
@given(SEQUENCES)
def test_with_room_everything_is_kept_once(sequences: list[tuple[int, ...]]) -> None:
    cache = PrefixCache(1000)
    for tokens in sequences:
        put(cache, tokens)
    for tokens in sequences:
        assert cache.find(tokens, at_most=len(tokens)).length == len(tokens)
    prefixes = {tokens[: end + 1] for tokens in sequences for end in range(len(tokens))}
    assert cache.n_tokens == len(prefixes)


def test_no_more_is_found_than_may_be_used() -> None:
    cache = PrefixCache(100)
    put(cache, (1, 2, 3, 4))
    assert cache.find((1, 2, 3, 4), at_most=3).length == 3


def test_what_was_used_last_stays() -> None:
    cache = PrefixCache(8)
    put(cache, (1, 1, 1, 1))
    put(cache, (2, 2, 2, 2))
    cache.find((1, 1, 1, 1), at_most=4)
    put(cache, (3, 3, 3))
    assert cache.find((1, 1, 1, 1), at_most=4).length == 4
    assert cache.find((2, 2, 2, 2), at_most=4).length == 0


def test_the_trunk_outlives_its_branches() -> None:
    cache = PrefixCache(8)
    put(cache, (1, 1, 1, 1))
    for leaf in range(2, 9):
        put(cache, (1, 1, 1, 1, leaf, leaf))
    assert cache.find((1, 1, 1, 1), at_most=4).length == 4


@settings(deadline=None, max_examples=40)
@given(SEQUENCES, st.integers(1, 4))
def test_shared_prefixes_are_shared_and_parents_come_first(
    sequences: list[tuple[int, ...]], shortest: int
) -> None:
    ordered = sorted(sequences)
    seen: list[tuple[int, ...]] = [()]
    for level in shared_prefixes(ordered, shortest=shortest):
        for prefix in level:
            assert sum(tokens[: len(prefix)] == prefix for tokens in ordered) >= 2
            parent = max((known for known in seen if prefix[: len(known)] == known), key=len)
            assert len(prefix) - len(parent) >= shortest
        seen += level
    if shortest == 1:  # then nothing that two sequences share is left out
        for left, right in pairwise(ordered):
            assert left[: common_prefix(left, right)] in seen


def test_a_long_chain_of_prefixes_needs_no_recursion() -> None:
    ordered = sorted(tuple([1] * length) for length in range(1, 1500))
    assert shared_prefixes(ordered, shortest=500)
