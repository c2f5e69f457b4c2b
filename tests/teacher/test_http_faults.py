"""What real servers do at their worst: each ends in a retry or in a clear stop, nothing is lost."""

import email.utils
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import Prompt, ResponseStore, StoredTeacher
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.protocol import TeacherError
from tests.support.http_server import (
    Fault,
    ServerState,
    fine,
    hang,
    raw,
    reset,
    serving,
    status,
)

Settings = Callable[..., HttpSettings]
REPLY = {"choices": [{"text": " yes", "prompt_logprobs": None}], "usage": {"prompt_tokens": 3}}
TRUNCATED = json.dumps(REPLY)[:40]


@pytest.fixture
def server() -> Iterator[ServerState]:
    with serving() as state:
        yield state


def prompts(n: int) -> list[Prompt]:
    return [Prompt(f"Passage: the tale number {i} Query:", {}, "1") for i in range(n)]


def texts_of(teacher: HttpTeacher, n: int = 6) -> list[str]:
    replies = teacher.generate(prompts(n), temperature=0.0, top_p=1.0, seed=0)
    return [reply.text for reply in replies]


@pytest.mark.parametrize(
    "fault",
    [
        status(429),
        status(429, Retry_After="0"),
        status(500),
        status(503, Retry_After="0"),
        reset,
        raw(TRUNCATED),
        raw("[]"),
        raw('{"choices": []}'),
        raw(""),
    ],
    ids=["429", "retry-after", "500", "503", "reset", "truncated", "list", "no choice", "empty"],
)
def test_a_fault_that_passes_is_asked_again(
    server: ServerState, http_settings: Settings, fault: Fault
) -> None:
    wanted = texts_of(HttpTeacher(http_settings(server)))
    teacher = HttpTeacher(http_settings(server))
    assert teacher.identity
    server.asked.clear()
    server.faults.extend([fault, fine, fault, fault])
    assert texts_of(teacher) == wanted
    assert sum(server.asked.values()) == 6 + 3


def test_a_hang_ends_with_the_time_limit_and_is_asked_again(
    server: ServerState, http_settings: Settings
) -> None:
    teacher = HttpTeacher(http_settings(server, timeout_s=1.5, dialect="openai"))
    server.faults.append(hang)
    assert len(texts_of(teacher)) == 6
    assert sum(server.asked.values()) == 7


def test_a_server_that_only_hangs_is_a_clear_stop(
    server: ServerState, http_settings: Settings
) -> None:
    server.always = hang
    teacher = HttpTeacher(http_settings(server, timeout_s=0.05, dialect="openai", max_retries=1))
    with pytest.raises(TeacherError, match=r"no answer within 0\.05 s.*run again"):
        texts_of(teacher)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured_for_all_requests(
    server: ServerState, http_settings: Settings, as_date: bool
) -> None:
    teacher = HttpTeacher(http_settings(server, dialect="openai", longest_wait_s=5))
    when = datetime.now(UTC) + timedelta(seconds=3)
    wait = email.utils.format_datetime(when, usegmt=True) if as_date else "1"
    server.faults.append(status(429, Retry_After=wait))
    started = time.monotonic()
    texts_of(teacher, n=5)
    # A date has whole seconds only: between 2 and 3 of them are left.
    assert time.monotonic() - started >= (1.0 if not as_date else 1.5)


def test_a_retry_after_beyond_the_longest_wait_is_a_clear_stop(
    server: ServerState, http_settings: Settings
) -> None:
    server.always = status(429, "daily quota used up", Retry_After="86400")
    with pytest.raises(TeacherError, match=r"daily quota used up.*86400 s"):
        texts_of(HttpTeacher(http_settings(server, dialect="openai")))
    assert sum(server.asked.values()) <= 4


def likelihoods(teacher: HttpTeacher) -> list[float]:
    scored = teacher.query_log_likelihood(prompts(3), [" what is it"] * 3)
    return [one.log_likelihood for one in scored]


def with_row(row: str) -> Fault:
    """A reply of /completions whose ``prompt_logprobs`` are broken."""

    async def fault(state: ServerState, request: object, body: dict[str, list[int]]) -> object:
        rows = [f'{{"{token}": {{"logprob": -1.0}}}}' for token in body["prompt"]]
        broken = ", ".join([*rows[:-1], row.replace("TOKEN", str(body["prompt"][-1]))])
        content = f'{{"choices": [{{"text": "", "prompt_logprobs": [{broken}]}}]}}'
        return await raw(content)(state, request, body)  # type: ignore[arg-type]

    return fault


FAULTY_NUMBERS = {
    "NaN": with_row('{"TOKEN": {"logprob": NaN}}'),
    "minus infinity": with_row('{"TOKEN": {"logprob": -Infinity}}'),
    "too many": with_row('{"TOKEN": {"logprob": -1.0}}, {"TOKEN": {"logprob": -1.0}}'),
    "another token": with_row('{"0": {"logprob": -1.0}}'),
    "not there": with_row("{}"),
    "null": with_row("null"),
}


