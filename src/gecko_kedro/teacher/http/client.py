"""Requests to the server: one with its retries, and many in flight from a function that waits."""

import asyncio
import json
import logging
import queue
import random
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp

from gecko_kedro.teacher.http.failure import Failure, Key, plain, refusal, unusable, words_of
from gecko_kedro.teacher.http.pacing import Gate, asked_wait
from gecko_kedro.teacher.http.record import ServerRecord, advice
from gecko_kedro.teacher.http.settings import HttpSettings

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
_REFUSED_FIELD = frozenset({400, 404, 422})


@dataclass(frozen=True, eq=False)
class Client:
    """Sends requests of one run, on one event loop. ``gate`` decides when."""

    _settings: HttpSettings
    _key: Key
    _session: aiohttp.ClientSession
    _gate: Gate
    record: ServerRecord

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
                # Exponential back-off with full jitter, after what the server asked for.
                doubled = self._settings.backoff_s * 2 ** min(max(0, tries - 1, waits - 1), 30)
                jitter = random.uniform(0.0, min(self._settings.longest_wait_s, doubled))
                wait = (failure.retry_after or 0.0) + jitter
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
        asked = failure.retry_after or 0.0
        if asked > self._settings.longest_wait_s:
            words = f"{failure.words}; the server asks to wait {asked:.0f} s"
            raise Failure(words, status=failure.status, final=True) from failure
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

    async def _exchange(self, url: str, body: Mapping[str, Any]) -> Any:
        headers = self._settings.headers | self._key.headers(self._settings.api_key_header)
        try:
            async with self._session.post(url, json=dict(body), headers=headers) as response:
                content = await response.read()
        except TimeoutError as error:
            seconds = self._settings.timeout_s
            raise Failure(f"no answer within {seconds:g} s", outage=True) from error
        except (aiohttp.ClientError, OSError) as error:
            # An unknown name or a certificate stays wrong; else it may not listen yet.
            lasting = (aiohttp.ClientConnectorDNSError, aiohttp.ClientSSLError)
            loading = isinstance(error, aiohttp.ClientConnectionError)
            raise Failure(
                self._key.redact(f"{type(error).__name__}: {error}"), outage=True,
                loading=loading and not isinstance(error, lasting),
            ) from error  # fmt: skip
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


def _message(words: str) -> str:
    """The server's own message out of its JSON or its page, or its words as they are."""
    try:
        told = json.loads(words)
    except ValueError:
        return plain(words)
    error = told.get("error") if isinstance(told, dict) else None
    return words_of(error or told)


class Pool(Generic[R]):
    """Answers the rows 0 to ``rows`` - 1, ``concurrency`` at a time, each with ``answer``.

    It works whether or not the caller's thread runs an event loop itself. ``on_reply(row, reply)``
    is called in the caller's thread as soon as a reply is there, in the order in which they come.
    No more than ``concurrency`` replies are ever begun and not handed over. After the first
    failure, of a row or of ``on_reply``, no row is begun any more; requests in flight are paid for,
    so they are waited for and handed over before that failure is raised.
    """

    def __init__(
        self,
        settings: HttpSettings,
        key: Key,
        record: ServerRecord,
        answer: Callable[[Client, int], Awaitable[R]],
        *,
        explain: Callable[[int, Failure], Exception],
        on_reply: Callable[[int, R], None] | None = None,
    ) -> None:
        self._settings, self._key, self._record = settings, key, record
        self._answer, self._explain, self._on_reply = answer, explain, on_reply
        # A row with its reply and what is to be told once that is kept; None at the end.
        self._arrived: queue.SimpleQueue[tuple[int, R, asyncio.Event] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate: Gate | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def run(self, rows: int) -> list[R]:
        """The replies in the order of the rows."""
        thread = threading.Thread(target=self._work, args=(rows,), name="teacher-http", daemon=True)
        replies: dict[int, R] = {}
        thread.start()
        try:
            while (item := self._arrived.get()) is not None:
                if isinstance(item, BaseException):
                    self._fail(item)
                else:
                    row, replies[row], kept = item
                    try:
                        if self._on_reply is not None:
                            self._on_reply(row, replies[row])
                    except Exception as error:
                        self._fail(error)
                    self._soon(kept.set)
        except BaseException:  # Ctrl-C
            if self._task is not None:
                self._soon(self._task.cancel)
            raise
        thread.join()
        if self._failure is not None:
            raise self._failure
        return [replies[row] for row in range(rows)]

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        if self._gate is not None:
            self._soon(self._gate.stop)

    def _soon(self, call: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _work(self, rows: int) -> None:
        try:
            asyncio.run(self._answer_all(rows))
        except BaseExceptionGroup as group:
            self._arrived.put(group.exceptions[0])
        except BaseException as error:
            self._arrived.put(error)
        self._arrived.put(None)

    async def _answer_all(self, rows: int) -> None:
        settings, gate, waiting = self._settings, Gate(self._settings), iter(range(rows))
        local = any(f"//{host}" in settings.base_url for host in ("127.", "localhost", "[::1]"))
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.concurrency),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            trust_env=not local,  # proxies come from the environment
        )
        async with session, asyncio.TaskGroup() as group:
            self._gate, self._loop = gate, asyncio.get_running_loop()
            self._task = asyncio.current_task()
            client = Client(settings, self._key, session, gate, self._record)
            for _ in range(min(rows, settings.concurrency)):
                group.create_task(self._answer_some(client, gate, waiting))

    async def _answer_some(self, client: Client, gate: Gate, waiting: Iterator[int]) -> None:
        for row in waiting:
            if gate.stopped:
                return
            try:
                reply, kept = await self._answer(client, row), asyncio.Event()
                self._arrived.put((row, reply, kept))
                await kept.wait()
            except Failure as failure:
                gate.stop()
                self._arrived.put(self._explain(row, failure))
                return
