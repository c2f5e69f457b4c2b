"""The transformers backend: what it shares between prompts never changes what it says."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import ModelSettings, Prompt, TransformersSettings
from gecko_kedro.teacher.transformers_teacher import TransformersTeacher
from tests.support.tiny_llm import Architecture, save_tiny_llm, tiny_model, tiny_tokenizer

SHOTS = "Read the passage and judge how well it serves the query.\n\n" + "".join(
    f"Passage: number {n} of the passages that are shown to everybody.\nQuery: which {n}\n\n"
    for n in range(4)
)
PASSAGES = [f"Yeast {n} feeds on " + "sugars of the flour, and the dough swells. " * n
            for n in (1, 3, 2, 7, 5)]  # fmt: skip
QUERIES = ["why does bread rise", "dough", "what makes dough swell before it is baked", "?"]
LABELS = [" 0", " 1", " 2", " 3"]
SCHEMA = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "maxLength": 12},
        "query": {"type": "string", "maxLength": 12},
    },
    "required": ["task", "query"],
    "additionalProperties": False,
}


def model_settings(**changes: Any) -> ModelSettings:
    plain: dict[str, Any] = {
        "name": "tiny",
        "revision": None,
        "dtype": "float32",
        "trust_remote_code": False,
        "chat_template": "auto",
        "chat_template_kwargs": {},
        "max_new_tokens": 24,
        "stop": ["\n\n"],
    }
    return ModelSettings.model_validate(plain | changes)


def execution(**changes: Any) -> TransformersSettings:
    plain = {"device": "cpu", "batch_tokens": 4096, "kv_cache_tokens": 4096, "threads": 1}
    return TransformersSettings.model_validate(plain | changes)


def teacher(
    architecture: Architecture = "llama",
    *,
    model: Any = None,
    chat: bool = False,
    batch_tokens: int = 4096,
    kv_cache_tokens: int = 4096,
    **changes: Any,
) -> TransformersTeacher:
    return TransformersTeacher(
        model or tiny_model(architecture),
        tiny_tokenizer(chat=chat),
        settings=model_settings(**changes),
        execution=execution(batch_tokens=batch_tokens, kv_cache_tokens=kv_cache_tokens),
        revision="made on the spot",
    )


def ql_prompts() -> list[Prompt]:
    return [Prompt(f"{SHOTS}Passage: {passage}\nQuery:", {}) for passage in PASSAGES]


def rc_prompts(query: str = QUERIES[0]) -> list[Prompt]:
    return [
        Prompt(f"{SHOTS}Passage: {passage}\nQuery: {query}\nRelevance:", {}) for passage in PASSAGES
    ]


def naive(model: Any, tokenizer: Any, prompt: str, continuation: str) -> float:
    """One full forward pass over prompt and continuation, nothing shared."""
    prefix = tokenizer(prompt)["input_ids"]
    tail = tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([prefix + tail]), use_cache=False).logits[0].double()
    rows = torch.log_softmax(logits, dim=-1)
    return sum(float(rows[len(prefix) - 1 + n, token]) for n, token in enumerate(tail))


def likelihoods(
    made: TransformersTeacher, prompts: Sequence[Prompt], queries: Sequence[str]
) -> list[float]:
    return [reply.log_likelihood for reply in made.query_log_likelihood(prompts, queries)]


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize(
    ("batch_tokens", "kv_cache_tokens"), [(1, 500), (700, 0), (2000, 800), (16384, 16384)]
)
def test_query_likelihood_is_that_of_a_full_forward_pass(
    architecture: Architecture, batch_tokens: int, kv_cache_tokens: int
) -> None:
    model, tokenizer = tiny_model(architecture), tiny_tokenizer()
    made = teacher(model=model, batch_tokens=batch_tokens, kv_cache_tokens=kv_cache_tokens)
    prompts = [prompt for prompt in ql_prompts() for _ in QUERIES]
    queries = [f" {query}" for query in QUERIES] * len(PASSAGES)
    expected = [
        naive(model, tokenizer, prompt.text, query)
        for prompt, query in zip(prompts, queries, strict=True)
    ]
    np.testing.assert_allclose(likelihoods(made, prompts, queries), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize("labels", [LABELS, [" no", " partly relevant", " yes", " yes, wholly"]])
def test_relevance_is_that_of_a_full_forward_pass(
    architecture: Architecture, labels: list[str]
) -> None:
    model, tokenizer = tiny_model(architecture), tiny_tokenizer()
    made = teacher(model=model)
    made.query_log_likelihood(ql_prompts(), [f" {QUERIES[0]}"] * len(PASSAGES))  # fills the cache
    replies = made.label_log_likelihood(rc_prompts(), labels)
    expected = [
        [naive(model, tokenizer, prompt.text, label) for label in labels] for prompt in rc_prompts()
    ]
    np.testing.assert_allclose(
        [reply.log_likelihoods for reply in replies], expected, atol=1e-5, rtol=0
    )


def test_a_model_with_sliding_windows_is_run_without_sharing_and_agrees() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=512, hidden_size=64, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=48,
        max_position_embeddings=1024, initializer_range=0.1,
    )  # fmt: skip
    model = MistralForCausalLM(config).eval()
    made = teacher(model=model)
    queries = [f" {QUERIES[0]}"] * len(PASSAGES)
    expected = [naive(model, tiny_tokenizer(), p.text, queries[0]) for p in ql_prompts()]
    np.testing.assert_allclose(
        likelihoods(made, ql_prompts(), queries), expected, atol=1e-5, rtol=0
    )


def fed_tokens(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills up with the number of positions of each pass that ``model`` makes from now on."""
    fed: list[int] = []
    forward = model.forward

    def counting(*, input_ids: torch.Tensor, logits_to_keep: int = 0, **rest: Any) -> Any:
        fed.append(input_ids.numel())
        return forward(input_ids=input_ids, logits_to_keep=logits_to_keep, **rest)

    monkeypatch.setattr(model, "forward", counting)
    return fed