@pytest.mark.parametrize("kind", FAULTY_NUMBERS)
def test_log_probabilities_that_cannot_be_right_are_asked_again_and_then_a_stop(
    server: ServerState, http_settings: Settings, kind: str
) -> None:
    teacher = HttpTeacher(http_settings(server, concurrency=1))
    wanted = likelihoods(teacher)  # and the server's /tokenize is not asked any more
    server.asked.clear()
    server.faults.extend([FAULTY_NUMBERS[kind], fine])
    assert likelihoods(teacher) == wanted
    assert sum(server.asked.values()) == 3 + 1
    server.always = FAULTY_NUMBERS[kind]
    with pytest.raises(TeacherError, match=r"query_log_likelihood, prompt 0.*unusable reply"):
        likelihoods(teacher)


def test_a_wrong_key_is_a_stop_without_a_retry_and_without_the_key(
    http_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "canary-4711")
    with serving(key="another") as server:
        teacher = HttpTeacher(
            http_settings(server, api_key_env="TEST_KEY", dialect="openai", concurrency=1)
        )
        with pytest.raises(TeacherError, match=r"HTTP 401.*Check the key in .*TEST_KEY") as raised:
            texts_of(teacher)
        assert "canary" not in str(raised.value)
        assert "<key>" in str(raised.value)  # the server had repeated it
        assert len(server.headers) == 1


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_of_all_requests_is_not_asked_again(
    server: ServerState, http_settings: Settings, code: int
) -> None:
    server.always = status(code, "no such model")
    with pytest.raises(TeacherError, match=r"prompt 0.*no such model"):
        texts_of(HttpTeacher(http_settings(server, dialect="openai", concurrency=1)))
    assert sum(server.asked.values()) == 1


def test_a_server_without_log_probabilities_refuses_query_likelihood_at_once(
    http_settings: Settings,
) -> None:
    with serving(completions=False, logprobs=False, tokenize=False) as server:
        teacher = HttpTeacher(http_settings(server))
        assert teacher.identity
        server.asked.clear()
        with pytest.raises(InputError, match=r"\[relevance\]"):
            likelihoods(teacher)
        assert not server.asked


def test_the_circuit_opens_lets_one_probe_pass_and_closes(
    server: ServerState, http_settings: Settings
) -> None:
    wanted = texts_of(HttpTeacher(http_settings(server, dialect="openai")), n=12)
    teacher = HttpTeacher(
        http_settings(server, dialect="openai", breaker_failures=4, breaker_cooldown_s=0.05)
    )
    server.asked.clear()
    server.faults.extend([reset] * 6)  # four open it, two more meet probes
    assert texts_of(teacher, n=12) == wanted
    assert sum(server.asked.values()) == 12 + 6


def test_a_server_that_stays_away_is_a_clear_stop_that_loses_nothing(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> None:
    settings = http_settings(server, dialect="openai", breaker_failures=3)

    def stored() -> StoredTeacher:
        return StoredTeacher(HttpTeacher(settings), ResponseStore(tmp_path / "s"), batch_size=100)

    server.faults.extend([fine] * 9)
    server.always = status(503, "down for repair")
    first = stored()
    with pytest.raises(TeacherError, match=r"down for repair.*probes.*run again"):
        first.generate(prompts(30), temperature=0.0, top_p=1.0, seed=0)
    assert first.usage.generate.calls == 9
    first.close()
    server.always = None
    server.asked.clear()
    second = stored()
    replies = second.generate(prompts(30), temperature=0.0, top_p=1.0, seed=0)
    assert sum(server.asked.values()) == 21
    second.close()
    assert [one.text for one in replies] == texts_of(HttpTeacher(settings), n=30)


def test_after_a_failure_requests_in_flight_are_waited_for_and_kept(
    http_settings: Settings, tmp_path: Path
) -> None:
    with serving(latency_s=0.05) as server:
        settings = http_settings(server, dialect="openai", concurrency=4)
        teacher = StoredTeacher(
            HttpTeacher(settings), ResponseStore(tmp_path / "s"), batch_size=100
        )
        server.faults.extend([fine, status(404, "no such model"), fine, fine])
        with pytest.raises(TeacherError, match="no such model"):
            teacher.generate(prompts(40), temperature=0.0, top_p=1.0, seed=0)
        assert teacher.usage.generate.calls == sum(server.asked.values()) - 1
        assert len(ResponseStore(tmp_path / "s")) == teacher.usage.generate.calls
        teacher.close()


def test_nobody_at_the_address_is_a_clear_stop(http_settings: Settings) -> None:
    with serving() as server:
        settings = http_settings(server)
    with pytest.raises(TeacherError, match="Check that the server runs"):
        texts_of(HttpTeacher(settings))
