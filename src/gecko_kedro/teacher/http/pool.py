"""Many requests in flight from a function that waits: an event loop in a thread of its own."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from gecko_kedro.teacher.http.client import Client, new_session
from gecko_kedro.teacher.http.failure import Failure, Key
from gecko_kedro.teacher.http.gate import Gate
from gecko_kedro.teacher.http.record import ServerRecord
from gecko_kedro.teacher.http.settings import HttpSettings

R = TypeVar("R")


@dataclass(frozen=True)
class _Arrival(Generic[R]):
    row: int
    reply: R
    kept: asyncio.Event


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
        self._answer = answer
        self._explain, self._on_reply = explain, on_reply
        self._arrived: queue.SimpleQueue[_Arrival[R] | BaseException | None] = queue.SimpleQueue()
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
                    replies[item.row] = item.reply
                    self._hand_over(item)
        except BaseException:  # Ctrl-C
            if self._task is not None:
                self._soon(self._task.cancel)
            raise
        thread.join()
        if self._failure is not None:
            raise self._failure
        return [replies[row] for row in range(rows)]

    def _hand_over(self, item: "_Arrival[R]") -> None:
        try:
            if self._on_reply is not None:
                self._on_reply(item.row, item.reply)
        except Exception as error:
            self._fail(error)
        finally:
            self._soon(item.kept.set)

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
        gate = Gate(self._settings)
        waiting = iter(range(rows))
        async with new_session(self._settings) as session, asyncio.TaskGroup() as group:
            self._gate, self._loop = gate, asyncio.get_running_loop()
            self._task = asyncio.current_task()
            client = Client(self._settings, self._key, session, gate, self._record)
            for _ in range(min(rows, self._settings.concurrency)):
                group.create_task(self._answer_some(client, gate, waiting))

    async def _answer_some(self, client: Client, gate: Gate, waiting: Iterator[int]) -> None:
        for row in waiting:
            if gate.stopped:
                return
            try:
                arrival = _Arrival(row, await self._answer(client, row), asyncio.Event())
                self._arrived.put(arrival)
                await arrival.kept.wait()
            except Failure as failure:
                gate.stop()
                self._arrived.put(self._explain(row, failure))
                return
