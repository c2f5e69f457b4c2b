"""Log-likelihoods out of the server's replies; whatever cannot be right is a ``Failure``."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

from gecko_kedro.teacher.http.failure import no_reply, unusable
from gecko_kedro.teacher.http.wire import Choice
from gecko_kedro.teacher.protocol import IMPOSSIBLE
from gecko_kedro.teacher.thinking import answer_of, shows_thought

_LABEL_DECAY = 1.0  # nats that each grade of distance to a sampled one costs
_LOWEST = -1000.0  # below it a number stands for minus infinity: vLLM writes -9999.0
_ROUNDING = 1e-3  # a log-probability may be so much above 0


def from_prompt_logprobs(choice: Choice, prompt: Sequence[int], n_last: int) -> float:
    """Sum over the last ``n_last`` tokens of ``prompt``, from vLLM's ``prompt_logprobs``."""
    rows = choice.prompt_logprobs
    if rows is None or len(rows) != len(prompt):
        got = "no" if rows is None else str(len(rows))
        raise unusable(f"{got} prompt log-probabilities for {len(prompt)} tokens")
    total = 0.0
    for row, token in zip(rows[-n_last:], prompt[-n_last:], strict=True):
        if row is None or str(token) not in row:
            raise unusable(f"no log-probability of the prompt's token {token}")
        total += finite(row[str(token)].logprob)
    return total


def from_echo(choice: Choice, n_prompt: int, n_last: int) -> float:
    """Sum over the last ``n_last`` of ``n_prompt`` tokens, from ``echo`` with ``logprobs``.

    A token that the server generated after the prompt is left out.
    """
    numbers = (choice.logprobs.token_logprobs if choice.logprobs else None) or []
    if not n_prompt <= len(numbers) <= n_prompt + 1:
        raise unusable(f"{len(numbers)} log-probabilities for {n_prompt} tokens")
    return math.fsum(map(finite, numbers[n_prompt - n_last : n_prompt]))


def from_echoed_text(choice: Choice, continuation: str, *, generated: str) -> float:
    """As ``from_echo`` where nobody knows the token ids: the tokens that spell ``continuation``.

    They are counted from the end, since offsets are shifted by special tokens at the beginning.
    ``generated`` is what the reply has after the prompt.
    """
    logprobs = choice.logprobs
    tokens = (logprobs.tokens if logprobs else None) or []
    numbers = (logprobs.token_logprobs if logprobs else None) or []
    if len(tokens) != len(numbers) or not tokens:
        raise unusable(f"{len(numbers)} log-probabilities for {len(tokens)} tokens")
    end = len(tokens) - _spelling(tokens, generated)
    count = _spelling(tokens[:end], continuation)
    return math.fsum(map(finite, numbers[end - count : end]))


def _spelling(tokens: Sequence[str], text: str) -> int:
    """How many of the last tokens make up ``text``."""
    left, count = text, 0
    while left and count < len(tokens):
        token = tokens[-1 - count]
        if not left.endswith(token):
            break
        left, count = left[: len(left) - len(token)], count + 1
    if left:
        raise unusable(
            f"no tokens that spell {text[:60]!r}: set teacher.http.tokenizer, so that ids are sent"
        )
    return count


def from_token_ids(choice: Choice, ids: Sequence[int]) -> list[float]:
    """The log-probability of each of ``ids`` as the first token (vLLM's ``logprob_token_ids``)."""
    top = choice.logprobs.first_top() if choice.logprobs else {}
    missing = [token for token in ids if f"token_id:{token}" not in top]
    if missing:
        raise unusable(f"no log-probability of the tokens {missing}")
    numbers = [_possible(top[f"token_id:{token}"]) for token in ids]
    if all(number is None for number in numbers):
        raise unusable("all labels are impossible")
    return [IMPOSSIBLE if number is None else number for number in numbers]


