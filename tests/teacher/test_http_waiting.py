"""A server that loads is waited for; one that limits the rate is asked at the rate it serves."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from gecko_kedro.teacher import Prompt
from gecko_kedro.teacher.http.pacing import Pace, asked_wait
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.protocol import TeacherError
from tests.support.http_server import ServerState, serving, status
from tests.support.observing import Observe

Settings = Callable[..., HttpSettings]


def asked(teacher: HttpTeacher, n: int = 3) -> list[Any]:
    prompts = [Prompt(f"Passage: the tale number {i}", {}) for i in range(n)]
    return list(teacher.generate(prompts, temperature=0.0, top_p=1.0, seed=0))


@pytest.mark.faults
@pytest.mark.parametrize("code", [502, 503, 504])
def test_a_server_that_is_loading_is_waited_for(
    http_settings: Settings, code: int, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    with serving() as server:
        server.faults.extend([status(code, "loading model")] * 40)
        settings = http_settings(server, wait_for_server_s=600, max_retries=0)
        assert len(asked(HttpTeacher(settings))) == 3
    line = next(line for line in caplog.messages if "not there yet" in line)
    assert "loading model" in line
    assert "of at most 600 s" in line
    assert len([line for line in caplog.messages if "not there yet" in line]) < 5
    observe(f"a server that answers HTTP {code} while it loads", f"the run waits: {line}")


@pytest.mark.faults
def test_a_server_that_does_not_listen_yet_is_waited_for(
    http_settings: Settings, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    with serving() as server:
        port = int(server.url.split(":")[2].split("/")[0])
    found: list[Any] = []
    teacher = HttpTeacher(http_settings(server, wait_for_server_s=600, max_retries=0))
    thread = threading.Thread(target=lambda: found.extend(asked(teacher)))
    thread.start()
    while not any("not there yet" in line for line in caplog.messages):
        assert thread.is_alive()
        thread.join(0.01)
    with serving(port=port):
        thread.join(60)
    assert len(found) == 3
    line = next(line for line in caplog.messages if "not there yet" in line)
    observe("a server that does not listen yet (connection refused)", f"the run waits: {line}")


def test_the_wait_has_an_end(http_settings: Settings) -> None:
    with serving() as server:
        server.always = status(503, "loading model")
        settings = http_settings(server, wait_for_server_s=0.05)
        with pytest.raises(TeacherError, match="loading model"):
            asked(HttpTeacher(settings))


def test_an_unknown_host_and_a_wrong_path_are_not_waited_for(http_settings: Settings) -> None:
    with serving() as server:
        started = time.monotonic()
        for url in ("http://no-such-host.invalid/v1", f"{server.url}/nowhere"):
            settings = http_settings(server, base_url=url, wait_for_server_s=600)
            with pytest.raises(TeacherError):
                asked(HttpTeacher(settings))
        assert time.monotonic() - started < 60


def test_once_it_has_served_the_breaker_holds(http_settings: Settings) -> None:
    with serving() as server:
        teacher = HttpTeacher(http_settings(server, wait_for_server_s=600, breaker_failures=2))
        asked(teacher)
        server.always = status(503, "gone")
        with pytest.raises(TeacherError, match=r"gone.*probes"):
            asked(teacher)


class Limited:
    """So many requests in each ``window`` seconds; the others get 429 without a Retry-After."""

    def __init__(self, n: int, window: float) -> None:
        self.n, self.window = n, window
        self.served: deque[float] = deque()
        self.refused = 0

    async def __call__(
        self, state: ServerState, request: web.Request, body: dict[str, Any]
    ) -> web.Response | None:
        now = time.monotonic()
        while self.served and self.served[0] < now - self.window:
            self.served.popleft()
        if len(self.served) < self.n:
            self.served.append(now)
            return None
        self.refused += 1
        return await status(429, "too many requests")(state, request, body)  # type: ignore[no-any-return]


@pytest.mark.faults
def test_a_limit_of_the_rate_slows_the_run_down_and_stops_nothing(
    http_settings: Settings, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    limit = Limited(10, 0.2)
    with serving() as server:
        settings = http_settings(
            server, dialect="openai", concurrency=16, max_retries=1, wait_for_server_s=600
        )
        teacher = HttpTeacher(settings)
        server.always = limit
        assert len(asked(teacher, 120)) == 120
    assert limit.refused < 120
    line = next(line for line in caplog.messages if "limits the rate" in line)
    observe("a limit of the rate without a Retry-After (HTTP 429)",
            f"all 120 replies came, {limit.refused} requests were refused: {line}")  # fmt: skip


def test_a_limit_that_never_lets_one_through_stops_the_run(http_settings: Settings) -> None:
    with serving() as server:
        server.always = status(429, "too many requests")
        settings = http_settings(server, dialect="openai", wait_for_server_s=0.1)
        with pytest.raises(TeacherError, match="too many requests"):
            asked(HttpTeacher(settings))


def test_the_rate_is_halved_once_a_burst_and_comes_back() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for _ in range(100):
        pace.served()
    now[0] = 10.0
    pace.refused(sent_at=9.9)  # ten a second were served
    pace.refused(sent_at=9.8)  # sent before the cut
    assert pace.rate == 5.0
    assert [round(pace.slot(), 3) for _ in range(3)] == [0.0, 0.2, 0.4]
    for _ in range(16):
        pace.served()
    assert pace.rate == pytest.approx(10.0)
    now[0] = 20.0
    pace.refused(sent_at=19.0)
    assert pace.rate == pytest.approx(0.8)  # 16 replies in ten seconds


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"Retry-After": "7"}, "", 7),
        ({"retry-after-ms": "250"}, "", 0.25),
        ({"x-ratelimit-reset-requests": "1m2s", "x-ratelimit-remaining-requests": "0"}, "", 62),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-requests": "0"}, "", 0.02),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, "", 100),
        ({"x-ratelimit-reset-requests": "9s", "x-ratelimit-remaining-requests": "4"}, "", None),
        ({"ratelimit-reset": "12"}, "", 12),
        ({"x-ratelimit-reset": "4000000000000"}, "", 100),
        ({}, "Please try again in 20s.", 20),
        ({}, "Please retry after 2 seconds", 2),
        ({"Retry-After": "soon"}, "", None),
        ({"x-ratelimit-reset": "never"}, "", None),
        ({}, "slow down", None),
    ],
)
def test_the_wait_that_a_server_asks_for(
    headers: dict[str, str], words: str, seconds: float | None
) -> None:
    assert asked_wait(headers, words, longest=100) == seconds
