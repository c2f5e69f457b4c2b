"""A prompt that the endpoint refuses for good is set aside; a wrong setting stops the run."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gecko_kedro.engine import LocalEngine
from gecko_kedro.teacher import Generation, Prompt, Refused, ResponseStore, StoredTeacher
from gecko_kedro.teacher.check import check_teacher
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.pooled import PooledTeacher, TeacherWorker
from gecko_kedro.teacher.protocol import TeacherError
from tests.support.http_server import ServerState, raw, refusing, serving, status

Settings = Callable[..., HttpSettings]
Replies = list[Generation | Refused]


@pytest.fixture
def server() -> Iterator[ServerState]:
    with serving() as state:
        yield state


def prompts(n: int, *bad: int) -> list[Prompt]:
    words = ["contraband" if i in bad else "tale" for i in range(n)]
    return [Prompt(f"Passage: the {word} number {i}.", {}) for i, word in enumerate(words)]


def ask(teacher: StoredTeacher, asked: list[Prompt]) -> Replies:
    return teacher.generate(asked, temperature=0.0, top_p=1.0, seed=0)


def stored(teacher: HttpTeacher | PooledTeacher, folder: Path) -> StoredTeacher:
    return StoredTeacher(teacher, ResponseStore(folder / "store"), batch_size=100)


@pytest.fixture
def make(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> Callable[..., StoredTeacher]:
    """A teacher on the same store, as another run has it."""
    return lambda **changes: stored(
        HttpTeacher(http_settings(server, **{"dialect": "openai"} | changes)), tmp_path
    )


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_prompt_is_asked_once_and_the_others_are_answered_and_stored(
    server: ServerState, make: Callable[..., StoredTeacher], code: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    wanted = ask(make(), prompts(5))
    server.always = refusing("contraband", code)
    server.asked.clear()
    teacher = make()
    with caplog.at_level(logging.WARNING):
        replies = ask(teacher, prompts(8, 2, 5))
        with teacher.reporting("synthesize"):
            pass
    assert [isinstance(reply, Refused) for reply in replies] == [i in {2, 5} for i in range(8)]
    assert replies[2] == Refused(f"HTTP {code}: no prompt may say contraband")
    assert [replies[i] for i in (0, 1, 3, 4)] == [wanted[i] for i in (0, 1, 3, 4)]
    used = teacher.usage.generate
    assert (used.calls, used.hits, used.refused) == (2, 4, 2)
    assert "no prompt may say contraband" in caplog.text
    assert "synthesize: generate: 2 prompts were refused" in caplog.text
    assert sum(server.asked.values()) == 4
    assert ask(teacher, prompts(8, 2, 5)) == replies
    assert (sum(server.asked.values()), used.refused) == (4, 2)


def test_a_later_run_asks_for_the_refused_ones_again_and_for_nothing_else(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    server.always = refusing("contraband")
    ask(make(), prompts(6, 1))
    server.asked.clear()
    assert isinstance(ask(make(), prompts(6, 1)[1:2])[0], Refused)  # and that does not stop it
    server.always = None
    assert not any(isinstance(reply, Refused) for reply in ask(make(), prompts(6, 1)))
    assert list(server.asked.values()) == [2]


@pytest.mark.parametrize("n", [3, 100])
def test_where_nothing_is_ever_answered_the_run_stops_with_the_servers_words(
    server: ServerState, make: Callable[..., StoredTeacher], n: int
) -> None:
    server.always = status(400, "unknown parameter")
    with pytest.raises(TeacherError, match=r"unknown parameter.*teacher\.http\.model") as stop:
        ask(make(concurrency=4), prompts(n))
    count = "all of 3" if n == 3 else "10 of 1"  # of the 10 to 13 that were sent
    assert f"no usable reply to {count}" in str(stop.value)
    assert sum(server.asked.values()) <= min(n, 10 + 4)


def test_refusals_that_overtake_the_replies_in_flight_do_not_stop_the_run(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    bad = range(0, 64, 4)  # 16 refusals are there before the first reply is
    server.always = refusing("contraband", others_after_s=0.3)
    teacher = make(concurrency=64)
    replies = ask(teacher, prompts(64, *bad))
    assert [i for i, reply in enumerate(replies) if isinstance(reply, Refused)] == list(bad)
    assert teacher.usage.generate.calls == 48


def test_a_server_that_begins_to_refuse_most_prompts_stops_the_run_and_keeps_the_replies(
    server: ServerState, make: Callable[..., StoredTeacher]
) -> None:
    server.always = refusing("contraband")
    teacher = make(concurrency=1)
    with pytest.raises(TeacherError, match=r"no usable reply to 21 of 41 prompts.*run again"):
        ask(teacher, prompts(60, *range(20, 60)))
    assert teacher.usage.generate.calls == 20


@pytest.mark.parametrize("kind", ["query_log_likelihood", "label_log_likelihood"])
def test_scores_are_refused_prompt_by_prompt_too(
    http_settings: Settings, tmp_path: Path, kind: str
) -> None:
    with serving(prompt_logprobs=False, tokenize=False) as server:  # prompts are sent as text
        server.always = refusing("contraband")
        teacher = stored(HttpTeacher(http_settings(server)), tmp_path)
        given: list[str] = [" what"] * 3 if kind == "query_log_likelihood" else [" 0", " 1"]
        replies = getattr(teacher, kind)(prompts(3, 1), given)
    assert [isinstance(reply, Refused) for reply in replies] == [False, True, False]


def test_a_reply_that_a_content_filter_stops_is_refused(
    server: ServerState, http_settings: Settings
) -> None:
    teacher = HttpTeacher(http_settings(server, dialect="openai"))
    server.always = raw(
        '{"choices": [{"message": {"content": null}, "finish_reason": "content_filter"}]}'
    )
    replies = teacher.generate(prompts(2), temperature=0.0, top_p=1.0, seed=0)
    assert replies == [Refused("the server's content filter stopped the reply")] * 2
    assert sum(server.asked.values()) == 2


def test_a_refusal_in_the_start_up_check_is_a_stop_before_any_work(
    server: ServerState, http_settings: Settings
) -> None:
    server.always = status(400, "the model has 16 positions")
    teacher = HttpTeacher(http_settings(server, dialect="openai"))
    with pytest.raises(TeacherError, match=r"start-up check.*16 positions.*No work was done"):
        check_teacher(teacher, ["generate"])


def test_refusals_come_through_a_pool_of_workers(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> None:
    server.always = refusing("contraband")
    make = partial(HttpTeacher, http_settings(server, dialect="openai"))
    workers = LocalEngine().hold([partial(TeacherWorker, make)] * 2, role="teacher")
    teacher = stored(PooledTeacher(workers, calls_at_once=3), tmp_path)
    replies = ask(teacher, prompts(11, 4))
    assert [i for i, reply in enumerate(replies) if isinstance(reply, Refused)] == [4]
    assert (teacher.usage.generate.calls, teacher.usage.generate.refused) == (10, 1)
