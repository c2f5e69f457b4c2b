"""Queries that a weak language model repeats instead of writing: of its prompt, or of itself."""

import re
from collections.abc import Iterable

from gecko_kedro.fret.prompts import SynthesisPrompt
from gecko_kedro.fret.reply import Rejected, Reply

_NEAR = 88.0  # similarity of two texts without case, 0 to 100; a word more or less is below
_WORD = re.compile(r"\w+", re.UNICODE)
_SENTENCE_END = re.compile(r"(?<=[.:;!?])\s+|\n+")
# "Write one query", "Provide the requested dataset": an order to the model, and what it would make.
_ORDERS = {
    "answer", "create", "generate", "give", "list", "make", "output", "produce", "provide",
    "return", "write",
}  # fmt: skip
_PRODUCTS = {
    "answer", "answers", "data", "dataset", "datasets", "document", "example", "examples", "input",
    "json", "keywords", "line", "output", "passage", "passages", "prompt", "queries", "query",
    "question", "questions", "reply", "response", "result", "results", "search", "sentence", "set",
    "task", "tasks", "text",
}  # fmt: skip
_FILLERS = {
    "a", "above", "all", "an", "and", "any", "appropriate", "based", "below", "brief", "by",
    "correct", "describing", "description", "each", "following", "for", "from", "given", "in",
    "is", "it", "its", "key", "keys", "list", "me", "new", "of", "on", "one", "or", "provided",
    "relevant", "requested", "required", "short", "single", "specific", "that", "the", "these",
    "this", "to", "using", "with", "your",
}  # fmt: skip
_FEWEST_REPEATS = 3


class Echoes:
    """Finds replies that echo their prompt.

    The task of an example may come back, since tasks are few; its query may not, and neither may
    stand in the place of the other.
    """

    def __init__(self, prompt: SynthesisPrompt) -> None:
        self._queries = [example.query for example in prompt.examples]
        self._tasks = [example.task for example in prompt.examples]
        wordings = [kind.wording for kind in prompt.inventory.task.values()]
        instructions = (prompt.instruction, prompt.wanted_instruction)
        self._instructions = [*_sentences(instructions), *wordings]

    def __call__(self, reply: Reply, passage: str) -> Rejected | None:
        """Why ``reply`` is an echo (example_echo, instruction_echo, repetition); None if not."""
        if found := _nearest(reply.query, [*self._queries, *self._tasks]):
            return Rejected("example_echo", f"the query is that of an example: {found!r}")
        if found := _nearest(reply.task, self._queries):
            return Rejected("example_echo", f"the task is the query of an example: {found!r}")
        found = _nearest(reply.query, self._instructions)
        if found and found.casefold() not in passage.casefold():
            return Rejected("instruction_echo", f"the query is of the instruction: {found!r}")
        if _is_order(reply.query, passage):
            return Rejected("instruction_echo", "the query tells a model what to write")
        if run := repeated_run(reply.query):
            return Rejected("repetition", f"{run[0]!r} {run[1]} times in a row")
        return None


def repeated_run(text: str) -> tuple[str, int] | None:
    """Words that stand at least three times in a row in ``text``, and how often; None if none do.

    "very very very" of one short word is speech: a single word has to stand five times. Case and
    punctuation do not count.
    """
    words = _WORD.findall(text.casefold())
    for length in range(1, len(words) // _FEWEST_REPEATS + 1):
        wanted = _FEWEST_REPEATS if length > 1 else 5
        same = 0  # words in a row that are the word ``length`` before
        for place in range(length, len(words)):
            same = same + 1 if words[place] == words[place - length] else 0
            if same == length * (wanted - 1):
                start = place + 1 - length * wanted
                run = words[start : start + length]
                times = wanted
                while words[start + length * times : start + length * (times + 1)] == run:
                    times += 1
                return " ".join(run), times
    return None


def _nearest(text: str, others: Iterable[str]) -> str | None:
    from rapidfuzz import fuzz

    plain = " ".join(_WORD.findall(text.casefold()))
    for other in others:
        if fuzz.ratio(plain, " ".join(_WORD.findall(other.casefold()))) >= _NEAR:
            return other
    return None


def _is_order(query: str, passage: str) -> bool:
    """An order for a product of a language model, with nothing in it that the passage speaks of."""
    words = _WORD.findall(query.casefold())
    if not words or words[0] not in _ORDERS or _PRODUCTS.isdisjoint(words):
        return False
    own = set(words[1:]) - _FILLERS
    return own <= _PRODUCTS and own.isdisjoint(_WORD.findall(passage.casefold()))


def _sentences(texts: Iterable[str]) -> list[str]:
    return [part for text in texts for part in _SENTENCE_END.split(text.strip()) if part]
