"""Real vLLM in this process, against the reference: the same model through transformers."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import ModelSettings, Prompt, TransformersSettings, VllmSettings
from gecko_kedro.teacher.adapted import AdaptedTeacher
from gecko_kedro.teacher.embedded import embedded_model
from gecko_kedro.teacher.transformers_teacher import TransformersTeacher
from gecko_kedro.teacher.vllm_teacher import VllmTeacher
from tests.support.tiny_llm import save_tiny_llm

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="no vLLM here: run make test-vllm"
    ),
]

SHOTS = "Read the passage and judge how well it serves the query.\n\n" + "".join(
    f"Passage: number {n} of the passages that are shown to everybody.\nQuery: which {n}\n\n"
    for n in range(4)
)
PASSAGES = [f"Yeast {n} feeds on " + "sugars of the flour, and the dough swells. " * (n % 6)
            for n in range(20)]  # fmt: skip
QUERY = "what makes dough swell before it is baked"
LABELS = {
    "of one token": [" 0", " 1", " 2", " 3"],
    "with a common beginning": [" very 0", " very 1", " very 2"],
    "of different lengths": [" no", " partly relevant", " yes, wholly"],
}
SCHEMA = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "maxLength": 12},
        "query": {"type": "string", "maxLength": 12},
    },
    "required": ["task", "query"],
    "additionalProperties": False,
}
QL_PROMPTS = [Prompt(f"{SHOTS}Passage: {passage}\nQuery:", {}) for passage in PASSAGES]
RC_PROMPTS = [Prompt(f"{prompt.text} {QUERY}\nRelevance:", {}) for prompt in QL_PROMPTS]


@dataclass(frozen=True)
class Pair:
    """The same weights twice."""

    vllm: VllmTeacher
    reference: TransformersTeacher


@pytest.fixture(scope="module", params=["llama, a base model", "qwen3, an instruct model"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    is_chat = "instruct" in request.param
    folder = tmp_path_factory.mktemp("model")
    save_tiny_llm(folder, "qwen3" if is_chat else "llama", chat=is_chat)
    settings = ModelSettings(
        name=str(folder), revision=None, dtype="float32", trust_remote_code=False,
        chat_template="auto", chat_template_kwargs={}, max_new_tokens=48, stop=("\n\n",),
    )  # fmt: skip
    execution = VllmSettings(
        max_model_len=1024, gpu_memory_utilization=0.85, max_num_batched_tokens=1024,
        tensor_parallel_size=1, shard_size=7,
        engine_args={"enforce_eager": True, "max_num_seqs": 16, "block_size": 32},
    )  # fmt: skip
    plain = TransformersSettings(
        device="cpu", batch_tokens=8192, kv_cache_tokens=8192, threads=None
    )
    return Pair(VllmTeacher.load(settings, execution), TransformersTeacher.load(settings, plain))


def test_query_likelihood_agrees_with_transformers(pair: Pair) -> None:
    queries = [f" {QUERY}"] * len(QL_PROMPTS)
    expected = pair.reference.query_log_likelihood(QL_PROMPTS, queries)
    for _ in range(2):  # the second time with a warm prefix cache
        found = pair.vllm.query_log_likelihood(QL_PROMPTS, queries)
        np.testing.assert_allclose(
            [reply.log_likelihood for reply in found],
            [reply.log_likelihood for reply in expected],
            atol=1e-4, rtol=0,
        )  # fmt: skip
        assert [(reply.prompt_tokens, reply.completion_tokens) for reply in found] == [
            (reply.prompt_tokens, reply.completion_tokens) for reply in expected
        ]


@pytest.mark.parametrize("kind", LABELS)
def test_relevance_agrees_with_transformers(pair: Pair, kind: str) -> None:
    found = pair.vllm.label_log_likelihood(RC_PROMPTS, LABELS[kind])
    expected = pair.reference.label_log_likelihood(RC_PROMPTS, LABELS[kind])
    np.testing.assert_allclose(
        [reply.log_likelihoods for reply in found],
        [reply.log_likelihoods for reply in expected],
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_the_runner_of_the_cpu_refuses_fixed_ids_and_prompt_logprobs_serve(pair: Pair) -> None:
    assert pair.vllm._scores_ids is False


def test_a_schema_makes_json_of_this_schema(pair: Pair) -> None:
    prompts = [Prompt(prompt.text, {}, "", SCHEMA) for prompt in QL_PROMPTS]
    for reply in pair.vllm.generate(prompts, temperature=0.7, top_p=0.95, seed=1):
        assert set(json.loads(reply.text, strict=False)) == {"task", "query"}


def test_a_reply_depends_on_its_own_prompt_and_the_seed_alone(pair: Pair) -> None:
    together = pair.vllm.generate(QL_PROMPTS, temperature=0.9, top_p=0.9, seed=3)
    backwards = pair.vllm.generate(QL_PROMPTS[::-1], temperature=0.9, top_p=0.9, seed=3)[::-1]
    alone = pair.vllm.generate(QL_PROMPTS[:1], temperature=0.9, top_p=0.9, seed=3)
    other = pair.vllm.generate(QL_PROMPTS, temperature=0.9, top_p=0.9, seed=4)
    assert together == backwards
    assert together[:1] == alone
    assert [reply.text for reply in other] != [reply.text for reply in together]


def test_temperature_zero_agrees_with_transformers(pair: Pair) -> None:
    found = pair.vllm.generate(QL_PROMPTS[:5], temperature=0, top_p=1, seed=0)
    expected = pair.reference.generate(QL_PROMPTS[:5], temperature=0, top_p=1, seed=0)
    # vLLM keeps back what may be the beginning of a character.
    assert [reply.text.rstrip("\ufffd") for reply in found] == [
        reply.text.rstrip("\ufffd") for reply in expected
    ]
    assert [reply.completion_tokens for reply in found] == [
        reply.completion_tokens for reply in expected
    ]


def test_a_prompt_that_is_too_long_is_named_and_never_cut(pair: Pair) -> None:
    long = Prompt("passage " * 1024, {})
    for ask in (
        lambda: pair.vllm.query_log_likelihood([QL_PROMPTS[0], long], [" a", " b"]),
        lambda: pair.vllm.label_log_likelihood([QL_PROMPTS[0], long], [" 0", " 1"]),
        lambda: pair.vllm.generate([QL_PROMPTS[0], long], temperature=0, top_p=1, seed=0),
    ):
        with pytest.raises(InputError, match="prompt 1: expected at most 1024 tokens"):
            ask()


def test_texts_are_cut_as_with_transformers(pair: Pair) -> None:
    assert pair.vllm.truncate(PASSAGES, 9) == pair.reference.truncate(PASSAGES, 9)


def test_no_prompts_get_no_replies(pair: Pair) -> None:
    assert pair.vllm.generate([], temperature=1, top_p=1, seed=0) == []
    assert pair.vllm.query_log_likelihood([], []) == []
    assert pair.vllm.label_log_likelihood([], [" 0", " 1"]) == []


def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path, pair: Pair) -> None:
    settings = pair.vllm._settings.model_copy(update={"name": str(tmp_path)})
    execution = VllmSettings(
        max_model_len=None, gpu_memory_utilization=0.5, max_num_batched_tokens=None,
        tensor_parallel_size=1, shard_size=1, engine_args={},
    )  # fmt: skip
    with pytest.raises(InputError, match=r"teacher\.model\.name"):
        VllmTeacher.load(settings, execution)


def test_the_embedded_model_scores_and_writes_as_through_transformers(tmp_path: Path) -> None:
    folder = embedded_model(tmp_path)
    settings = ModelSettings(
        name=str(folder), dtype="float32", chat_template="off", stop=("\n",), max_new_tokens=24
    )
    execution = VllmSettings(
        max_model_len=512, max_num_batched_tokens=1024, shard_size=32,
        engine_args={"enforce_eager": True, "max_num_seqs": 16, "block_size": 32},
    )  # fmt: skip
    plain = TransformersSettings(device="cpu")
    prompts = [
        Prompt("few-shot examples that it does not read", {"passage": passage, "title": "Bread"})
        for passage in PASSAGES
    ]
    queries = [f" {QUERY}"] * len(prompts)
    found, written = [], []
    for model in (
        VllmTeacher.load(settings, execution), TransformersTeacher.load(settings, plain)
    ):  # fmt: skip
        teacher = AdaptedTeacher(model, kinds=["question answering"], passage_tokens=64)
        scored = teacher.query_log_likelihood(prompts, queries)
        found.append([reply.log_likelihood for reply in scored])
        written.append([r.text for r in teacher.generate(prompts, temperature=0, top_p=1, seed=1)])
    np.testing.assert_allclose(*found, atol=1e-3, rtol=0)
    assert written[0] == written[1]
