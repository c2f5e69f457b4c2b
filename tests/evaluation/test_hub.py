"""A hub that is out of reach is asked once, and does not hold up the work."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from gecko_kedro.evaluation.tasks.registered import hub_answers, without_retries


class Answering(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    """A server of the test's own as the hub's address."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server = http.server.HTTPServer(("127.0.0.1", 0), Answering)
    server.asked = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    hub_answers.cache_clear()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    hub_answers.cache_clear()


def test_a_hub_that_answers_is_asked_once_and_used(hub: http.server.HTTPServer) -> None:
    for _ in range(2):
        with without_retries():
            assert not constants.HF_HUB_OFFLINE
    assert hub.asked == 1  # type: ignore[attr-defined]


def test_without_an_answer_only_the_cache_is_read_and_only_in_the_block(
    hub: http.server.HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    hub.shutdown()
    hub.server_close()
    for _ in range(2):
        with without_retries():
            assert constants.HF_HUB_OFFLINE
        assert not constants.HF_HUB_OFFLINE
    assert caplog.text.count("cannot be reached") == 1