def test_the_few_shot_prefix_is_computed_once_over_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    made, fed = teacher(model=model), fed_tokens(model, monkeypatch)
    shots = len(tiny_tokenizer()(SHOTS)["input_ids"])
    for prompt in ql_prompts():  # one by one: there is nothing to share within a call
        made.query_log_likelihood([prompt], [" dough"])
    longest = max(len(tiny_tokenizer()(passage)["input_ids"]) for passage in PASSAGES)
    assert fed[0] > shots
    assert max(fed[1:]) < longest + 40


def test_relevance_after_query_likelihood_feeds_only_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model("llama")
    made, fed = teacher(model=model), fed_tokens(model, monkeypatch)
    made.query_log_likelihood(ql_prompts(), [f" {QUERIES[0]}"] * len(PASSAGES))
    before = sum(fed)
    made.label_log_likelihood(rc_prompts(), LABELS)
    # The last token of the query was scored, but never fed.
    new = len(tiny_tokenizer()("\nRelevance:", add_special_tokens=False)["input_ids"]) + 1
    assert sum(fed) - before == len(PASSAGES) * new
    assert before > 15 * (sum(fed) - before)


def test_a_passage_is_computed_once_for_several_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    made, fed = teacher(model=model), fed_tokens(model, monkeypatch)
    long = Prompt(f"{SHOTS}Passage: {PASSAGES[3]}\nQuery:", {})
    made.query_log_likelihood([long] * 50, [f" number {n}" for n in range(50)])
    assert sum(fed) < len(tiny_tokenizer()(long.text)["input_ids"]) + 50 * 12


def test_passages_that_do_not_fit_into_the_cache_together_are_computed_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model("llama")
    made, fed = teacher(model=model, kv_cache_tokens=600), fed_tokens(model, monkeypatch)
    passages = [f"{n} " + f"sugars of the flour {n} " * 20 for n in range(10)]
    prompts = [Prompt(f"{SHOTS}Passage: {passage}\nQuery:", {}) for passage in passages] * 3
    made.query_log_likelihood(prompts, [f" {n}" for n in (7, 8, 9) for _ in passages])
    tokens = tiny_tokenizer()([prompt.text for prompt in prompts[:10]])["input_ids"]
    shots = len(tiny_tokenizer()(SHOTS)["input_ids"])
    assert sum(fed) < sum(len(ids) - shots for ids in tokens) + shots + 30 * 12


