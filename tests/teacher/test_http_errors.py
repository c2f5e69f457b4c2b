"""Errors in replies with status 200, and replies that are none: shown, retried, never stored."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gecko_kedro.teacher import Prompt, Refused, ResponseStore, StoredTeacher
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.protocol import TeacherError
from tests.support.http_server import (
    Fault,
    ServerState,
    chat_reply,
    fine,
    replying,
    serving,
    status,
)
from tests.support.observing import Observe

Settings = Callable[..., HttpSettings]
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}}


@pytest.fixture
def server() -> Iterator[ServerState]:
    with serving() as state:
        yield state


@pytest.fixture
def make(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> Callable[..., StoredTeacher]:
    """A teacher on one store, as another run has it; nothing is tried out."""
    return lambda **changes: StoredTeacher(
        HttpTeacher(http_settings(server, **{"dialect": "openai", "concurrency": 1} | changes)),
        ResponseStore(tmp_path / "store"), batch_size=100,
    )  # fmt: skip


def prompts(n: int) -> list[Prompt]:
    return [Prompt(f"Passage: the tale number {i}.", {}, "1", SCHEMA) for i in range(n)]


def ask(teacher: StoredTeacher, n: int = 3) -> list[Any]:
    return list(teacher.generate(prompts(n), temperature=0.0, top_p=1.0, seed=0))


def whole(body: Any) -> Fault:
    return replying(lambda _: body)


def in_choice(error: Any, **more: Any) -> Fault:
    message = {"role": "assistant", "content": ""}
    return whole({"choices": [{"message": message, "error": error, **more}]})


PASSING = {
    "code 429": whole({"error": {"message": "slow down", "code": 429}}),
    "code '502'": whole({"error": {"message": "no upstream", "code": "502"}}),
    "a name": whole({"error": {"message": "busy", "code": "rate_limit_exceeded"}}),
    "a type": whole({"error": {"message": "busy", "type": "overloaded_error"}}),
    "no code": whole({"error": "the model crashed"}),
    "null choices": whole({"choices": None, "error": {"message": "busy", "code": 503}}),
    "in a choice": in_choice({"message": "upstream went away", "code": 502}),
    "finish_reason": in_choice(None, finish_reason="error"),
    "old vLLM": whole({"object": "error", "message": "engine busy", "code": 500}),
}


@pytest.mark.parametrize("kind", PASSING)
def test_an_error_that_passes_is_asked_again_and_never_stored(
    server: ServerState, make: Callable[..., StoredTeacher], kind: str
) -> None:
    server.faults.extend([PASSING[kind], fine, PASSING[kind], PASSING[kind]])
    replies = ask(make())
    assert all(json.loads(reply.text)["query"] for reply in replies)
    assert sum(server.asked.values()) == 3 + 3


LASTING = {
    "401": (whole({"error": {"message": "no such user", "code": 401}}), "no such user.*api_key"),
    "402": (in_choice({"message": "insufficient credits", "code": 402}), "credits.*quota"),
    "403": (whole({"error": {"message": "moderated", "code": "403"}}), "moderated"),
    "a name": (whole({"error": {"message": "bad key", "code": "invalid_api_key"}}), "bad key"),
    "a day's limit": (
        whole({"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}),
        "free-models-per-day.*quota",
    ),
    "no money": (status(429, "You exceeded your current quota, check billing"), "quota"),
    "behind a gateway": (
        whole({"error": {"message": "Provider returned error", "code": 403,
                         "metadata": {"raw": "region not served"}}}),
        "region not served",
    ),
}  # fmt: skip


@pytest.mark.faults
@pytest.mark.parametrize("kind", LASTING)
def test_an_error_that_lasts_stops_the_run_in_the_servers_words(
    server: ServerState, make: Callable[..., StoredTeacher], kind: str, observe: Observe
) -> None:
    server.always, words = LASTING[kind]
    with pytest.raises(TeacherError, match=f"(?s){words}") as stop:
        ask(make())
    assert sum(server.asked.values()) == 1
    assert len(make()._store) == 0
    observe(f"HTTP 200 with an error in place of a reply: {kind}", stop.value)


def test_a_prompt_that_an_error_within_refuses_is_set_aside(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    ask(make(), 1)
    code = {"message": "This model's maximum context length is 16", "code": 400}
    server.always = whole({"error": code})
    assert isinstance(ask(make(), 2)[1], Refused)


NO_REPLIES = {
    "filtered": (chat_reply("half a", finish="content_filter"), "filter"),
    "another filter": (chat_reply("half a", finish="SAFETY"), "filter"),
    "a refusal": (chat_reply(None, refusal="I can't help with that"), "can't help"),
    "null": (chat_reply(None), "an empty reply"),
    "empty": (chat_reply("  \n"), "an empty reply"),
    "empty with length": (chat_reply("", finish="length"), "max_new_tokens"),
    "truncated": (chat_reply('{"query": "half', finish="length"), "cut off.*max_new_tokens"),
}


@pytest.mark.parametrize("kind", NO_REPLIES)
def test_what_is_no_reply_is_never_stored_and_asked_again_by_the_next_run(
    server: ServerState, make: Callable[..., StoredTeacher], kind: str
) -> None:
    wanted = ask(make(), 1)
    body, words = NO_REPLIES[kind]
    server.faults.extend([whole(body), whole(body)])
    teacher = make()
    replies = ask(teacher)
    assert [isinstance(reply, Refused) for reply in replies] == [False, True, True]
    assert words.split(".*")[0] in replies[1].words
    assert (len(teacher._store), replies[0]) == (1, wanted[0])
    assert not any(isinstance(reply, Refused) for reply in ask(make()))


def test_a_reply_that_goes_on_after_its_json_is_whole(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    server.always = whole(chat_reply('{"query": "q"}\n\nPassage: anoth', finish="length"))
    assert ask(make(), 1)[0].text.startswith('{"query": "q"}')


PAGE = "<!DOCTYPE html><html><head><style>p {}</style></head><h1>Sign in</h1></html>"
STREAM = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PAGE, "an HTML page: Sign in in place of a reply"),
        (STREAM, r"a stream of events.*extra_body: \{stream: false\}"),
        ("pong", "no whole JSON: 'pong'"),
    ],
)
def test_what_is_no_json_is_named(
    server: ServerState, make: Callable[..., StoredTeacher], text: str, words: str
) -> None:
    async def page(*_: Any) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    server.always = page
    with pytest.raises(TeacherError, match=words):
        ask(make(max_retries=1), 1)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": 4}])
def test_tokens_that_the_server_does_not_count_are_estimated(
    server: ServerState, make: Callable[..., StoredTeacher], usage: Any
) -> None:
    server.always = whole({**chat_reply('{"query": 1}'), "usage": usage})
    reply = ask(make(), 1)[0]
    assert (reply.prompt_tokens, reply.completion_tokens) == (9, 4)


def test_an_error_within_never_shows_the_key(
    server: ServerState, make: Callable[..., StoredTeacher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "canary-4711")
    server.always = whole({"error": {"message": "no key canary-4711", "code": 401}})
    with pytest.raises(TeacherError, match="no key <key>"):
        ask(make(api_key_env="TEST_KEY"), 1)


def top(numbers: dict[str, float | None]) -> Fault:
    def make(body: dict[str, Any]) -> Any:
        reply = chat_reply("2")
        listed = [{"token": token, "logprob": number} for token, number in numbers.items()]
        reply["choices"][0]["logprobs"] = {"content": [{"token": "2", "top_logprobs": listed}]}
        return reply

    async def fault(state: ServerState, request: web.Request, body: dict[str, Any]) -> Any:
        return web.Response(text=json.dumps(make(body)), content_type="application/json")

    return fault


@pytest.mark.parametrize(
    "impossible", [-9999.0, float("-inf"), None, float("nan"), 3.5, float("inf"), -2e9]
)
def test_an_impossible_label_is_impossible_and_no_error(
    server: ServerState, make: Callable[..., StoredTeacher], impossible: float | None
) -> None:
    server.always = top({"2": -0.1, "1": -2.5, "0": impossible, "3": impossible})
    (reply,) = make().label_log_likelihood(prompts(1), [" 0", " 1", " 2", " 3"])
    zero, one, two, three = reply.log_likelihoods  # type: ignore[union-attr]
    assert (one, two) == pytest.approx((-2.5, -0.1))
    assert zero == three <= one


def test_a_log_probability_that_is_rounded_above_zero_is_zero(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    server.always = top({"2": 1e-7, "1": -20.0})
    (reply,) = make().label_log_likelihood(prompts(1), [" 1", " 2"])
    assert reply.log_likelihoods == pytest.approx((-20.723, 0.0), abs=1e-2) or (
        reply.log_likelihoods[1] == 0.0  # type: ignore[union-attr]
    )


def test_labels_that_are_all_impossible_are_no_reply(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    server.always = top({"2": -9999.0, "1": float("-inf")})
    with pytest.raises(TeacherError, match="no label among the likely tokens"):
        make().label_log_likelihood(prompts(1), [" 1", " 2"])
