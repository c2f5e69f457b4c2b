"""Any causal language model through transformers, in this process, on a CPU or a GPU."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.teacher.causal_lm import CausalLM, Pass, Request
from gecko_kedro.teacher.protocol import Generation, Prompt, Scored, ScoredLabels
from gecko_kedro.teacher.revision import local_folder, model_revision, unloadable
from gecko_kedro.teacher.sampling import Grammars, Sampler
from gecko_kedro.teacher.settings import ModelSettings, TransformersSettings
from gecko_kedro.teacher.thinking import answer_of
from gecko_kedro.teacher.tokens import (
    PromptTokenizer,
    refuse_empty_labels,
    refuse_over_long,
)

logger = logging.getLogger(__name__)


@dataclass
class _Reply:
    """A reply in the making."""

    sampler: Sampler
    tokens: list[int] = field(default_factory=list)
    text: str | None = None  # set when it is finished


class TransformersTeacher:
    """The reference backend: plain forward passes of a model of transformers.

    What prompts have in common is computed once (``CausalLM``): within a call, and from one call to
    the next as far as ``kv_cache_tokens`` reaches. So the few-shot prefix is computed once a run,
    a passage once for several queries, and query likelihood and relevance of the same candidates
    share the passage if their prompts have it in the same place.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        settings: ModelSettings,
        execution: TransformersSettings,
        revision: str,
    ) -> None:
        import transformers

        self._settings = settings
        self._tokenizer = PromptTokenizer(
            tokenizer,
            model=settings.name,
            chat_template=settings.chat_template,
            chat_template_kwargs=settings.chat_template_kwargs,
        )
        self._lm = CausalLM(
            model, batch_tokens=execution.batch_tokens, cache_tokens=execution.kv_cache_tokens
        )
        config = model.config.get_text_config(decoder=True)
        self._limit = getattr(config, "max_position_embeddings", None)
        self._end = _end_tokens(model, tokenizer)
        self._grammars = Grammars(tokenizer, vocabulary=config.vocab_size, end=self._end)
        self.identity = "; ".join(
            [
                f"transformers {transformers.__version__}",
                f"model {settings.name}",
                f"revision {revision}",
                f"dtype {str(model.dtype).removeprefix('torch.')}",
                f"chat template {self._tokenizer.template_identity}",
                f"at most {settings.max_new_tokens} new tokens, stop {list(settings.stop)}",
            ]
        )

    @classmethod
    def load(
        cls, settings: ModelSettings, execution: TransformersSettings
    ) -> "TransformersTeacher":
        """The model that ``settings`` name, from a local folder or the model hub."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = execution.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        half = settings.dtype == "bfloat16" or (settings.dtype == "auto" and fast_bf16(device))
        if execution.threads is not None:
            torch.set_num_threads(execution.threads)
        where = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
        source = local_folder(settings.name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            model: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=torch.bfloat16 if half else torch.float32, **where
            )
            model = model.to(device).eval()
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise unloadable(settings.name, error) from error
        revision = model_revision(source, getattr(model.config, "_commit_hash", None))
        teacher = cls(model, tokenizer, settings=settings, execution=execution, revision=revision)
        logger.info("Teacher: %s, on %s", teacher.identity, device)
        return teacher

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``."""
        return self._tokenizer.truncate(texts, max_tokens)

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        """Sampled replies, each from a generator of its own that is seeded by seed and prompt.

        A prompt with a ``reply_schema`` gets JSON of it, unless ``max_new_tokens`` cuts it short.
        """
        import torch

        new_tokens = self._settings.max_new_tokens
        ids = self._prompt_ids(prompts, "generate", extra=[new_tokens] * len(prompts))
        replies = [
            _Reply(
                Sampler(
                    seed=seed,
                    prompt=prompt.text,
                    temperature=temperature,
                    top_p=top_p,
                    matcher=self._grammars.matcher(prompt.reply_schema)
                    if prompt.reply_schema is not None
                    else None,
                )
            )
            for prompt in prompts
        ]
        with torch.inference_mode():
            for rows, state in self._lm.begin(ids, new_tokens=new_tokens):
                self._decode([replies[row] for row in rows], state)
        return [
            Generation(answer_of(reply.text or ""), len(tokens), len(reply.tokens))
            for reply, tokens in zip(replies, ids, strict=True)
        ]

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored]:
        """The sum of the log-probabilities of the continuation's tokens, which are tokenised apart.

        An empty continuation has log-likelihood 0.
        """
        follow = self._tokenizer.continuations(continuations)
        ids = self._prompt_ids(prefixes, "query_log_likelihood", extra=[len(c) for c in follow])
        sums = self._sums(list(zip(ids, follow, strict=True)))
        return [
            Scored(total, len(prefix), len(continuation))
            for total, prefix, continuation in zip(sums, ids, follow, strict=True)
        ]

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels]:
        """Labels that differ in their last token only are read from one pass.

        The probabilities are those of the whole vocabulary: they do not add up to 1 over labels.
        """
        label_ids = [tuple(label) for label in self._tokenizer.continuations(labels)]
        refuse_empty_labels(labels, label_ids)
        longest = max(len(label) for label in label_ids)
        ids = self._prompt_ids(prompts, "label_log_likelihood", extra=[longest] * len(prompts))
        by_start: dict[tuple[int, ...], list[int]] = {}
        for number, label in enumerate(label_ids):
            by_start.setdefault(label[:-1], []).append(number)
        requests = [
            Request(
                (*prompt, *start),
                (*((token,) for token in start), tuple(label_ids[n][-1] for n in numbers)),
            )
            for prompt in ids
            for start, numbers in by_start.items()
        ]
        scored = iter(self._lm.log_probabilities(requests))
        replies = []
        for prompt in ids:
            found = [0.0] * len(labels)
            for numbers in by_start.values():
                *path, last = next(scored)
                for number, value in zip(numbers, last, strict=True):
                    found[number] = sum(row[0] for row in path) + value
            replies.append(ScoredLabels(tuple(found), len(prompt), sum(map(len, label_ids))))
        return replies

    def _sums(self, pairs: Sequence[tuple[tuple[int, ...], list[int]]]) -> list[float]:
        """log P(continuation | prefix) of each pair of ids; 0 for an empty continuation."""
        rows = [row for row, (_, continuation) in enumerate(pairs) if continuation]
        requests = [
            Request((*prefix, *continuation[:-1]), tuple((token,) for token in continuation))
            for prefix, continuation in (pairs[row] for row in rows)
        ]
        sums = [0.0] * len(pairs)
        for row, scored in zip(rows, self._lm.log_probabilities(requests), strict=True):
            sums[row] = sum(value for values in scored for value in values)
        return sums

    def _prompt_ids(
        self, prompts: Sequence[Prompt], call: str, *, extra: Sequence[int]
    ) -> list[tuple[int, ...]]:
        ids = self._tokenizer.prompts([prompt.text for prompt in prompts])
        if not all(ids):
            raise InputError(
                f"teacher {self._settings.name}, {call}, prompt {ids.index([])}",
                expected="at least one token to go on from",
                got=Words("no tokens"),
                fix="Give the prompt an instruction.",
            )
        lengths = [len(prompt) + more for prompt, more in zip(ids, extra, strict=True)]
        refuse_over_long(lengths, limit=self._limit, model=self._settings.name, call=call)
        return [tuple(prompt) for prompt in ids]

    def _decode(self, replies: list[_Reply], state: Pass) -> None:
        running = list(replies)
        for _ in range(self._settings.max_new_tokens):
            for reply, logits in zip(running, state.logits[:, -1], strict=True):
                if reply.text is None:
                    self._extend(reply, reply.sampler.draw(logits))
            going = [row for row, reply in enumerate(running) if reply.text is None]
            if not going:
                return
            if 2 * len(going) <= len(running):  # fewer rows are worth a copy of their cache
                state = self._lm.select(state, going)
                running = [running[row] for row in going]
            # A finished row is fed its last token again: its logits are not looked at.
            state = self._lm.step(state, [reply.tokens[-1] for reply in running])

    def _extend(self, reply: _Reply, token: int) -> None:
        reply.tokens.append(token)
        ended = token in self._end
        text = self._tokenizer.decode(reply.tokens[:-1] if ended else reply.tokens)
        found = [place for stop in self._stops() if (place := text.find(stop)) >= 0]
        full = len(reply.tokens) == self._settings.max_new_tokens
        if found:
            reply.text = text[: min(found)]
        elif ended or full or reply.sampler.finished:
            reply.text = text

    def _stops(self) -> Iterator[str]:
        """An instruct model ends its reply itself."""
        return iter(() if self._tokenizer.is_chat else self._settings.stop)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """All ids that end a reply: chat models have several."""
    told = getattr(model.generation_config, "eos_token_id", None)
    ends = [told] if isinstance(told, int) else list(told or [])
    return sorted({*ends, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])})
