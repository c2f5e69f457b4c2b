"""Forward passes of a causal language model that share what their inputs have in common."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gecko_kedro.base.memory import give_back_free_memory
from gecko_kedro.teacher.prefix_cache import (
    KeysValues,
    Match,
    PrefixCache,
    common_prefix,
    shared_prefixes,
)

if TYPE_CHECKING:
    from torch import Tensor

# Below this many tokens a pass of its own costs more than it saves.
_SHORTEST_SHARED = 32


@dataclass(frozen=True)
class Request:
    """Tokens to feed, and the ids whose log-probabilities are wanted.

    ``targets[-1]`` are ids at the position after the last token, ``targets[-2]`` at the one before
    it, and so on.
    """

    tokens: tuple[int, ...]
    targets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Row:
    """One line of a batch: ``tokens`` of which ``known`` is in the cache already."""

    tokens: tuple[int, ...]
    known: Match

    @property
    def new(self) -> tuple[int, ...]:
        return self.tokens[self.known.length :]


@dataclass
class Pass:
    """What a forward pass left: logits (rows, kept, vocabulary), and what decoding goes on from.

    ``mask`` is (rows, tokens so far), ``positions`` the position of the next token of each row.
    """

    logits: "Tensor"
    cache: Any
    mask: "Tensor"
    positions: "Tensor"


class CausalLM:
    """A model of transformers behind a ``PrefixCache``.

    A prefix that several inputs of a call share, or that an earlier call has left in the cache, is
    computed once; the rest is fed in batches of at most ``batch_tokens`` tokens (cached and padding
    tokens included, since each row has its own copy of their keys and values). Logits are computed
    for the wanted positions only. Models with sliding-window layers are run without sharing.
    """

    def __init__(self, model: Any, *, batch_tokens: int, cache_tokens: int) -> None:
        self._model = model
        self._batch_tokens = batch_tokens
        self._shares = _only_full_attention(model.config)
        self._prefixes = PrefixCache(cache_tokens if self._shares else 0)
        self._takes_rows = "logits_to_keep" in inspect.signature(model.forward).parameters

    def log_probabilities(self, requests: Sequence[Request]) -> list[list[list[float]]]:
        """For each request and each of its ``targets`` the natural-log probability of each id."""
        import torch

        found: list[list[list[float]]] = [[] for _ in requests]
        with torch.inference_mode():
            fed = [(r.tokens, len(r.tokens) - len(r.targets)) for r in requests]
            for numbers, rows in self._prepared(fed):
                for batch in self._batches(rows, extra=0):
                    wanted = [requests[numbers[index]].targets for index in batch]
                    keep = max(len(targets) for targets in wanted)
                    done = self._forward([rows[index] for index in batch], keep=keep)
                    self._remember([rows[index] for index in batch], done)
                    for index, values in zip(batch, _gathered(done.logits, wanted), strict=True):
                        found[numbers[index]] = values
                # Keys and values of ever other sizes leave the heap full of holes.
                give_back_free_memory()
        return found

    def begin(
        self, prompts: Sequence[tuple[int, ...]], *, new_tokens: int
    ) -> Iterator[tuple[list[int], Pass]]:
        """Batches of row numbers and the pass over them, each with room for ``new_tokens``."""
        for numbers, rows in self._prepared([(tokens, len(tokens) - 1) for tokens in prompts]):
            for batch in self._batches(rows, extra=new_tokens):
                done = self._forward([rows[index] for index in batch], keep=1)
                yield [numbers[index] for index in batch], done

    def step(self, state: Pass, tokens: Sequence[int]) -> Pass:
        """One more token for each row."""
        import torch

        ids = torch.tensor([[token] for token in tokens], device=state.mask.device)
        mask = torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], dim=1)
        logits, cache = self._call(ids, mask, state.positions[:, None], state.cache, keep=1)
        return Pass(logits, cache, mask, state.positions + 1)

    @staticmethod
    def select(state: Pass, rows: Sequence[int]) -> Pass:
        """Only ``rows`` of a pass."""
        import torch

        index = torch.tensor(list(rows), device=state.mask.device)
        state.cache.batch_select_indices(index)
        return Pass(state.logits[index], state.cache, state.mask[index], state.positions[index])

    def _prepared(
        self, wanted: Sequence[tuple[tuple[int, ...], int]]
    ) -> Iterator[tuple[list[int], list[_Row]]]:
        """Numbers and rows of some inputs at a time, what they share in the cache.

        With the tokens of each comes the number of them that may be taken from the cache: the last
        ones have to be fed, for their logits.
        """
        for numbers in self._windows([tokens for tokens, _ in wanted]):
            if self._prefixes.max_tokens:
                self._share([wanted[number][0] for number in numbers])
            yield numbers, [self._row(*wanted[number]) for number in numbers]

    def _windows(self, sequences: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
        """Sorted row numbers, as many at a time as the cache holds the tokens of.

        Otherwise the first prefixes would be given up while the last ones are computed.
        """
        window: list[int] = []
        size = 0
        before: tuple[int, ...] = ()
        for number in sorted(range(len(sequences)), key=sequences.__getitem__):
            tokens = sequences[number]
            size += len(tokens) - common_prefix(before, tokens)
            if window and 0 < self._prefixes.max_tokens < size:
                yield window
                window, size = [], len(tokens)
            window.append(number)
            before = tokens
        if window:
            yield window

    def _share(self, sequences: Sequence[tuple[int, ...]]) -> None:
        """Compute what ``sequences`` (sorted) have in common, as far as it is not known."""
        for level in shared_prefixes(sequences, shortest=_SHORTEST_SHARED):
            missing = [row for tokens in level if (row := self._row(tokens, len(tokens))).new]
            for batch in self._batches(missing, extra=0):
                part = [missing[index] for index in batch]
                self._remember(part, self._forward(part, keep=1))

    def _row(self, tokens: tuple[int, ...], most: int) -> _Row:
        return _Row(tokens, self._prefixes.find(tokens, at_most=most))

    def _batches(self, rows: Sequence[_Row], *, extra: int) -> Iterator[list[int]]:
        """Row numbers, similar lengths together: padding costs as much as tokens do."""
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i].new), len(rows[i].tokens)))
        batch: list[int] = []
        known = new = 0
        for index in order:
            row = rows[index]
            known, new = max(known, row.known.length), max(new, len(row.new))
            if batch and (len(batch) + 1) * (known + new + extra) > self._batch_tokens:
                yield batch
                batch, known, new = [], row.known.length, len(row.new)
            batch.append(index)
        if batch:
            yield batch

    def _forward(self, rows: Sequence[_Row], *, keep: int) -> Pass:
        """Cached tokens at the left, new ones at the right end, the gap between masked."""
        import torch

        device = self._model.device
        known = max(row.known.length for row in rows)
        width = max(len(row.new) for row in rows)
        ids, mask, positions = [], [], []
        for row in rows:
            cached, new = row.known.length, len(row.new)
            gap = [0] * (width - new)
            ids.append([*gap, *row.new])
            mask.append([1] * cached + [0] * (known - cached) + gap + [1] * new)
            positions.append([*gap, *range(cached, len(row.tokens))])
        mask_tensor = torch.tensor(mask, device=device)
        id_tensor, places = (torch.tensor(one, device=device) for one in (ids, positions))
        cache = self._cache_of(rows, known)
        logits, cache = self._call(id_tensor, mask_tensor, places, cache, keep=keep)
        ends = torch.tensor([len(row.tokens) for row in rows], device=device)
        return Pass(logits, cache, mask_tensor, ends)

    def _call(
        self, ids: "Tensor", mask: "Tensor", positions: "Tensor", cache: Any, *, keep: int
    ) -> tuple["Tensor", Any]:
        rows: dict[str, Any] = {"logits_to_keep": keep} if self._takes_rows else {}
        output = self._model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
            use_cache=True, **rows,
        )  # fmt: skip
        return output.logits[:, -keep:], output.past_key_values

    def _cache_of(self, rows: Sequence[_Row], known: int) -> Any:
        from transformers.cache_utils import DynamicCache, DynamicLayer

        if not self._shares:
            return DynamicCache(config=self._model.config)
        cache = DynamicCache()
        if known:
            for keys, values in _assembled([row.known for row in rows], known):
                layer = DynamicLayer()  # type: ignore[no-untyped-call]
                layer.lazy_initialization(keys, values)
                layer.keys, layer.values = keys, values
                cache.layers.append(layer)
        return cache

    def _remember(self, rows: Sequence[_Row], done: Pass) -> None:
        if not self._shares:
            return
        for number, row in enumerate(rows):
            new = len(row.new)
            tail = [
                (layer.keys[number, :, -new:], layer.values[number, :, -new:])
                for layer in done.cache.layers
            ]
            self._prefixes.add(row.tokens, tail)


def _assembled(matches: Sequence[Match], known: int) -> Iterator[tuple["Tensor", "Tensor"]]:
    """(rows, heads, known, width) keys and values of each layer; zeros where a row has fewer."""
    import torch

    first = matches[0].pieces
    keys = {tuple((n, id(keys_values)) for n, keys_values in match.pieces) for match in matches}
    for layer in range(len(first[0][1]) if first else len(_any_piece(matches))):
        pair = []
        for part in (0, 1):
            if len(keys) == 1:  # the few-shot prefix alone: no copy
                whole = torch.cat([kv[layer][part][:, :n] for n, kv in first], dim=1)
                pair.append(whole[None].expand(len(matches), -1, -1, -1))
                continue
            example = _any_piece(matches)[layer][part]
            heads, _, width = example.shape
            padded = example.new_zeros(len(matches), heads, known, width)
            for number, match in enumerate(matches):
                start = 0
                for n, kv in match.pieces:
                    padded[number, :, start : start + n] = kv[layer][part][:, :n]
                    start += n
            pair.append(padded)
        yield pair[0], pair[1]


def _any_piece(matches: Sequence[Match]) -> KeysValues:
    return next(match.pieces[0][1] for match in matches if match.pieces)


def _gathered(
    logits: "Tensor", wanted: Sequence[tuple[tuple[int, ...], ...]]
) -> list[list[list[float]]]:
    import torch

    logits = logits.float()
    normaliser = torch.logsumexp(logits, dim=-1)
    kept = logits.shape[1]
    places = [
        (row, kept - len(targets) + position, token)
        for row, targets in enumerate(wanted)
        for position, tokens in enumerate(targets)
        for token in tokens
    ]
    row, position, token = torch.tensor(places, device=logits.device).T
    flat = iter((logits[row, position, token] - normaliser[row, position]).tolist())
    return [[[next(flat) for _ in tokens] for tokens in targets] for targets in wanted]


def _only_full_attention(config: Any) -> bool:
    text = config.get_text_config(decoder=True)
    kinds = getattr(text, "layer_types", None)
    if kinds:
        return all(kind == "full_attention" for kind in kinds)
    return not getattr(text, "sliding_window", None)
