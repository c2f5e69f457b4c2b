"""Any causal language model through vLLM, in this process: the backend for a GPU."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.protocol import Generation, Prompt, Scored, ScoredLabels
from gecko_kedro.teacher.revision import local_folder, model_revision, unloadable
from gecko_kedro.teacher.sampling import prompt_seed
from gecko_kedro.teacher.settings import ModelSettings, VllmSettings
from gecko_kedro.teacher.thinking import answer_of
from gecko_kedro.teacher.tokens import PromptTokenizer, refuse_empty_labels, refuse_over_long
from gecko_kedro.teacher.vllm_engine import by_ids, engine_arguments

logger = logging.getLogger(__name__)

_MOST_LABELS = 128  # ids that one request of logprob_token_ids may name
_Pair = tuple[list[int], list[int]]
Read = TypeVar("Read")


class VllmTeacher:
    """``vllm.LLM`` (0.31 or newer) behind the protocol of a teacher.

    Prompts go in as token ids. Each call submits one kind of request only: in the V1 runner,
    requests for the log-probabilities of given ids destroy those of other requests that are batched
    with them. Query likelihood is read from ``prompt_logprobs``, or, where the engine accepts it
    (a GPU with the V2 runner), from the log-probabilities of the query's ids alone, which leaves
    the cached prefix in use and computes logits for the query only.
    """

    def __init__(
        self, llm: Any, *, settings: ModelSettings, execution: VllmSettings, revision: str
    ) -> None:
        import vllm

        self._llm = llm
        self._settings = settings
        self._shard_size = execution.shard_size
        self._tokenizer = PromptTokenizer(
            llm.get_tokenizer(),
            model=settings.name,
            chat_template=settings.chat_template,
            chat_template_kwargs=settings.chat_template_kwargs,
        )
        config = llm.llm_engine.model_config
        self._limit = int(config.max_model_len)
        self.identity = "; ".join(
            [
                f"vllm {vllm.__version__}",
                f"model {settings.name}",
                f"revision {revision}",
                f"dtype {str(config.dtype).removeprefix('torch.')}",
                f"chat template {self._tokenizer.template_identity}",
                f"at most {settings.max_new_tokens} new tokens, stop {list(settings.stop)}",
            ]
        )

    @classmethod
    def load(cls, settings: ModelSettings, execution: VllmSettings) -> "VllmTeacher":
        """The model that ``settings`` name, from a local folder or the model hub."""
        try:
            import vllm
        except ImportError as error:
            raise InputError(
                "teacher.backend: vllm",
                expected="the package vllm, which this backend runs the model with",
                got=Words("no such package") if error.name == "vllm" else str(error),
                fix="Run: pip install 'gecko-kedro[vllm]' (NVIDIA GPU, Linux), or set "
                "teacher.backend: transformers.",
            ) from error
        source = local_folder(settings.name)
        gc.collect()  # an engine that nobody uses any more still holds most of the GPU
        try:
            llm = vllm.LLM(**engine_arguments(source, settings, execution))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise unloadable(settings.name, error) from error
        commit = getattr(llm.llm_engine.model_config.hf_config, "_commit_hash", None)
        revision = model_revision(source, commit or settings.revision)
        teacher = cls(llm, settings=settings, execution=execution, revision=revision)
        logger.info("Teacher: %s", teacher.identity)
        return teacher

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``."""
        return self._tokenizer.truncate(texts, max_tokens)

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        """Sampled replies, each with a seed of its own that is made from ``seed`` and the prompt.

        A prompt with a ``reply_schema`` gets JSON of it, unless ``max_new_tokens`` cuts it short.
        """
        import vllm
        from vllm.sampling_params import StructuredOutputsParams

        new_tokens = self._settings.max_new_tokens
        ids = self._prompt_ids(prompts, "generate", extra=[new_tokens] * len(prompts))
        stop = [] if self._tokenizer.is_chat else list(self._settings.stop)
        decoding = [
            vllm.SamplingParams(
                temperature=temperature,
                top_p=top_p,
                seed=prompt_seed(seed, prompt.text) % 2**63,
                max_tokens=new_tokens,
                stop=stop,
                structured_outputs=None
                if prompt.reply_schema is None
                else StructuredOutputsParams(json=dict(prompt.reply_schema)),
            )
            for prompt in prompts
        ]

        def read(row: int, output: Any) -> Generation:
            reply = output.outputs[0]
            return Generation(answer_of(reply.text), len(ids[row]), len(reply.token_ids))

        return self._run(ids, decoding, read)

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored]:
        """The sum of the log-probabilities of the continuation's tokens, which are tokenised apart.

        An empty continuation has log-likelihood 0.
        """
        follow = self._tokenizer.continuations(continuations)
        # vLLM makes one token, whether it is wanted or not: it needs a place.
        extra = [len(continuation) + 1 for continuation in follow]
        ids = self._prompt_ids(prefixes, "query_log_likelihood", extra=extra)
        sums = self._sums(list(zip(ids, follow, strict=True)))
        return [
            Scored(total, len(prefix), len(continuation))
            for total, prefix, continuation in zip(sums, ids, follow, strict=True)
        ]

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels]:
        """Labels that differ in their last token only are read from one position.

        The probabilities are those of the whole vocabulary: they do not add up to 1 over labels.
        """
        label_ids = self._tokenizer.continuations(labels)
        refuse_empty_labels(labels, label_ids)
        longest = max(len(label) for label in label_ids)
        extra = [longest + 1] * len(prompts)
        ids = self._prompt_ids(prompts, "label_log_likelihood", extra=extra)
        start = label_ids[0][:-1]
        if len(label_ids) <= _MOST_LABELS and all(label[:-1] == start for label in label_ids):
            scores = self._last_tokens(ids, start, [label[-1] for label in label_ids])
        else:
            sums = self._sums([(prompt, label) for prompt in ids for label in label_ids])
            n = len(label_ids)
            scores = [sums[row * n : (row + 1) * n] for row in range(len(ids))]
        return [
            ScoredLabels(tuple(score), len(prompt), sum(map(len, label_ids)))
            for score, prompt in zip(scores, ids, strict=True)
        ]

    def _last_tokens(
        self, ids: Sequence[list[int]], start: list[int], last: list[int]
    ) -> list[list[float]]:
        """log P(start, then each of ``last``) after each prompt."""
        import vllm

        decoding = vllm.SamplingParams(
            max_tokens=1,
            temperature=0,
            logprob_token_ids=sorted(set(last)),
            detokenize=False,
            flat_logprobs=True,
        )

        def read(_: int, output: Any) -> list[float]:
            found = output.outputs[0].logprobs[0]
            return [float(found[token].logprob) for token in last]

        extended = [[*prompt, *start] for prompt in ids]
        scores = self._run(extended, [decoding] * len(ids), read)
        starts = self._sums([(prompt, start) for prompt in ids])
        return [[first + value for value in row] for first, row in zip(starts, scores, strict=True)]

    def _sums(self, pairs: Sequence[_Pair]) -> list[float]:
        """log P(continuation | prefix) of each pair of ids; 0 for an empty continuation."""
        rows = [row for row, (_, continuation) in enumerate(pairs) if continuation]
        scored = [pairs[row] for row in rows]
        ask = self._sums_by_ids if self._scores_ids else self._sums_by_prompt
        sums = [0.0] * len(pairs)
        for row, total in zip(rows, ask(scored), strict=True):
            sums[row] = total
        return sums

    def _sums_by_prompt(self, pairs: Sequence[_Pair]) -> list[float]:
        import vllm

        # 0: the log-probability of each actual token and no other.
        decoding = vllm.SamplingParams(
            max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False, flat_logprobs=True
        )

        def read(row: int, output: Any) -> float:
            prefix, continuation = pairs[row]
            found = output.prompt_logprobs
            return sum(
                float(found[len(prefix) + place][token].logprob)
                for place, token in enumerate(continuation)
            )

        ids = [[*prefix, *continuation] for prefix, continuation in pairs]
        return self._run(ids, [decoding] * len(ids), read)

    def _sums_by_ids(self, pairs: Sequence[_Pair]) -> list[float]:
        ids = [[*prefix, *continuation] for prefix, continuation in pairs]

        def read(_: int, output: Any) -> float | None:
            found = output.prompt_token_id_logprobs
            return None if found is None else float(found[:, 0].sum(dtype="float64"))

        def ask(rows: Sequence[int], *, recompute: bool) -> list[float | None]:
            decoding = [by_ids(*pairs[row], recompute=recompute) for row in rows]
            return self._run([ids[row] for row in rows], decoding, read)

        sums = ask(range(len(pairs)), recompute=False)
        # None: the cached prefix reached into the query, so those rows were not computed.
        missing = [row for row, total in enumerate(sums) if total is None]
        for row, total in zip(missing, ask(missing, recompute=True), strict=True):
            sums[row] = total
        return [total for total in sums if total is not None]

    @cached_property
    def _scores_ids(self) -> bool:
        """Whether this engine scores given ids at given positions; tried once.

        Version 0.31 and newer do on a GPU; the CPU's runner refuses it.
        """
        import vllm
        from vllm.exceptions import VLLMValidationError

        if "prompt_logprob_token_ids" not in vllm.SamplingParams.__struct_fields__:
            return False
        try:
            self._run([[0, 0, 0]], [by_ids([0], [0, 0], recompute=True)], lambda _, output: output)
        except VLLMValidationError as error:
            logger.info("vLLM does not score by ids here (%s): prompt_logprobs are used", error)
            return False
        return True

    def _run(
        self, ids: Sequence[list[int]], decoding: Sequence[Any], read: Callable[[int, Any], Read]
    ) -> list[Read]:
        """``read(row, output)`` of each request, shard by shard: outputs are large."""
        from vllm.inputs import TokensPrompt

        found: list[Read] = []
        for start in range(0, len(ids), self._shard_size):
            stop = start + self._shard_size
            outputs: Iterator[Any] = iter(
                self._llm.generate(
                    [TokensPrompt(prompt_token_ids=row) for row in ids[start:stop]],
                    list(decoding[start:stop]),
                    use_tqdm=False,
                )
            )
            found += [read(start + place, output) for place, output in enumerate(outputs)]
        return found

    def _prompt_ids(
        self, prompts: Sequence[Prompt], call: str, *, extra: Sequence[int]
    ) -> list[list[int]]:
        ids = self._tokenizer.prompts([prompt.text for prompt in prompts])
        lengths = [len(prompt) + more for prompt, more in zip(ids, extra, strict=True)]
        refuse_over_long(lengths, limit=self._limit, model=self._settings.name, call=call)
        return ids
