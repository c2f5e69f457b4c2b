"""Parameters that a server does not take, and prompts that it does not read to the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gecko_kedro.teacher import Prompt, Refused, ResponseStore, StoredTeacher
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.protocol import TeacherError
from tests.support.http_server import Fault, ServerState, replying, serving, status
from tests.support.observing import Observe

Settings = Callable[..., HttpSettings]
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}}


@pytest.fixture
def server() -> Iterator[ServerState]:
    with serving() as state:
        yield state


def asked(teacher: HttpTeacher | StoredTeacher, texts: list[str]) -> list[Any]:
    prompts = [Prompt(text, {}, "1", SCHEMA) for text in texts]
    return list(teacher.generate(prompts, temperature=0.5, top_p=0.9, seed=0))


def without(field: str, words: str, code: int = 400) -> Fault:
    """Refuses each request that has ``field``."""

    async def fault(state: ServerState, request: Any, body: dict[str, Any]) -> Any:
        return await status(code, words)(state, request, body) if field in body else None

    return fault


REFUSALS = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0.5 with this model. Only "
    "the default (1) value is supported.",
    "top_p": "[{'type': 'extra_forbidden', 'loc': ('body', 'top_p'), 'msg': 'Extra inputs are not "
    "permitted'}]",
    "seed": "property `seed` is unsupported",
    "response_format": "This response_format is not available now",
}


@pytest.mark.faults
@pytest.mark.parametrize("field", REFUSALS)
@pytest.mark.parametrize("dialect", ["openai", "auto"])
def test_a_parameter_that_is_refused_is_renamed_or_left_out_once(
    http_settings: Settings, field: str, dialect: str, caplog: pytest.LogCaptureFixture,
    observe: Observe,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    with serving(completions=False) as server:
        server.always = without(field, REFUSALS[field])
        teacher = HttpTeacher(http_settings(server, dialect=dialect, concurrency=1))
        replies = asked(teacher, ["a tale", "another tale", "a third"])
    assert not any(isinstance(reply, Refused) for reply in replies)
    lines = [line for line in caplog.messages if "does not take" in line or "in place of `" in line]
    assert len(lines) == 1
    sent = server.bodies[-1]
    assert field not in sent
    assert sent.get("max_completion_tokens", sent.get("max_tokens")) == 256
    if dialect == "openai":
        assert sum(server.asked.values()) == 3 + 1
        observe(f"a server that refuses `{field}`", lines[0])


def test_requests_in_flight_that_were_refused_for_the_same_parameter_are_sent_again(
    http_settings: Settings,
) -> None:
    with serving(latency_s=0.02) as server:
        server.always = without("seed", REFUSALS["seed"], code=422)
        teacher = HttpTeacher(http_settings(server, dialect="openai", concurrency=8))
        assert not any(isinstance(one, Refused) for one in asked(teacher, list("abcdefghij")))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ("'logprobs' is not supported with this model", "teacher.http.dialect: auto"),
        ("'top_logprobs' must be at most 2", "teacher.http.top_logprobs"),
        ("Unknown parameter: 'extra'", r"extra_body: \{extra: null\}"),
    ],
)
def test_a_parameter_that_is_needed_stops_the_run_and_is_named(
    server: ServerState, http_settings: Settings, words: str, fix: str, observe: Observe
) -> None:
    field = words.split("'")[1]
    server.always = without(field, words)
    settings = http_settings(server, dialect="openai", extra_body={"extra": 1}, concurrency=1)
    with pytest.raises(TeacherError, match=f"{words}.*{fix}") as stop:
        HttpTeacher(settings).label_log_likelihood([Prompt("a tale", {})], [" 0", " 1"])
    assert sum(server.asked.values()) == 1
    observe(f"a server that refuses `{field}`", stop.value)


def test_where_log_probabilities_are_refused_another_way_is_found(
    server: ServerState, http_settings: Settings
) -> None:
    server.completions = False
    server.always = without("logprobs", "'logprobs' is not supported with this model")
    assert "labels sampled" in HttpTeacher(http_settings(server)).identity


@pytest.mark.parametrize(
    "words",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 256. This model's maximum context "
        "length is 4096 tokens",
        "the stop of the tale, and its seed, are against the rules",
    ],
)
def test_a_prompt_that_is_refused_teaches_nothing(
    server: ServerState, http_settings: Settings, words: str
) -> None:
    teacher = HttpTeacher(http_settings(server, dialect="openai", concurrency=1))
    server.faults.append(status(400, words))
    replies = asked(teacher, ["a", "b"])
    assert [isinstance(reply, Refused) for reply in replies] == [True, False]
    assert {"max_tokens", "seed", "temperature"} <= server.bodies[-1].keys()


def cutting(server: ServerState, limit: int) -> Fault:
    """Reads the last ``limit`` words of a prompt and says so in its usage."""

    def make(body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
        read = prompt if isinstance(prompt, list) else prompt.split()
        message = {"role": "assistant", "content": '{"query": "q"}'}
        usage = {"prompt_tokens": min(limit, len(read)), "completion_tokens": 3}
        return {"choices": [{"message": message, "text": message["content"]}], "usage": usage}

    return replying(make)


@pytest.mark.faults
def test_a_server_that_reads_a_fraction_of_a_prompt_stops_the_run(
    server: ServerState, http_settings: Settings, observe: Observe
) -> None:
    server.always = cutting(server, 50)
    teacher = HttpTeacher(http_settings(server, dialect="openai"))
    asked(teacher, ["a tale " * 20])
    with pytest.raises(TeacherError, match=r"50 tokens of a prompt of 7000.*num_ctx") as stop:
        asked(teacher, ["a tale " * 1000])
    observe("a server that cuts a prompt to a fraction without a word", stop.value)


@pytest.mark.faults
def test_a_server_that_cuts_all_long_prompts_to_one_length_is_seen_and_nothing_of_it_is_kept(
    server: ServerState, http_settings: Settings, tmp_path: Path, observe: Observe
) -> None:
    server.always = cutting(server, 200)
    settings = http_settings(server, dialect="openai", concurrency=1)
    teacher = StoredTeacher(HttpTeacher(settings), ResponseStore(tmp_path / "s"), batch_size=100)
    texts = ["a tale " * n for n in (40, 60, *range(110, 150, 4))]
    with teacher.on_trial(), pytest.raises(TeacherError, match="200 tokens of a prompt") as stop:
        asked(teacher, texts)
    assert len(ResponseStore(tmp_path / "s")) == 2  # the short ones were read whole
    observe("a server that cuts prompts to its context without a word", stop.value)


def test_with_a_tokenizer_a_cut_is_seen_at_once(
    server: ServerState, http_settings: Settings
) -> None:
    teacher = HttpTeacher(http_settings(server, dialect="vllm", chat_template=False))
    long = "a tale " * 60
    asked_of = [Prompt(long, {})]
    assert teacher.query_log_likelihood(asked_of, [" q"])
    server.always = cutting(server, 100)
    with pytest.raises(TeacherError, match="100 tokens of a prompt of 122 tokens"):
        teacher.query_log_likelihood(asked_of, [" q"])
    unchecked = http_settings(
        server, dialect="openai", api="completions", check_prompt_tokens=False
    )
    assert len(asked(HttpTeacher(unchecked), ["a tale " * 9000])) == 1


def test_prompts_of_one_length_and_prompts_that_are_read_whole_are_no_cut(
    server: ServerState, http_settings: Settings
) -> None:
    server.always = cutting(server, 10_000)
    teacher = HttpTeacher(http_settings(server, dialect="openai"))
    asked(teacher, [f"{'a tale ' * 100}{n}" for n in range(10, 60)])
    asked(teacher, [f"{'a tale ' * n}" for n in range(50, 150)])
