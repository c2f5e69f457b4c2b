"""Any causal language model through vLLM, in this process: the backend for a GPU."""

import gc
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.model_teacher import Ids, ModelTeacher, computes_half, opened
from gecko_kedro.teacher.protocol import Generation, Prompt
from gecko_kedro.teacher.sampling import prompt_seed
from gecko_kedro.teacher.settings import ModelSettings, VllmSettings
from gecko_kedro.teacher.thinking import answer_of

logger = logging.getLogger(__name__)

_MOST_LABELS = 128  # ids that one request of logprob_token_ids may name
Read = TypeVar("Read")


class VllmTeacher(ModelTeacher):
    """``vllm.LLM`` (0.31 or newer) behind the protocol of a teacher.

    Prompts go in as token ids. Each call submits one kind of request only: in the V1 runner,
    requests for the log-probabilities of given ids destroy those of other requests that are batched
    with them. Query likelihood is read from ``prompt_logprobs``, or, where the engine accepts it
    (a GPU with the V2 runner), from the log-probabilities of the query's ids alone, which leaves
    the cached prefix in use and computes logits for the query only.
    """

    spare_tokens = 1  # vLLM makes a token, whether it is wanted or not

    def __init__(
        self, llm: Any, *, settings: ModelSettings, execution: VllmSettings, revision: str
    ) -> None:
        import vllm

        config = llm.llm_engine.model_config
        super().__init__(
            llm.get_tokenizer(), settings, library=f"vllm {vllm.__version__}", revision=revision,
            dtype=config.dtype, limit=int(config.max_model_len),
        )  # fmt: skip
        self._llm, self._shard_size = llm, execution.shard_size

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
        gc.collect()  # an engine that nobody uses any more still holds most of the GPU
        with opened(settings.name) as source:
            llm = vllm.LLM(**_engine_arguments(source, settings, execution))
        commit = getattr(llm.llm_engine.model_config.hf_config, "_commit_hash", None)
        revision = cls.revision_of(source, commit or settings.revision)
        teacher = cls(llm, settings=settings, execution=execution, revision=revision)
        logger.info("Teacher: %s", teacher.identity)
        return teacher

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        """Sampled replies, each with a seed of its own that is made from ``seed`` and the prompt.

        A prompt with a ``reply_schema`` gets JSON of it, unless ``max_new_tokens`` cuts it short.
        """
        import vllm
        from vllm.sampling_params import StructuredOutputsParams

        new_tokens = self._settings.max_new_tokens
        ids = self._prompt_ids(prompts, "generate", [new_tokens] * len(prompts))
        stop = [] if self._tokenizer.is_chat else list(self._settings.stop)
        decoding = []
        for prompt in prompts:
            schema = prompt.reply_schema
            grammar = None if schema is None else StructuredOutputsParams(json=dict(schema))
            own = prompt_seed(seed, prompt.text) % 2**63
            decoding.append(
                vllm.SamplingParams(
                    temperature=temperature, top_p=top_p, seed=own, max_tokens=new_tokens,
                    stop=stop, structured_outputs=grammar,
                )
            )  # fmt: skip

        def read(row: int, output: Any) -> Generation:
            reply = output.outputs[0]
            return Generation(answer_of(reply.text), len(ids[row]), len(reply.token_ids))

        return self._run(ids, decoding, read)

    def _label_scores(self, ids: Sequence[Ids], labels: Sequence[Ids]) -> list[list[float]]:
        start = labels[0][:-1]
        if len(labels) <= _MOST_LABELS and all(label[:-1] == start for label in labels):
            return self._last_tokens(ids, start, [label[-1] for label in labels])
        sums = iter(self._sums([(prompt, label) for prompt in ids for label in labels]))
        return [[next(sums) for _ in labels] for _ in ids]

    def _last_tokens(self, ids: Sequence[Ids], start: Ids, last: Ids) -> list[list[float]]:
        """log P(start, then each of ``last``) after each prompt."""
        decoding = _scoring(flat_logprobs=True, logprob_token_ids=sorted(set(last)))

        def read(_: int, output: Any) -> list[float]:
            found = output.outputs[0].logprobs[0]
            return [float(found[token].logprob) for token in last]

        extended = [[*prompt, *start] for prompt in ids]
        scores = self._run(extended, [decoding] * len(ids), read)
        starts = self._sums([(prompt, start) for prompt in ids])
        return [[first + value for value in row] for first, row in zip(starts, scores, strict=True)]

    def _totals(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[float]:
        return self._totals_by_ids(pairs) if self._scores_ids else self._totals_by_prompt(pairs)

    def _totals_by_prompt(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[float]:
        # 0: the log-probability of each actual token and no other.
        decoding = _scoring(flat_logprobs=True, prompt_logprobs=0)

        def read(row: int, output: Any) -> float:
            prefix, continuation = pairs[row]
            found = output.prompt_logprobs
            return sum(
                float(found[len(prefix) + place][token].logprob)
                for place, token in enumerate(continuation)
            )

        ids = [[*prefix, *continuation] for prefix, continuation in pairs]
        return self._run(ids, [decoding] * len(ids), read)

    def _totals_by_ids(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[float]:
        ids = [[*prefix, *continuation] for prefix, continuation in pairs]

        def read(_: int, output: Any) -> float | None:
            found = output.prompt_token_id_logprobs
            return None if found is None else float(found[:, 0].sum(dtype="float64"))

        def ask(rows: Sequence[int], *, recompute: bool) -> list[float | None]:
            decoding = [_by_ids(*pairs[row], recompute=recompute) for row in rows]
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
            self._run([[0, 0, 0]], [_by_ids([0], [0, 0], recompute=True)], lambda _, output: output)
        except VLLMValidationError as error:
            logger.info("vLLM does not score by ids here (%s): prompt_logprobs are used", error)
            return False
        return True

    def _run(
        self, ids: Sequence[Ids], decoding: Sequence[Any], read: Callable[[int, Any], Read]
    ) -> list[Read]:
        """``read(row, output)`` of each request, shard by shard: outputs are large."""
        from vllm.inputs import TokensPrompt

        found: list[Read] = []
        for start in range(0, len(ids), self._shard_size):
            stop = start + self._shard_size
            prompts = [TokensPrompt(prompt_token_ids=row) for row in ids[start:stop]]
            outputs = self._llm.generate(prompts, list(decoding[start:stop]), use_tqdm=False)
            found += [read(start + place, output) for place, output in enumerate(outputs)]
        return found


def _scoring(**wanted: Any) -> Any:
    """Parameters of a request for log-probabilities, which generates no more than it has to."""
    import vllm

    return vllm.SamplingParams(max_tokens=1, temperature=0, detokenize=False, **wanted)


def _by_ids(prefix: Ids, continuation: Ids, *, recompute: bool) -> Any:
    """The log-probabilities of ``continuation`` after ``prefix`` and of nothing else."""
    return _scoring(
        prompt_logprob_token_ids=[[token] for token in continuation],
        prompt_logprob_start=len(prefix) - 1,
        skip_reading_prefix_cache=recompute,
    )


def _engine_arguments(
    source: str, settings: ModelSettings, execution: VllmSettings
) -> dict[str, Any]:
    """Those of ``vllm.LLM`` for the model in ``source``."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    wanted = {
        "max_model_len": execution.max_model_len,
        "max_num_batched_tokens": execution.max_num_batched_tokens,
        "revision": settings.revision,
        # On a CPU, vLLM 0.32 dies of a seeded request whose prompt is cut into chunks ("CPU
        # Generator does not use offset"). It then wants max_num_batched_tokens >= max_model_len.
        "enable_chunked_prefill": False if device == "cpu" else None,
    }
    return {
        "model": source,
        "dtype": "bfloat16" if computes_half(settings, device) else "float32",
        "trust_remote_code": settings.trust_remote_code,
        "tensor_parallel_size": execution.tensor_parallel_size,
        "gpu_memory_utilization": execution.gpu_memory_utilization,
        "seed": 0,
        # Free white space would let a weak model fill a reply with newlines.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        **{name: value for name, value in wanted.items() if value is not None},
        **execution.engine_args,
    }
