"""The next token of a reply: temperature, top-p, a generator of its own, perhaps a grammar."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gecko_kedro.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# As json.dumps writes it, like the examples of the prompts; free white space would let a weak
# model fill a reply with newlines.
_JSON_STYLE: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Grammars:
    """Matchers of JSON schemas (llguidance); the tokenizer is prepared once, on first use."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, end: Sequence[int]) -> None:
        self._tokenizer, self._vocabulary, self._end = tokenizer, vocabulary, list(end)
        self._prepared: Any = None

    def matcher(self, schema: Mapping[str, Any]) -> Any:
        """A fresh matcher; InputError for a schema that is not one."""
        import llguidance
        import llguidance.hf

        if self._prepared is None:
            self._prepared = llguidance.hf.from_tokenizer(
                self._tokenizer, n_vocab=self._vocabulary, eos_token=self._end
            )
        text = json.dumps(schema)
        grammar = llguidance.LLMatcher.grammar_from_json_schema(text, defaults=_JSON_STYLE)
        matcher = llguidance.LLMatcher(self._prepared, grammar, log_level=0)
        if matcher.is_error():
            raise InputError(
                "reply_schema of a prompt",
                expected="a JSON schema that llguidance can follow",
                got=matcher.get_error(),
                fix="Simplify the schema.",
            )
        return matcher


def prompt_seed(seed: int, prompt: str) -> int:
    """A seed of 64 bits for one prompt: what is drawn for it depends on no other."""
    digest = hashlib.sha256(f"{seed}\0{prompt}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


class Sampler:
    """Draws one reply token by token; equal seeds and prompts draw alike, in any batch.

    At temperature 0 it takes the most likely token. ``top_p`` keeps the smallest set of most likely
    tokens that has at least this probability (Holtzman et al. 2020), after temperature.
    """

    def __init__(
        self, prompt: str, seed: int, temperature: float, top_p: float, matcher: Any = None
    ) -> None:
        self._random = random.Random(prompt_seed(seed, prompt))
        self._temperature, self._top_p = temperature, top_p
        self._matcher = matcher

    @property
    def finished(self) -> bool:
        """Whether the grammar has seen the end of the reply."""
        return bool(self._matcher is not None and self._matcher.is_stopped())

    def draw(self, logits: "Tensor") -> int:
        """The id of the next token, given the ``logits`` (vocabulary,) of its place."""
        scores = logits.double().cpu().numpy()
        if self._matcher is not None:
            scores = np.where(self._allowed(len(scores)), scores, -np.inf)
        # Of equals argmax takes the first.
        token = int(np.argmax(scores)) if self._temperature == 0 else self._drawn(scores)
        if self._matcher is not None:
            self._matcher.consume_token(token)
        return token

    def _allowed(self, vocabulary: int) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[:vocabulary].astype(bool)
        return np.pad(allowed, (0, vocabulary - len(allowed)))

    def _drawn(self, scores: "np.ndarray[Any, np.dtype[np.float64]]") -> int:
        weights = np.exp((scores - scores.max()) / self._temperature)
        order = np.argsort(-weights, kind="stable") if self._top_p < 1 else None
        if order is not None:
            weights = weights[order]
            before = np.cumsum(weights) - weights
            weights = weights[before < self._top_p * weights.sum()]
        sums = np.cumsum(weights)
        place = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        place = min(place, int(np.flatnonzero(weights)[-1]))  # rounding may lead past the end
        return place if order is None else int(order[place])
