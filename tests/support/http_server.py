"""A TEST SERVER that speaks the OpenAI API over real HTTP; it holds no language model.

Its log-probabilities are hashes of the words: deterministic, and no judgement of anything. It
counts what it is asked, and it can be told to fail.
"""

import asyncio
import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAME = "test-server-without-a-model"
Fault = Callable[["ServerState", web.Request, dict[str, Any]], Any]


@dataclass
class ServerState:
    """What the server can do, what it was asked, and what it does to the next requests."""

    key: str | None = None
    latency_s: float = 0.0
    prompt_logprobs: bool = True
    echo: bool = True
    token_ids: bool = True
    logprobs: bool = True
    structure: bool = True
    completions: bool = True
    chat: bool = True
    tokenize: bool = True
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""


def tokens_of(text: str) -> list[str]:
    """Words with the blank before them, as byte-pair encodings have them."""
    found, word = [], ""
    for character in text:
        if character == " " and word.strip():
            found.append(word)
            word = ""
        word += character
    return [*found, word] if word else found


def id_of(token: str) -> int:
    return int(hashlib.sha256(token.encode()).hexdigest()[:7], 16)


def logprob(context: str, token: str) -> float:
    """A pseudo log-probability between -8 and -0.1."""
    digest = hashlib.sha256(f"{context}\0{token}".encode()).hexdigest()
    return -0.1 - int(digest[:8], 16) / 16**8 * 7.9


class Vocabulary:
    """Tokens by id, as far as they were seen."""

    def __init__(self) -> None:
        self._tokens: dict[int, str] = {}

    def encode(self, text: str) -> list[int]:
        found = tokens_of(text)
        self._tokens |= {id_of(token): token for token in found}
        return [id_of(token) for token in found]

    def decode(self, ids: list[int]) -> list[str]:
        return [self._tokens.get(one, f"<{one}>") for one in ids]


class Handlers:
    def __init__(self, state: ServerState) -> None:
        self.state, self.vocabulary = state, Vocabulary()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        state, body = self.state, await request.json()
        path = request.path.removeprefix("/v1")
        state.headers.append(dict(request.headers))
        if state.key is not None and request.headers.get("Authorization") != f"Bearer {state.key}":
            sent = request.headers.get("Authorization", "")
            return _error(401, f"Incorrect API key provided: {sent}")
        if path in {"/completions", "/chat/completions"}:
            state.bodies.append(body)
            state.asked[json.dumps(body, sort_keys=True)] += 1
        state.in_flight += 1
        state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            fault = state.faults.popleft() if state.faults else state.always
            if state.latency_s:
                await asyncio.sleep(state.latency_s)
            if fault is not None and (broken := await fault(state, request, body)) is not None:
                return broken
            return self.answer(path, body)
        finally:
            state.in_flight -= 1

    def answer(self, path: str, body: dict[str, Any]) -> web.Response:
        state = self.state
        if path == "/tokenize" and state.tokenize:
            if "messages" in body:
                return _error(400, "the test server has no chat template")
            return web.json_response({"tokens": self.vocabulary.encode(body["prompt"])})
        if path == "/detokenize" and state.tokenize:
            return web.json_response({"prompt": "".join(self.vocabulary.decode(body["tokens"]))})
        if path == "/completions" and state.completions:
            return web.json_response(self.completion(body))
        if path == "/chat/completions" and state.chat:
            return web.json_response(self.chat(body))
        return _error(404, "no such path")

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        state, prompt = self.state, body["prompt"]
        ids = self.vocabulary.encode(prompt) if isinstance(prompt, str) else prompt
        words = self.vocabulary.decode(ids)
        text = self.reply("".join(words), body)
        choice: dict[str, Any] = {"text": text}
        if "prompt_logprobs" in body and state.prompt_logprobs:
            choice["prompt_logprobs"] = [
                None
                if n == 0
                else {str(one): {"logprob": logprob("".join(words[:n]), words[n]), "rank": 1}}
                for n, one in enumerate(ids)
            ]
        if "logprobs" in body and state.logprobs:
            choice["logprobs"] = self.logprobs(words, tokens_of(text)[:1], body)
        if body.get("echo") and state.echo:
            choice["text"] = "".join(words) + text
        return {"choices": [choice], "usage": _usage(len(ids), text)}

    def logprobs(
        self, words: list[str], generated: list[str], body: dict[str, Any]
    ) -> dict[str, Any]:
        prompt = "".join(words)
        if "logprob_token_ids" in body and self.state.token_ids:
            decoded = self.vocabulary.decode(body["logprob_token_ids"])
            tops = {
                f"token_id:{one}": logprob(prompt, word)
                for one, word in zip(body["logprob_token_ids"], decoded, strict=True)
            }
            return {"tokens": generated, "token_logprobs": [-1.0], "top_logprobs": [tops]}
        echo = words if body.get("echo") and self.state.echo else []
        shown = [*echo, *generated]
        numbers: list[float | None] = [
            logprob("".join(shown[:n]) if echo else prompt, token) for n, token in enumerate(shown)
        ]
        if echo:
            numbers[0] = None
        tops: list[dict[str, Any] | None] = [
            None if number is None else {token: number}
            for token, number in zip(shown, numbers, strict=True)
        ]
        if not echo:
            tops = [{f" {label}": logprob(prompt, f" {label}") for label in range(1, 4)}]
        return {"tokens": shown, "token_logprobs": numbers, "top_logprobs": tops}

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["messages"][0]["content"]
        text = self.reply(prompt, body)
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
        if body.get("logprobs") and self.state.logprobs:
            tops = [
                {"token": str(label), "logprob": logprob(prompt, f" {label}")}
                for label in range(1, 4)
            ]
            choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops}]}
        return {"choices": [choice], "usage": _usage(len(tokens_of(prompt)), text)}

    def reply(self, prompt: str, body: dict[str, Any]) -> str:
        seen = f"{prompt}\0{body.get('seed')}\0{body.get('temperature')}"
        number = int(hashlib.sha256(seen.encode()).hexdigest()[:6], 16)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        fields = schema.get("properties", {}) if self.state.structure else {}
        if "ok" in fields:
            return json.dumps({"ok": bool(number % 2)})
        if "label" in fields:
            return json.dumps({"label": fields["label"]["enum"][number % 4]})
        if body.get("max_tokens") == 16:
            return f"I would say {number % 4}."
        if body.get("max_tokens") == 1:
            return " word"
        topic = " ".join(prompt.rsplit("Passage: ", maxsplit=1)[-1].split()[:4])
        return json.dumps({"task": "Given a query, find a passage.",
                           "query": f"{topic} number {number}"})  # fmt: skip


