"""Token ids of prompts, from a local tokenizer or from the server's own."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Protocol

from gecko_kedro.errors import InputError
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure, unusable
from gecko_kedro.teacher.http.wire import Detokenized, parse
from gecko_kedro.teacher.http.wire import Tokens as TokensReply

_MARK = "\N{OBJECT REPLACEMENT CHARACTER}prompt\N{OBJECT REPLACEMENT CHARACTER}"
_CACHED_TEXTS = 1 << 14
# Where nobody can count: a token of English has some four characters, of code and names fewer.
_CHARACTERS_PER_TOKEN = 3


class Tokenizer(Protocol):
    """Text to token ids."""

    async def encode(self, client: Client, text: str, *, special: bool) -> list[int]:
        """The ids of ``text``; with ``special`` those that begin a prompt come before them."""
        ...

    async def encode_chat(self, client: Client, text: str) -> list[int]:
        """The ids of a user's turn and the opening of the assistant's, by the chat template."""
        ...

    async def cut(self, client: Client, text: str, max_tokens: int) -> str:
        """The beginning of ``text`` that has ``max_tokens`` tokens; all of it where it is short."""
        ...


class LocalTokenizer:
    """A tokenizer of transformers: a folder or a hub id."""

    def __init__(self, name: str) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise InputError(
                "teacher.http.tokenizer",
                expected="a folder or a hub id with the tokenizer of the model",
                got=name,
                fix="Correct it, or set it to null to use the server's own.",
            ) from error

    @property
    def has_chat_template(self) -> bool:
        """Whether it came with a chat template, as those of instruct models do."""
        return bool(getattr(self._tokenizer, "chat_template", None))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of vocabulary and chat template: the same for a copy in another folder."""
        content = [sorted(self._tokenizer.get_vocab().items()), self._tokenizer.chat_template]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]

    async def encode(self, client: Client, text: str, *, special: bool) -> list[int]:
        """As ``Tokenizer.encode``. A special token that the text spells out is plain text."""
        return [*(self._begin if special else []), *self._plain(text)]

    async def encode_chat(self, client: Client, text: str) -> list[int]:
        """As ``Tokenizer.encode_chat``."""
        head, tail = self._around
        return [*head, *self._plain(text.strip()), *tail]

    async def cut(self, client: Client, text: str, max_tokens: int) -> str:
        """As ``Tokenizer.cut``."""
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = found["offset_mapping"]
        return text if len(offsets) <= max_tokens else text[: offsets[max_tokens][0]].rstrip()

    @cached_property
    def _begin(self) -> list[int]:
        """What the tokenizer puts before a prompt; what it puts behind would end the prompt."""
        first = list(self._tokenizer("")["input_ids"])[:1]
        return first if first == [self._tokenizer.bos_token_id] else []

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """What the chat template puts around the user's message."""
        rendered = self._tokenizer.apply_chat_template(
            _turn(_MARK), add_generation_prompt=True, tokenize=False
        )
        head, _, tail = rendered.partition(_MARK)
        return self._special(head), self._special(tail)

    def _special(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _plain(self, text: str) -> list[int]:
        found = self._tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return list(found["input_ids"])


class ServerTokenizer:
    """``/tokenize`` and ``/detokenize`` of vLLM or llama.cpp; texts that recur are asked once."""

    def __init__(self, dialect: Literal["vllm", "llama.cpp"], model: str) -> None:
        self._in = "prompt" if dialect == "vllm" else "content"
        self._special = "add_special_tokens" if dialect == "vllm" else "add_special"
        self._model = model
        self._known: dict[tuple[str, str], list[int]] = {}

    async def encode(self, client: Client, text: str, *, special: bool) -> list[int]:
        """As ``Tokenizer.encode``."""
        return await self._ids(
            client, (str(special), text), {self._in: text, self._special: special}
        )

    async def encode_chat(self, client: Client, text: str) -> list[int]:
        """As ``Tokenizer.encode_chat``; vLLM only."""
        return await self._ids(
            client, ("chat", text), {"messages": _turn(text), "add_generation_prompt": True}
        )

    async def cut(self, client: Client, text: str, max_tokens: int) -> str:
        """As ``Tokenizer.cut``."""
        if len(text.encode()) < max_tokens:  # a token has at least one byte
            return text
        ids = await self.encode(client, text, special=False)
        if len(ids) <= max_tokens:
            return text
        body = {"model": self._model, "tokens": ids[:max_tokens]}
        head = await client.post("/detokenize", body, _detokenized, root=True)
        return text[: _common(text, head)].rstrip()

    async def _ids(
        self, client: Client, key: tuple[str, str], body: Mapping[str, Any]
    ) -> list[int]:
        if key not in self._known:
            if len(self._known) >= _CACHED_TEXTS:
                self._known.clear()
            self._known[key] = await client.post(
                "/tokenize",
                {"model": self._model, **body},
                lambda data: parse(TokensReply, data).tokens,
                root=True,
            )
        return self._known[key]


async def server_tokenizer(client: Client, model: str) -> ServerTokenizer | None:
    """The one that the server has, by trying; None where it has none."""
    dialects: tuple[Literal["vllm", "llama.cpp"], ...] = ("vllm", "llama.cpp")
    for dialect in dialects:
        tokenizer = ServerTokenizer(dialect, model)
        try:
            if await tokenizer.encode(client, "one two", special=False):
                return tokenizer
        except Failure as failure:
            if failure.outage or failure.status in {401, 403}:
                raise
    return None


def estimated_cut(text: str, max_tokens: int) -> str:
    """``Tokenizer.cut`` where there is no tokenizer: three characters count as a token."""
    return text[: max_tokens * _CHARACTERS_PER_TOKEN]


def estimated_tokens(text: str) -> int:
    """About how many tokens ``text`` has."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _detokenized(data: Any) -> str:
    reply = parse(Detokenized, data)
    text = reply.prompt if reply.prompt is not None else reply.content
    if text is None:
        raise unusable("/detokenize gave no text")
    return text


def _common(text: str, head: str) -> int:
    """Length of the common beginning: the last token may hold half a character."""
    size = 0
    for ours, theirs in zip(text, head, strict=False):
        if ours != theirs:
            break
        size += 1
    return size