def test_replies_keep_their_order_and_do_not_depend_on_their_batch() -> None:
    alone = teacher()
    together = teacher()
    prompts, queries = ql_prompts(), [f" {QUERIES[n % 4]}" for n in range(len(PASSAGES))]
    one_by_one = [
        alone.query_log_likelihood([p], [q])[0] for p, q in zip(prompts, queries, strict=True)
    ]
    at_once = together.query_log_likelihood(prompts, queries)
    for left, right in zip(one_by_one, at_once, strict=True):
        assert left.log_likelihood == pytest.approx(right.log_likelihood, abs=1e-5)
        assert (left.prompt_tokens, left.completion_tokens) == (
            right.prompt_tokens,
            right.completion_tokens,
        )


def test_a_reply_depends_on_its_own_prompt_and_the_seed_alone() -> None:
    made = teacher()
    together = made.generate(ql_prompts(), temperature=0.9, top_p=0.9, seed=3)
    backwards = made.generate(ql_prompts()[::-1], temperature=0.9, top_p=0.9, seed=3)[::-1]
    alone = [
        teacher().generate([prompt], temperature=0.9, top_p=0.9, seed=3)[0]
        for prompt in ql_prompts()
    ]
    other = made.generate(ql_prompts(), temperature=0.9, top_p=0.9, seed=4)
    assert together == backwards == alone
    assert len({reply.text for reply in together}) > 1
    assert [reply.text for reply in other] != [reply.text for reply in together]


def test_temperature_zero_is_the_greedy_reply_of_transformers() -> None:
    model, tokenizer = tiny_model("qwen3"), tiny_tokenizer()
    made = teacher(model=model, stop=[])
    for prompt, reply in zip(
        ql_prompts(), made.generate(ql_prompts(), temperature=0, top_p=1, seed=0), strict=True
    ):
        ids = torch.tensor([tokenizer(prompt.text)["input_ids"]])
        expected = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24,
            pad_token_id=1,
        )  # fmt: skip
        new = expected[0, ids.shape[1] :].tolist()
        assert reply.text == tokenizer.decode(new, skip_special_tokens=True)
        assert reply.completion_tokens == len(new)
        assert reply.prompt_tokens == ids.shape[1]


def test_a_stop_text_ends_the_reply_of_a_base_model_and_is_not_part_of_it() -> None:
    whole = teacher(stop=[]).generate(ql_prompts(), temperature=1, top_p=1, seed=0)[0].text
    stop = whole[len(whole) // 2]
    cut = teacher(stop=[stop]).generate(ql_prompts(), temperature=1, top_p=1, seed=0)[0]
    assert cut.text == whole[: whole.index(stop)]


@pytest.mark.parametrize("chat", [False, True])
def test_a_schema_makes_json_of_this_schema_at_any_temperature(chat: bool) -> None:
    made = teacher(chat=chat, max_new_tokens=100)
    prompts = [Prompt(prompt.text, {}, "", SCHEMA) for prompt in ql_prompts()]
    for temperature in (0.0, 0.7, 1.5):
        for reply in made.generate(prompts, temperature=temperature, top_p=0.95, seed=1):
            assert set(json.loads(reply.text)) == {"task", "query"}


def test_a_schema_that_is_none_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="reply_schema"):
        teacher().generate(
            [Prompt("a", {}, "", {"type": "no type"})], temperature=0, top_p=1, seed=0
        )


