"""Log-likelihoods out of the server's replies; whatever cannot be right is a ``Failure``."""

import math
import re
from collections.abc import Mapping, Sequence

from gecko_kedro.teacher.http.failure import unusable
from gecko_kedro.teacher.http.wire import Choice

_LABEL_DECAY = 1.0  # nats that each grade of distance to a sampled one costs


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
        total += row[str(token)].logprob
    return finite(total)


def from_echo(choice: Choice, n_prompt: int, n_last: int) -> float:
    """Sum over the last ``n_last`` of ``n_prompt`` tokens, from ``echo`` with ``logprobs``.

    A token that the server generated after the prompt is left out.
    """
    numbers = (choice.logprobs.token_logprobs if choice.logprobs else None) or []
    if not n_prompt <= len(numbers) <= n_prompt + 1:
        raise unusable(f"{len(numbers)} log-probabilities for {n_prompt} tokens")
    return _sum(numbers[n_prompt - n_last : n_prompt])


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
    return _sum(numbers[end - count : end])


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
    return [finite(top[f"token_id:{token}"]) for token in ids]


def from_top_tokens(choice: Choice, labels: Sequence[str]) -> list[float]:
    """Each label by the likely first tokens of the answer that begin it.

    A token counts for the label that begins with it, blanks aside. A label that is not among them
    gets what is left of the probability, at most that of the least likely token: an upper bound.
    """
    top = choice.logprobs.first_top() if choice.logprobs else {}
    if not top:
        raise unusable("no log-probabilities of the answer's first token")
    numbers = [finite(number) for number in top.values()]
    left = max(1.0 - sum(math.exp(number) for number in numbers), 1e-9)
    floor = min(math.log(left), *numbers)
    return [_of_label(label, labels, top, floor) for label in labels]


def _of_label(label: str, labels: Sequence[str], top: Mapping[str, float], floor: float) -> float:
    found = [
        number
        for token, number in top.items()
        if token.strip() and [other for other in labels if _begins(other, token)] == [label]
    ]
    return max(floor, math.log(sum(map(math.exp, found)))) if found else floor


def _begins(label: str, token: str) -> bool:
    return label.strip().startswith(token.strip())


def share_a_beginning(labels: Sequence[str]) -> bool:
    """Whether a label begins with the first character of another one."""
    return len({label.strip()[:1] for label in labels}) < len(labels)


def from_sampled_label(text: str, labels: Sequence[str]) -> list[float]:
    """A stand-in for log-likelihoods where the server gives none: the grade that it wrote.

    Label i gets -|i - written| nats, normalised: the order of grades is kept by the best label's
    likelihood and by the expected grade, but there are no more values than labels.
    """
    wanted = [label.strip() for label in labels]
    pattern = "|".join(map(re.escape, sorted(wanted, key=len, reverse=True)))
    found = re.search(rf"(?<!\w)(?:{pattern})(?!\w)", text)
    if not found:
        raise unusable(f"none of {', '.join(wanted)} in {text[:60]!r}")
    written = wanted.index(found.group())
    scores = [-_LABEL_DECAY * abs(number - written) for number in range(len(labels))]
    norm = math.log(sum(map(math.exp, scores)))
    return [score - norm for score in scores]


def finite(number: float | None) -> float:
    """``number``, which has to be one."""
    if number is None or not math.isfinite(number):
        raise unusable(f"log-probability {number}")
    return number


def _sum(numbers: Sequence[float | None]) -> float:
    return math.fsum(finite(number) for number in numbers)
