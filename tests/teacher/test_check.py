"""The start-up check and the budget, with the stand-in and over HTTP."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import (
    Prompt,
    ResponseStore,
    Scored,
    StoredTeacher,
    TeacherSettings,
    build_teacher,
)
from gecko_kedro.teacher.check import Call, check_teacher
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.protocol import TeacherError
from gecko_kedro.teacher.usage import Budget, BudgetError, Prices
from tests.support.http_server import ServerState, serving, status
from tests.teacher.conftest import CONF
from tests.teacher.test_store import Counting, prompts

Settings = Callable[..., HttpSettings]
ALL: list[Call] = ["generate", "query_log_likelihood", "label_log_likelihood"]
PRICES = Prices(prompt=1000.0, completion=2000.0)  # a thousandth and two for a token


@pytest.fixture
def server() -> Iterator[ServerState]:
    with serving() as state:
        yield state


def teacher_settings(**changes: Any) -> TeacherSettings:
    parameters = yaml.safe_load((CONF / "base" / "parameters/teacher.yml").read_text("utf-8"))
    return TeacherSettings.model_validate(parameters["teacher"] | {"backend": "lexical"} | changes)


def test_the_stand_in_passes_and_nothing_is_stored(tmp_path: Path) -> None:
    teacher = build_teacher(teacher_settings(), texts=["Yeast."], store=tmp_path, calls=ALL)
    assert teacher.usage.as_metrics() == {}
    teacher.close()
    assert len(ResponseStore(tmp_path / "responses.sqlite")) == 0


def test_a_server_passes_and_only_what_the_run_needs_is_asked(
    server: ServerState, http_settings: Settings
) -> None:
    teacher = HttpTeacher(http_settings(server))
    assert teacher.identity
    server.bodies.clear()
    check_teacher(teacher, ["generate", "label_log_likelihood"])
    assert ["logprob_token_ids" in body for body in server.bodies] == [False, True, True]
    check_teacher(teacher, ALL)
    assert sum("prompt_logprobs" in body for body in server.bodies) == 2


def test_a_server_that_cannot_do_what_the_run_needs_is_refused_before_any_work(
    http_settings: Settings, tmp_path: Path
) -> None:
    with serving(prompt_logprobs=False, echo=False) as server:
        settings = teacher_settings(backend="http", http=http_settings(server).model_dump())
        with pytest.raises(InputError, match=r"relabel\.rankers: \[relevance\]"):
            build_teacher(settings, texts=[], store=tmp_path, calls=["query_log_likelihood"])
        build_teacher(settings, texts=[], store=tmp_path, calls=["label_log_likelihood"]).close()


def test_a_server_that_is_not_there_is_refused_unless_the_check_is_off(
    http_settings: Settings, tmp_path: Path
) -> None:
    with serving() as server:
        http = http_settings(server, max_retries=0).model_dump()
    settings = teacher_settings(backend="http", http=http)
    with pytest.raises(TeacherError, match="Check that the server runs"):
        build_teacher(settings, texts=[], store=tmp_path, calls=["generate"])
    unchecked = teacher_settings(backend="http", http=http | {"check_at_start": False})
    build_teacher(unchecked, texts=[], store=tmp_path, calls=["generate"]).close()


@pytest.mark.parametrize("numbers", [[math.nan, -1.0], [], [-1.0], [-1.0, -2.0, -3.0]])
def test_numbers_that_cannot_be_right_are_refused(numbers: list[float]) -> None:
    class Broken(Counting):
        def query_log_likelihood(
            self, prefixes: Sequence[Prompt], continuations: Sequence[str]
        ) -> list[Scored]:
            return [Scored(number, 1, 1) for number in numbers]

    with pytest.raises(InputError, match="start-up check"):
        check_teacher(Broken(), ALL)


def budgeted(folder: Path, inner: object, **limits: float | None) -> StoredTeacher:
    budget = Budget.model_validate({"max_tokens_total": None, "max_cost": None} | limits)
    store = ResponseStore(folder / "s.sqlite")
    return StoredTeacher(inner, store, batch_size=2, prices=PRICES, budget=budget)  # type: ignore[arg-type]


def ask(teacher: StoredTeacher, letters: str) -> None:
    teacher.generate(prompts(*letters), temperature=0.0, top_p=1.0, seed=0)


@pytest.mark.parametrize("limit", [{"max_tokens_total": 20}, {"max_cost": 0.028}])
def test_a_budget_stops_between_batches_counts_all_runs_and_can_be_raised(
    tmp_path: Path, limit: dict[str, float]
) -> None:
    # Each reply of this teacher costs 3 + 2 tokens, 0.007 in money.
    with pytest.raises(BudgetError, match="run again"):
        ask(budgeted(tmp_path, Counting(), **limit), "abcdef")
    inner = Counting()
    restarted = budgeted(tmp_path, inner, **limit)
    with pytest.raises(BudgetError, match="in all runs so far"):
        ask(restarted, "abcdef")
    assert inner.asked == []  # four replies were paid for before, so nothing may be asked
    ask(restarted, "abcd")  # and those are free
    ask(budgeted(tmp_path, inner, max_tokens_total=31), "abcdef")
    assert inner.asked == ["e", "f"]


def test_what_was_used_is_reported_where_the_budget_ends_the_work(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    teacher = budgeted(tmp_path, Counting(), max_tokens_total=20)
    with (
        events.listening(lambda name, _, values: seen.update({name: dict(values)})),
        pytest.raises(BudgetError),
        teacher.reporting("synthesize"),
    ):
        ask(teacher, "abcdef")
    used = seen["synthesize_teacher"]
    assert (used["generate_calls"], used["spent_tokens"]) == (4, 20)
    assert used["generate_cost"] == pytest.approx(0.028)


def test_over_http_a_budget_stops_within_the_requests_in_flight(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> None:
    http = HttpTeacher(http_settings(server, concurrency=3, dialect="openai"))
    store = ResponseStore(tmp_path / "s.sqlite")
    budget = Budget(max_tokens_total=100, max_cost=None)
    teacher = StoredTeacher(http, store, batch_size=1000, budget=budget)
    with pytest.raises(BudgetError):
        teacher.generate(prompts(*map(str, range(90))), temperature=0.0, top_p=1.0, seed=0)
    paid = teacher.usage.generate
    assert paid.calls == len(store) == sum(server.asked.values())
    per_call = (paid.prompt_tokens + paid.completion_tokens) / paid.calls
    assert 100 <= per_call * paid.calls <= 100 + 4 * per_call
    assert store.spent(teacher.identity).total().calls == paid.calls


def test_what_was_spent_is_counted_for_each_teacher_and_kind(tmp_path: Path) -> None:
    teacher = budgeted(tmp_path, Counting())
    ask(teacher, "abc")
    teacher.query_log_likelihood(prompts("a"), ["q"])
    spent = ResponseStore(tmp_path / "s.sqlite").spent("counting v1")
    assert (spent.generate.calls, spent.generate.prompt_tokens) == (3, 9)
    assert (spent.query_log_likelihood.calls, spent.label_log_likelihood.calls) == (1, 0)
    assert ResponseStore(tmp_path / "s.sqlite").spent("another").total().calls == 0


def test_a_limit_of_cost_needs_prices() -> None:
    with pytest.raises(ValueError, match=r"max_cost needs prices"):
        teacher_settings(budget={"max_tokens_total": None, "max_cost": 1.0})


def test_no_reply_is_stored_where_the_start_fails(
    server: ServerState, http_settings: Settings, tmp_path: Path
) -> None:
    server.always = status(500)
    store = ResponseStore(tmp_path / "s.sqlite")
    teacher = StoredTeacher(HttpTeacher(http_settings(server)), store, batch_size=9)
    with pytest.raises(TeacherError, match="HTTP 500"):
        ask(teacher, "ab")
    assert len(store) == 0
    assert json.dumps(teacher.usage.as_metrics()) == "{}"
