"""A language model that was adapted to write queries, as a teacher."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher.protocol import (
    Generation,
    Prompt,
    Refused,
    Scored,
    ScoredLabels,
    Teacher,
)
from gecko_kedro.teacher.query_form import ANY_KIND, passage_head, query_prefix
from gecko_kedro.teacher.settings import AdaptSettings
from gecko_kedro.teacher.task_sentences import FORM_OF, task_sentences

RECORD = "adaptation.json"  # beside the weights: what the model was adapted on
QUERY_TOKENS = 48  # of a written query at most
_VERSION = "base form 1"


class AdaptedTeacher:
    """Asks the model behind in the form that it was adapted in; see ``adapt_language_model``.

    Of a prompt it reads the fields, not the text with its instruction and few-shot examples. The
    kind of query is the wanted task, or drawn from ``kinds``, those that it was adapted on. A reply
    is the query alone; the task that goes with it is a sentence for its kind. It has no relevance
    judgement: a model of this size, asked to grade, ranks no better than chance.
    """

    def __init__(self, model: Teacher, *, kinds: Sequence[str], passage_tokens: int) -> None:
        self._model, self._kinds, self._tokens = model, sorted(kinds), passage_tokens
        self.identity = f"adapted, {_VERSION}, {passage_tokens} tokens; {model.identity}"

    @classmethod
    def of(cls, model: Teacher, folder: Path | None, settings: AdaptSettings) -> "AdaptedTeacher":
        """With the kinds of the record in ``folder``; all known ones where nothing was adapted."""
        record = None if folder is None else json.loads((folder / RECORD).read_text("utf-8"))
        kinds = FORM_OF if record is None else record["kinds"]
        return cls(model, kinds=list(kinds), passage_tokens=settings.passage_tokens)

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``."""
        return self._model.truncate(texts, max_tokens)

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation | Refused]:
        """JSON with ``task`` and ``query``, as the other teachers reply."""
        kinds = [self._kind(prompt, seed) for prompt in prompts]
        asked = self._rendered(prompts, kinds)
        written = self._model.generate(asked, temperature=temperature, top_p=top_p, seed=seed)
        return [
            reply if isinstance(reply, Refused) else _as_json(reply, prompt, kind, seed)
            for reply, prompt, kind in zip(written, prompts, kinds, strict=True)
        ]

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> Sequence[Scored | Refused]:
        """As ``Teacher.query_log_likelihood``, for a query of any kind."""
        asked = self._rendered(prefixes, [ANY_KIND] * len(prefixes))
        return self._model.query_log_likelihood(asked, continuations)

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> Sequence[ScoredLabels | Refused]:
        """InputError: it grades nothing."""
        raise InputError(
            "relabel.rankers",
            expected="query_likelihood and retriever, with a model that was adapted",
            got="relevance",
            fix="Leave relevance out, or set teacher.adapt.mode to off.",
        )

    def _rendered(self, prompts: Sequence[Prompt], kinds: Sequence[str]) -> list[Prompt]:
        heads = [passage_head(p.fields["passage"], p.fields.get("title")) for p in prompts]
        # A passage is a candidate of many queries: it is cut once.
        distinct = list(dict.fromkeys(heads))
        cut = dict(zip(distinct, self._model.truncate(distinct, self._tokens), strict=True))
        return [
            replace(prompt, text=query_prefix(cut[head], kind), reply_schema=None)
            for prompt, head, kind in zip(prompts, heads, kinds, strict=True)
        ]

    def _kind(self, prompt: Prompt, seed: int) -> str:
        wanted = prompt.fields.get("wanted_task")
        return wanted if wanted in self._kinds else _random(prompt, seed).choice(self._kinds)


def _as_json(reply: Generation, prompt: Prompt, kind: str, seed: int) -> Generation:
    task = _random(prompt, seed).choice(task_sentences(kind))
    text = json.dumps({"task": task, "query": reply.text.strip()}, ensure_ascii=False)
    return replace(reply, text=text)


def _random(prompt: Prompt, seed: int) -> random.Random:
    told = f"{seed}\0{prompt.fields.get('title', '')}\0{prompt.fields['passage']}"
    return random.Random(hashlib.sha256(told.encode()).digest())
