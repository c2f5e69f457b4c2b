"""One request to the server: time limit, retries with back-off, and what it cost in vain."""

import json
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import aiohttp

from gecko_kedro.teacher.http.adapting import advice
from gecko_kedro.teacher.http.failure import Failure, Key, plain, refusal, unusable, words_of
from gecko_kedro.teacher.http.gate import Gate
from gecko_kedro.teacher.http.record import ServerRecord
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.waits import asked_wait

logger = logging.getLogger(__name__)
T = TypeVar("T")
_REFUSED_FIELD = frozenset({400, 404, 422})


class Client:
    """Sends requests of one run, on one event loop. ``gate`` decides when."""

    def __init__(
        self,
        settings: HttpSettings,
        key: Key,
        session: aiohttp.ClientSession,
        gate: Gate,
        record: ServerRecord,
    ) -> None:
        self._settings, self._key, self._session, self._gate = settings, key, session, gate
        self.record = record

    async def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any], T], *, root: bool = False
    ) -> T:
        """``read`` of the JSON that the server answers to ``body``; raises ``Failure``.

        ``path`` is below ``base_url``, or with ``root`` below that without its version.
        ``read`` raises ``Failure`` for a reply that cannot be used; such a reply, an outage and a
        rate limit are asked again up to ``max_retries`` times, a refusal is not. Not counted are
        tries at a server that is still loading, or that limits the rate and serves others.
        """
        base = self._settings.base_url
        url = (base.removesuffix("/v1") if root else base) + path
        tries = waits = 0
        while True:
            probe = await self._gate.enter()
            sent = self.record.adaptations.apply(body)
            tries += not probe
            sent_at = await self._gate.take_turn(self.record.pace)
            try:
                reply = read(await self._exchange(url, sent))
            except Failure as failure:
                failure.words = self._key.redact(failure.words)
                if self.record.is_loading(failure):
                    tries -= not probe
                    self._gate.let_go(probe=probe)
                    await self._gate.sleep(self._settings.breaker_cooldown_s)
                    continue
                self._note(failure, sent_at, probe=probe)
                if self._adapts(body, sent, failure):
                    continue
                if self.record.is_only_slow(failure):
                    tries -= not probe
                    waits += 1
                if failure.final or (not probe and tries > self._settings.max_retries):
                    raise
                wait = self._wait(failure, max(0, tries - 1, waits - 1))
                logger.debug("%s; try %d in %.3g s", failure.words, tries + 1, wait)
                await self._gate.sleep(wait)
            else:
                self._gate.answered()
                self.record.answered()
                self.record.pace.served()
                return reply

    def _note(self, failure: Failure, sent_at: float, *, probe: bool) -> None:
        if failure.outage:
            self._gate.went_unanswered(failure, probe=probe)
        else:
            self._gate.answered()
        if failure.too_fast:
            self.record.pace.refused(sent_at)
        elif not failure.outage:
            self.record.answered()
        asked = failure.retry_after
        if asked is not None and asked > self._settings.longest_wait_s:
            raise Failure(
                f"{failure.words}; the server asks to wait {asked:.0f} s", status=failure.status,
                final=True,
            ) from failure  # fmt: skip
        if asked is not None:
            self._gate.pause(asked)

    def _adapts(self, body: Mapping[str, Any], sent: Mapping[str, Any], failure: Failure) -> bool:
        """Whether the request is worth another try in another form."""
        if failure.status not in _REFUSED_FIELD or not failure.final:
            return False
        adaptations = self.record.adaptations
        if adaptations.learn(sent, failure.words) or adaptations.apply(body) != sent:
            return True
        failure.fix = advice(sent, failure.words)
        # A field that every request needs: no other prompt will fare better.
        failure.refused = failure.refused and failure.fix is None
        return False

    def _wait(self, failure: Failure, attempt: int) -> float:
        """Exponential back-off with full jitter, after what the server asked for."""
        doubled = self._settings.backoff_s * 2 ** min(attempt, 30)
        longest = min(self._settings.longest_wait_s, doubled)
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
            raise Failure(words, outage=True, loading=_refused_connection(error)) from error
        words = content.decode("utf-8", "replace")
        if response.status >= 400:
            told = self._key.redact(_message(words))
            wait = asked_wait(response.headers, words, longest=self._settings.longest_wait_s)
            raise refusal(response.status, told, retry_after=wait)
        return self._parsed(words)

    def _parsed(self, words: str) -> Any:
        try:
            return json.loads(words)
        except ValueError as error:
            shown = plain(words)
            if shown != words:
                raise Failure(f"{self._key.redact(shown)} in place of a reply") from error
            if words.lstrip().startswith(("data:", "event:", ": ")):
                raise Failure(
                    "a stream of events in place of a reply", final=True,
                    fix="Set teacher.http.extra_body: {stream: false}.",
                ) from error  # fmt: skip
            raise unusable(f"no whole JSON: {self._key.redact(words[-80:])!r}") from error


def new_session(settings: HttpSettings) -> aiohttp.ClientSession:
    """A pool of connections for one run; proxies come from the environment."""
    local = any(f"//{host}" in settings.base_url for host in ("127.", "localhost", "[::1]"))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.concurrency),
        timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
        trust_env=not local,
    )


def _refused_connection(error: Exception) -> bool:
    """As by a server that does not listen yet; an unknown name or a certificate stays wrong."""
    lasting = (aiohttp.ClientConnectorDNSError, aiohttp.ClientSSLError)
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, lasting)


def _message(words: str) -> str:
    """The server's own message out of its JSON or its page, or its words as they are."""
    try:
        told = json.loads(words)
    except ValueError:
        return plain(words)
    error = told.get("error") if isinstance(told, dict) else None
    return words_of(error or told)
