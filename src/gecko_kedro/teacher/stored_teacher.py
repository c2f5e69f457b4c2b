"""A teacher in front of its store: it asks only for what is not there yet."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from gecko_kedro.base.progress import Progress
from gecko_kedro.teacher.protocol import (
    Generation,
    Prompt,
    Refused,
    Reply,
    Scored,
    ScoredLabels,
    StreamingTeacher,
    Teacher,
    TeacherError,
)
from gecko_kedro.teacher.replies import (
    OneKind,
    Recent,
    Refusals,
    bad_reply,
    decode,
    encode,
    tokens_of,
    usable,
)
from gecko_kedro.teacher.store import ResponseStore
from gecko_kedro.teacher.usage import Budget, KindUsage, Prices, Usage, report_usage


class StoredTeacher:
    """The same protocol as the teacher that it wraps, with a memory.

    A key is the SHA-256 of the teacher's identity, the kind of call, the prompt's version, text,
    fields and reply schema, the decoding parameters, and the continuation or the labels. Missing
    replies are asked for ``batch_size`` at a time and committed batch by batch, or one by one as
    they come from a ``StreamingTeacher``: a run that is killed repeats at most one batch, or the
    calls in flight. The same call twice in a batch is paid for once. ``usage`` counts this object's
    calls, the store those of all runs; ``budget`` limits the latter. A prompt that is ``Refused``
    is asked once by this object and not stored; ``Refusals`` says when they stop the work. So it is
    with a reply without a word.
    """

    def __init__(
        self,
        teacher: Teacher,
        store: ResponseStore,
        *,
        batch_size: int,
        prices: Prices = Prices(),
        budget: Budget = Budget(),
    ) -> None:
        self._teacher, self._store, self._batch_size = teacher, store, batch_size
        self._prices, self._budget = prices, budget
        self._spent = KindUsage()  # in all runs; read anew before each batch
        self._recent: Recent | None = None
        self.usage = Usage()

    @cached_property
    def _refusals(self) -> Refusals:
        return Refusals(self.identity)

    @property
    def identity(self) -> str:
        """That of the teacher behind."""
        return self._teacher.identity

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``; nothing is stored."""
        return self._teacher.truncate(texts, max_tokens)

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation | Refused]:
        """As ``Teacher.generate``."""
        decoding = f"temperature {temperature!r}, top_p {top_p!r}, seed {seed}"
        return self._answer(
            "generate",
            [self._key("generate", prompt, decoding) for prompt in prompts],
            lambda rows: self._teacher.generate(
                [prompts[row] for row in rows], temperature=temperature, top_p=top_p, seed=seed
            ),
            Generation,
        )

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored | Refused]:
        """As ``Teacher.query_log_likelihood``."""
        kind = "query_log_likelihood"
        pairs = zip(prefixes, continuations, strict=True)
        return self._answer(
            kind,
            [self._key(kind, prefix, continuation) for prefix, continuation in pairs],
            lambda rows: self._teacher.query_log_likelihood(
                [prefixes[row] for row in rows], [continuations[row] for row in rows]
            ),
            Scored,
        )

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels | Refused]:
        """As ``Teacher.label_log_likelihood``."""
        kind = "label_log_likelihood"
        replies = self._answer(
            kind,
            [self._key(kind, prompt, *labels) for prompt in prompts],
            lambda rows: self._teacher.label_log_likelihood([prompts[row] for row in rows], labels),
            ScoredLabels,
        )
        answered = (reply for reply in replies if not isinstance(reply, Refused))
        if any(len(reply.log_likelihoods) != len(labels) for reply in answered):
            raise bad_reply(self.identity, kind, f"no {len(labels)} log-likelihoods")
        return replies

    def stored_bytes_per_call(self) -> float:
        """See ``ResponseStore.bytes_per_reply``."""
        return self._store.bytes_per_reply()

    def seconds_per_call(self, kind: str) -> float:
        """Of this object's paid calls; where it paid for none, of all runs' (from the store)."""
        mine = self.usage.of(kind)
        spent = mine if mine.calls else self._store.spent(self.identity).of(kind)
        return spent.seconds / max(spent.calls, 1)

    @contextmanager
    def on_trial(self) -> Iterator[Recent]:
        """What is answered within the block can be forgotten, until it is ``clear``ed."""
        self._recent = Recent(self._store.forget)
        try:
            yield self._recent
        finally:
            self._recent = None

    @contextmanager
    def reporting(self, stage: str) -> Iterator[None]:
        """``report_usage`` at the end of the block, also where the budget or an error ends it."""
        try:
            yield
        finally:
            # Without a call nobody may ever have reached the backend, which tells its identity.
            identity = self.identity if self.usage.as_metrics() else ""
            report_usage(stage, self.usage, self._store.spent(identity), self._prices, identity)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _key(self, kind: str, prompt: Prompt, *rest: str) -> bytes:
        fields = [part for item in sorted(prompt.fields.items()) for part in item]
        parts = [self.identity, kind, prompt.version, prompt.text, *fields, *rest]
        if prompt.reply_schema is not None:
            parts.append(json.dumps(prompt.reply_schema, sort_keys=True))
        # With its length before each part, no two lists of parts make the same bytes.
        joined = "".join([f"{len(part)}:{part}" for part in parts])
        return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).digest()

    def _answer(
        self,
        kind: str,
        keys: list[bytes],
        ask: Callable[[list[int]], Sequence[OneKind | Refused]],
        reply_type: type[OneKind],
    ) -> list[OneKind | Refused]:
        stored = self._store.get(keys)
        known = {key: decode(value, reply_type, key) for key, value in stored.items()}
        empty = [key for key, reply in known.items() if isinstance(usable(reply), Refused)]
        self._store.forget(empty)  # of runs before such replies were refused
        for key in empty:
            del known[key]
        if self._recent is not None:
            self._recent.add(kind, known)
        refused = self._refusals.known
        replies: dict[bytes, OneKind | Refused] = {
            **{key: refused[key] for key in keys if key in refused}, **known
        }  # fmt: skip
        missing = list({key: row for row, key in enumerate(keys) if key not in replies}.items())
        hits = len(keys) - len(missing) - sum(key in refused for key in keys)
        saved = tokens_of([known[key] for key in keys if key in known])
        self.usage.of(kind).add(
            KindUsage(hits=hits, hit_prompt_tokens=saved[0], hit_completion_tokens=saved[1])
        )
        if not missing:
            return [replies[key] for key in keys]
        try:
            with Progress(kind, total=len(missing), unit="call") as progress:
                for start in range(0, len(missing), self._batch_size):
                    self._spent = self._store.spent(self.identity).total()
                    self._budget.refuse_over(self._prices, self._spent)
                    batch = missing[start : start + self._batch_size]
                    replies |= self._pay(kind, batch, ask, progress)
        except TeacherError as error:
            cut_at = error.cut_at
            if self._recent is not None and cut_at is not None:
                self._recent.forget(kind, lambda reply: reply.prompt_tokens == cut_at)
            raise
        if refused:
            ever = self._store.spent(self.identity).of(kind).calls
            self._refusals.stop_without_reply(kind, self.usage.of(kind), ever_answered=ever)
        return [replies[key] for key in keys]

    def _pay(
        self,
        kind: str,
        batch: list[tuple[bytes, int]],
        ask: Callable[[list[int]], Sequence[OneKind | Refused]],
        progress: Progress,
    ) -> dict[bytes, OneKind | Refused]:
        started = time.perf_counter()
        kept = reached = 0
        total = self.usage.of(kind)
        before = total.calls + total.hits + total.refused

        def keep(answers: Mapping[int, Any]) -> None:
            nonlocal started, kept, reached
            now = time.perf_counter()
            answers = {row: usable(one) for row, one in answers.items()}
            given = {row: one for row, one in answers.items() if not isinstance(one, Refused)}
            refused, tokens = len(answers) - len(given), tokens_of(given.values())
            usage = KindUsage(len(given), 0, refused, *tokens, now - started)
            started, kept = now, kept + len(answers)
            reached = max(reached, max(answers) + 1)
            self._store.put(
                {batch[row][0]: encode(reply, self.identity) for row, reply in given.items()},
                spent=(self.identity, kind, usage),
            )
            if self._recent is not None:
                self._recent.add(kind, {batch[row][0]: reply for row, reply in given.items()})
            for row in answers.keys() - given.keys():
                self._refusals.add(kind, batch[row][0], answers[row])
            total.add(usage)
            self._spent.add(usage)
            spent = f"{self._spent.tokens} tokens so far{self._prices.note(self._spent)}"
            progress.advance(len(answers), note=spent)  # in all runs
            # Rows are begun in their order: those up to the farthest one were asked at least.
            self._refusals.stop_at_many(kind, total, asked=before + reached)

        def keep_some(answers: Mapping[int, Reply]) -> None:
            keep(answers)
            if kept < len(batch):
                self._budget.refuse_over(self._prices, self._spent)

        rows = [row for _, row in batch]
        if isinstance(self._teacher, StreamingTeacher):
            self._teacher.on_replies = keep_some
            try:
                answers = ask(rows)
            finally:
                self._teacher.on_replies = None
        else:
            answers = ask(rows)
            if len(answers) == len(batch):
                keep(dict(enumerate(answers)))
        if len(answers) != len(batch):
            raise bad_reply(self.identity, kind, f"{len(answers)} replies to {len(batch)}")
        return {key: usable(answer) for (key, _), answer in zip(batch, answers, strict=True)}