def test_an_instruct_model_reads_its_chat_template_and_a_base_model_none() -> None:
    model, tokenizer = tiny_model("llama"), tiny_tokenizer(chat=True)
    prompt = ql_prompts()[0]
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt.text}], tokenize=False, add_generation_prompt=True
    )
    rendered = rendered.removeprefix("<s>")  # the tokenizer puts it there again
    made = teacher(model=model, chat=True)
    assert likelihoods(made, [prompt], [" dough"]) == [
        pytest.approx(naive(model, tokenizer, rendered, "dough"), abs=1e-5)
    ]
    plain = teacher(model=model, chat=True, chat_template="off")
    assert likelihoods(plain, [prompt], [" dough"]) == [
        pytest.approx(naive(model, tokenizer, prompt.text, " dough"), abs=1e-5)
    ]
    assert made.identity != plain.identity


def test_a_chat_template_that_is_wanted_but_missing_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="instruct variant"):
        teacher(chat_template="on")


def test_special_tokens_that_a_passage_spells_out_are_plain_text() -> None:
    spelled = Prompt("a </s> b", {})
    assert teacher().query_log_likelihood([spelled], [" c"])[0].prompt_tokens > 6


def test_a_prompt_that_is_too_long_is_named_and_never_cut() -> None:
    long = Prompt("passage " * 1024, {})
    for ask in (
        lambda: teacher().query_log_likelihood([ql_prompts()[0], long], [" a", " b"]),
        lambda: teacher().label_log_likelihood([ql_prompts()[0], long], LABELS),
        lambda: teacher().generate([ql_prompts()[0], long], temperature=0, top_p=1, seed=0),
    ):
        with pytest.raises(InputError, match=r"prompt 1: expected at most 1024 tokens"):
            ask()


def test_a_prompt_that_just_fits_is_scored() -> None:
    made = teacher(model=tiny_model("llama", positions=64))
    prompt = Prompt("a" * 61, {})  # and <s>
    reply = made.query_log_likelihood([prompt], ["bc"])[0]
    assert (reply.prompt_tokens, reply.completion_tokens) == (62, 2)
    with pytest.raises(InputError):
        made.query_log_likelihood([prompt], ["bcd"])


def test_an_empty_continuation_has_log_likelihood_zero() -> None:
    assert likelihoods(teacher(), ql_prompts()[:2], ["", " a"])[0] == 0


def test_labels_without_tokens_are_a_clear_error() -> None:
    with pytest.raises(InputError, match="labels"):
        teacher().label_log_likelihood(rc_prompts(), [" 1", ""])


def test_no_prompts_get_no_replies() -> None:
    made = teacher()
    assert made.generate([], temperature=1, top_p=1, seed=0) == []
    assert made.query_log_likelihood([], []) == []
    assert made.label_log_likelihood([], LABELS) == []


@pytest.mark.parametrize("max_tokens", [0, 1, 2, 5, 17])
def test_texts_are_cut_to_so_many_tokens(max_tokens: int) -> None:
    made, tokenizer = teacher(), tiny_tokenizer()
    texts = [*PASSAGES, "", "é" * 9, "日本語のテキスト", "🙂🙂🙂🙂🙂🙂"]
    for text, cut in zip(texts, made.truncate(texts, max_tokens), strict=True):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        kept = tokenizer(cut, add_special_tokens=False)["input_ids"]
        assert text.startswith(cut)
        assert len(kept) <= max_tokens
        assert (cut == text) is (len(tokens) <= max_tokens)


def test_a_folder_is_loaded_and_its_weights_are_part_of_the_identity(tmp_path: Path) -> None:
    first = save_tiny_llm(tmp_path / "one")
    second = save_tiny_llm(tmp_path / "two", seed=1)
    made = [
        TransformersTeacher.load(model_settings(name=str(folder)), execution())
        for folder in (first, second)
    ]
    revisions = [teacher.identity.partition("revision ")[2][:20] for teacher in made]
    assert revisions[0] != revisions[1]
    assert "dtype float32" in made[0].identity
    scores = [likelihoods(teacher, ql_prompts(), [" a"] * len(PASSAGES)) for teacher in made]
    assert not np.allclose(scores[0], scores[1])
    assert all(math.isfinite(score) for score in scores[0])


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    for name in (str(tmp_path / "absent"), str(tmp_path)):
        with pytest.raises(InputError, match=r"teacher\.model\.name"):
            TransformersTeacher.load(model_settings(name=name), execution())
