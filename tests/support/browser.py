"""The system's Chromium, and what a page in it asks for and complains about."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

_HERE = ("http://127.0.0.1:", "file:", "data:", "blob:")


@dataclass
class Seen:
    """What a page asked for and complained about."""

    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium; without it the test is skipped, and fails where CI runs it."""
    path = shutil.which("chromium")
    if path is None:
        reason = "no chromium: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(
    browser: Browser, *, width: int = 1400, web_font: str | None = None, **local_storage: str
) -> Iterator[tuple[Page, Seen]]:
    """A page, and a record of its errors and of its requests to other hosts, which are refused.

    ``web_font`` is the one address elsewhere that is known and that the page does without: it is
    answered with an empty style sheet.
    """
    seen = Seen()

    def only_here(route: Route) -> None:
        if route.request.url.startswith(_HERE):
            route.continue_()
        elif web_font is not None and route.request.url.startswith(web_font):
            route.fulfill(body="", content_type="text/css")
        else:
            seen.foreign.append(route.request.url)
            route.abort()

    def complain(message: Any) -> None:
        if message.type == "error":
            seen.complaints.append(f"{message.text} {message.location['url']}")

    page = browser.new_page(viewport={"width": width, "height": 900})
    for key, value in local_storage.items():
        page.add_init_script(f"localStorage.setItem({key!r}, {value!r})")
    page.route("**/*", only_here)
    page.on("console", complain)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    try:
        yield page, seen
    finally:
        page.close()