def from_top_tokens(choice: Choice, labels: Sequence[str]) -> list[float]:
    """Each label by the likely tokens in the place of the answer that begin it.

    The place is the first one, or, after a thought, the first one that has a label among its likely
    tokens. A token counts for the label that begins with it, blanks aside. A label that is not
    among them, or is impossible (NaN, -inf, -9999.0), gets what is left of the probability, at most
    that of the least likely token: an upper bound.
    """
    places = choice.logprobs.places() if choice.logprobs else []
    if not places:
        raise unusable("no log-probabilities of the answer's first token")
    after = [(token, _possible_ones(listed)) for token, listed in _after_thought(places)]
    written = (top for token, top in after if _label_of(token, labels) is not None)
    listed = (top for _, top in after if any(_label_of(token, labels) for token in top))
    top = next(written, None) or next(listed, None)
    if top is None:
        hint = "; a thought: set teacher.http.dialect to auto" if choice.thought else ""
        raise no_reply(f"no label among the likely tokens of {choice.raw[:60]!r}{hint}")
    return _of_labels(labels, top)


def _possible_ones(listed: Mapping[str, float | None]) -> dict[str, float]:
    found = {token: _possible(number) for token, number in listed.items()}
    return {token: number for token, number in found.items() if number is not None}


def _after_thought(
    places: Sequence[tuple[str, dict[str, float | None]]],
) -> Sequence[tuple[str, dict[str, float | None]]]:
    """The first place, or those after the thought."""
    written = "".join(token for token, _ in places)
    if not shows_thought(written):
        return places[:1]
    ends = accumulate(len(token) for token, _ in places)
    begin = len(written) - len(answer_of(written))
    return [place for place, end in zip(places, ends, strict=True) if end > begin]


def _of_labels(labels: Sequence[str], top: Mapping[str, float]) -> list[float]:
    left = max(1.0 - sum(map(math.exp, top.values())), 1e-9)
    floor = min(math.log(left), *top.values())
    of_token = {token: _label_of(token, labels) for token in top}
    own = [sum(math.exp(top[t]) for t, label in of_token.items() if label == one) for one in labels]
    return [max(floor, math.log(total)) if total else floor for total in own]


def _label_of(token: str, labels: Sequence[str]) -> str | None:
    """The one label that ``token`` begins."""
    start = token.strip()
    begun = [label for label in labels if start and label.strip().startswith(start)]
    return begun[0] if len(begun) == 1 else None


def share_a_beginning(labels: Sequence[str]) -> bool:
    """Whether a label begins with the first character of another one."""
    return len({label.strip()[:1] for label in labels}) < len(labels)


def from_sampled_label(text: str, labels: Sequence[str]) -> list[float]:
    """A stand-in for log-likelihoods where the server gives none: the grade that it wrote.

    Label i gets -|i - written| nats, normalised: the order of grades is kept by the best label's
    likelihood and by the expected grade, but there are no more values than labels. Of several
    grades in ``text``, which has no thought any more, the last one counts.
    """
    wanted = [label.strip() for label in labels]
    pattern = "|".join(map(re.escape, sorted(wanted, key=len, reverse=True)))
    span = rf"(?:{pattern})\s*(?:to|[-\u2013])\s*(?:{pattern})(?!\w)|(?:out\s+of|/)\s*(?:{pattern})"
    alone = re.sub(span, " ", text)  # "from 0 to 3", "2 out of 3"
    found = re.findall(rf"(?<!\w)(?:{pattern})(?!\w)", alone)
    if not found:
        raise no_reply(f"none of {', '.join(wanted)} in the reply {text[:60]!r}")
    written = wanted.index(found[-1])
    scores = [-_LABEL_DECAY * abs(number - written) for number in range(len(labels))]
    norm = math.log(sum(map(math.exp, scores)))
    return [score - norm for score in scores]


def _possible(number: float | None) -> float | None:
    """A log-probability; None for what stands for an impossible token, or is none at all."""
    if number is None or math.isnan(number) or number <= _LOWEST or number > _ROUNDING:
        return None
    return min(number, 0.0)


def finite(number: float | None) -> float:
    """``number``, which has to be one."""
    if number is None or not math.isfinite(number):
        raise unusable(f"log-probability {number}")
    return number