def _usage(prompt: int, text: str) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": len(tokens_of(text))}


def _error(status: int, words: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": words}}, status=status, headers=headers)


def status(code: int, words: str = "told to fail", **headers: str) -> Fault:
    """Answer with an HTTP status; ``Retry_After`` becomes ``Retry-After``."""

    async def fault(*_: Any) -> web.Response:
        return _error(code, words, **{name.replace("_", "-"): v for name, v in headers.items()})

    return fault


def refusing(word: str, code: int = 400, *, others_after_s: float = 0.0) -> Fault:
    """Refuse at once each prompt with ``word`` in its text, and answer the others after a while."""

    async def fault(_: ServerState, request: web.Request, body: dict[str, Any]) -> Any:
        if word in json.dumps(body):
            return _error(code, f"no prompt may say {word}")
        await asyncio.sleep(others_after_s)
        return None

    return fault


def raw(content: str) -> Fault:
    """Answer 200 with this instead of JSON of its own."""

    async def fault(*_: Any) -> web.Response:
        return web.Response(text=content, content_type="application/json")

    return fault


def replying(make: Callable[[dict[str, Any]], Any]) -> Fault:
    """Answer 200 with the JSON that ``make`` gives for the body; as usual where it gives None."""

    async def fault(_: ServerState, request: web.Request, body: dict[str, Any]) -> Any:
        reply = make(body)
        return None if reply is None else web.json_response(reply)

    return fault


def chat_reply(content: str | None, *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """The whole of a chat reply, without usage."""
    message = {"role": "assistant", "content": content, **message}
    return {"choices": [{"message": message, "finish_reason": finish}]}


async def reset(_: ServerState, request: web.Request, body: dict[str, Any]) -> None:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()


async def hang(_: ServerState, request: web.Request, body: dict[str, Any]) -> None:
    """Never answer; ends when the client goes away."""
    await asyncio.sleep(3600)


async def fine(*_: Any) -> None:
    """Answer as usual: a place in the queue of faults."""


def application(state: ServerState) -> web.Application:
    handlers = Handlers(state)
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", handlers.handle)
    return app


@contextmanager
def serving(port: int = 0, **abilities: Any) -> Iterator[ServerState]:
    """The server on 127.0.0.1, on a free port where none is given, in a thread of its own."""
    state = ServerState(**abilities)
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        runner = web.AppRunner(
            application(state), handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        host, own_port = runner.addresses[0][:2]
        state.url = f"http://{host}:{own_port}/v1"
        loops.append(asyncio.get_running_loop())
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield state
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(30)
