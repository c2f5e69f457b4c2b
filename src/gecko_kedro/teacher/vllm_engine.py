"""What vLLM is asked: the arguments of its engine, and the scoring of given ids."""

from typing import Any

from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.teacher.settings import ModelSettings, VllmSettings


def by_ids(prefix: list[int], continuation: list[int], *, recompute: bool) -> Any:
    """The log-probabilities of ``continuation`` after ``prefix`` and of nothing else."""
    import vllm

    return vllm.SamplingParams(
        max_tokens=1,
        temperature=0,
        detokenize=False,
        prompt_logprob_token_ids=[[token] for token in continuation],
        prompt_logprob_start=len(prefix) - 1,
        skip_reading_prefix_cache=recompute,
    )


def engine_arguments(
    source: str, settings: ModelSettings, execution: VllmSettings
) -> dict[str, Any]:
    """Those of ``vllm.LLM`` for the model in ``source``."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = settings.dtype == "bfloat16" or (settings.dtype == "auto" and fast_bf16(device))
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
        "dtype": "bfloat16" if half else "float32",
        "trust_remote_code": settings.trust_remote_code,
        "tensor_parallel_size": execution.tensor_parallel_size,
        "gpu_memory_utilization": execution.gpu_memory_utilization,
        "seed": 0,
        # Free white space would let a weak model fill a reply with newlines.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        **{name: value for name, value in wanted.items() if value is not None},
        **execution.engine_args,
    }
