"""Any causal language model through transformers, in this process, on a CPU or a GPU."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gecko_kedro.teacher.causal_lm import CausalLM, Pass, Request
from gecko_kedro.teacher.model_teacher import Ids, ModelTeacher, computes_half, opened
from gecko_kedro.teacher.protocol import Generation, Prompt
from gecko_kedro.teacher.sampling import Grammars, Sampler
from gecko_kedro.teacher.settings import ModelSettings, TransformersSettings
from gecko_kedro.teacher.thinking import answer_of

logger = logging.getLogger(__name__)


@dataclass
class _Reply:
    """A reply in the making."""

    sampler: Sampler
    tokens: list[int] = field(default_factory=list)
    text: str | None = None  # set when it is finished


class TransformersTeacher(ModelTeacher):
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

        config = model.config.get_text_config(decoder=True)
        super().__init__(
            tokenizer, settings, library=f"transformers {transformers.__version__}",
            revision=revision, dtype=model.dtype,
            limit=getattr(config, "max_position_embeddings", None),
        )  # fmt: skip
        tokens = execution.batch_tokens
        if tokens == "auto":  # what fits a CPU's caches better than it fills its memory
            tokens = 4096 if model.device.type == "cpu" else 65536
        self._lm = CausalLM(model, batch_tokens=tokens, cache_tokens=execution.kv_cache_tokens)
        self._end = _end_tokens(model, tokenizer)
        self._grammars = Grammars(tokenizer, vocabulary=config.vocab_size, end=self._end)

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
        half = computes_half(settings, device)
        if execution.threads is not None:
            torch.set_num_threads(execution.threads)
        where = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
        with opened(settings.name) as source:
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            model: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=torch.bfloat16 if half else torch.float32, **where
            )
            model = model.to(device).eval()
        revision = cls.revision_of(source, getattr(model.config, "_commit_hash", None))
        teacher = cls(model, tokenizer, settings=settings, execution=execution, revision=revision)
        logger.info("Teacher: %s, on %s", teacher.identity, device)
        return teacher

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        """Sampled replies, each from a generator of its own that is seeded by seed and prompt.

        A prompt with a ``reply_schema`` gets JSON of it, unless ``max_new_tokens`` cuts it short.
        """
        import torch

        new_tokens = self._settings.max_new_tokens
        ids = self._prompt_ids(prompts, "generate", [new_tokens] * len(prompts))
        replies = []
        for prompt in prompts:
            schema = prompt.reply_schema
            matcher = None if schema is None else self._grammars.matcher(schema)
            replies.append(_Reply(Sampler(prompt.text, seed, temperature, top_p, matcher)))
        with torch.inference_mode():
            for rows, state in self._lm.begin(list(map(tuple, ids)), new_tokens=new_tokens):
                self._decode([replies[row] for row in rows], state)
        return [
            Generation(answer_of(reply.text or ""), len(tokens), len(reply.tokens))
            for reply, tokens in zip(replies, ids, strict=True)
        ]

    def _label_scores(self, ids: Sequence[Ids], labels: Sequence[Ids]) -> list[list[float]]:
        by_start: dict[tuple[int, ...], list[int]] = {}
        for number, label in enumerate(labels):
            by_start.setdefault(tuple(label[:-1]), []).append(number)
        targets = {
            start: (*((token,) for token in start), tuple(labels[number][-1] for number in numbers))
            for start, numbers in by_start.items()
        }
        asked = [(prompt, start) for prompt in ids for start in targets]
        requests = [Request((*prompt, *start), targets[start]) for prompt, start in asked]
        scored = iter(self._lm.log_probabilities(requests))
        found = [[0.0] * len(labels) for _ in ids]
        for row in found:
            for numbers in by_start.values():
                *path, last = next(scored)
                for number, value in zip(numbers, last, strict=True):
                    row[number] = sum(step[0] for step in path) + value
        return found

    def _totals(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[float]:
        requests = [
            Request((*prefix, *continuation[:-1]), tuple((token,) for token in continuation))
            for prefix, continuation in pairs
        ]
        scored = self._lm.log_probabilities(requests)
        return [sum(value for values in one for value in values) for one in scored]

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
        # An instruct model ends its reply itself.
        stops = () if self._tokenizer.is_chat else self._settings.stop
        found = [place for stop in stops if (place := text.find(stop)) >= 0]
        full = len(reply.tokens) == self._settings.max_new_tokens
        if found:
            reply.text = text[: min(found)]
        elif ended or full or reply.sampler.finished:
            reply.text = text


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """All ids that end a reply: chat models have several."""
    told = getattr(model.generation_config, "eos_token_id", None)
    ends = [told] if isinstance(told, int) else list(told or [])
    return sorted({*ends, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])})
