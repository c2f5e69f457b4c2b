"""One request to the server: time limit, retries with back-off, and what it cost in vain."""

import email.utils
import json
import logging
import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp

from gecko_kedro.teacher.http.failure import Failure, Key, unusable
from gecko_kedro.teacher.http.gate import Gate
from gecko_kedro.teacher.http.settings import HttpSettings

logger = logging.getLogger(__name__)
T = TypeVar("T")
# Too early, conflict, rate limit and Anthropic's "overloaded" pass by themselves, as 5xx may do.
_PASSING = frozenset({408, 409, 425, 429, 529})
_OVERLOAD = frozenset({429, 503, 529})


class Client:
    """Sends requests of one run, on one event loop. ``gate`` decides when."""

    def __init__(
        self, settings: HttpSettings, key: Key, session: aiohttp.ClientSession, gate: Gate
    ) -> None:
        self._settings, self._key, self._session, self._gate = settings, key, session, gate

    async def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any], T], *, root: bool = False
    ) -> T:
        """``read`` of the JSON that the server answers to ``body``; raises ``Failure``.

        ``path`` is below ``base_url``, or with ``root`` below that without its version.
        ``read`` raises ``Failure`` for a reply that cannot be used; such a reply, an outage and a
        rate limit are asked again up to ``max_retries`` times, a refusal is not.
        """
        base = self._settings.base_url
        url = (base.removesuffix("/v1") if root else base) + path
        tries = 0
        while True:
            probe = await self._gate.enter()
            tries += not probe
            try:
                reply = read(await self._exchange(url, body))
            except Failure as failure:
                self._note(failure, probe=probe)
                if failure.final or (not probe and tries > self._settings.max_retries):
                    raise
                wait = self._wait(failure, max(0, tries - 1))
                logger.debug("%s; try %d in %.3g s", failure.words, tries + 1, wait)
                await self._gate.sleep(wait)
            else:
                self._gate.answered()
                return reply

    def _note(self, failure: Failure, *, probe: bool) -> None:
        if failure.outage:
            self._gate.went_unanswered(failure, probe=probe)
        else:
            self._gate.answered()
        asked = failure.retry_after
        if asked is not None and asked > self._settings.longest_wait_s:
            raise Failure(
                f"{failure.words}; the server asks to wait {asked:.0f} s", status=failure.status,
                final=True,
            ) from failure  # fmt: skip
        if asked is not None:
            self._gate.pause(asked)

    def _wait(self, failure: Failure, attempt: int) -> float:
        """Exponential back-off with full jitter, after what the server asked for."""
        longest = min(self._settings.longest_wait_s, self._settings.backoff_s * 2**attempt)
        return (failure.retry_after or 0.0) + random.uniform(0.0, longest)

    async def _exchange(self, url: str, body: Mapping[str, Any]) -> Any:
        headers = self._settings.headers | self._key.headers(self._settings.api_key_header)
        try:
            async with self._session.post(url, json=dict(body), headers=headers) as response:
                content = await response.read()
        except TimeoutError as error:
            seconds = self._settings.timeout_s
            raise Failure(f"no answer within {seconds:g} s", outage=True) from error
        except (aiohttp.ClientError, OSError) as error:
            words = self._key.redact(f"{type(error).__name__}: {error}")
            raise Failure(words, outage=True) from error
        words = content.decode("utf-8", "replace")
        if response.status >= 400:
            raise self._refusal(response.status, words, response.headers.get("Retry-After"))
        try:
            return json.loads(words)
        except ValueError as error:
            raise unusable(f"no whole JSON: {self._key.redact(words[-80:])!r}") from error

    def _refusal(self, status: int, words: str, retry_after: str | None) -> Failure:
        passing = status in _PASSING or status >= 500
        return Failure(
            f"HTTP {status}: {self._key.redact(_message(words))}",
            status=status,
            final=not passing or status == 501,
            outage=status >= 500 and status not in {501, 529},
            retry_after=_seconds(retry_after) if status in _OVERLOAD else None,
        )


def new_session(settings: HttpSettings) -> aiohttp.ClientSession:
    """A pool of connections for one run; proxies come from the environment."""
    local = any(f"//{host}" in settings.base_url for host in ("127.", "localhost", "[::1]"))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.concurrency),
        timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
        trust_env=not local,
    )


def _message(words: str) -> str:
    """The server's own message out of its JSON, or its words as they are."""
    try:
        error = json.loads(words)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return words


def _seconds(retry_after: str | None) -> float | None:
    """Seconds from now of a Retry-After: seconds or HTTP date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
