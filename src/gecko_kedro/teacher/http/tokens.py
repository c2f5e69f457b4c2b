"""Token ids of prompts, from a local tokenizer or from the server's own."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache, cached_property, partial
from itertools import takewhile
from typing import Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.wire import Detokenized, parse
from gecko_kedro.teacher.http.wire import Tokens as TokensReply
from gecko_kedro.teacher.tokens import PromptTokenizer

_CACHED_TEXTS = 1 << 14
# Where nobody can count: a token of English has some four characters, of code and names fewer.
_CHARACTERS_PER_TOKEN = 3


class LocalTokenizer:
    """A tokenizer of transformers: a folder or a hub id."""

    def __init__(self, name: str, chat_template_kwargs: Mapping[str, Any]) -> None:
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
        made = partial(
            PromptTokenizer, self._tokenizer, model=name, chat_template_kwargs=chat_template_kwargs
        )
        self._with = cache(lambda template: made(chat_template=template))

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
        """The ids of ``text``; with ``special`` those that begin a prompt come before them.

        A special token that the text spells out is plain text.
        """
        plain = self._with("off")
        return (plain.prompts if special else plain.continuations)([text])[0]

    async def encode_chat(self, client: Client, text: str) -> list[int]:
        """The ids of a user's turn and the opening of the assistant's, by the chat template."""
        return self._with("on").prompts([text])[0]

    async def cut(self, client: Client, text: str, max_tokens: int) -> str:
        """The beginning of ``text`` that has ``max_tokens`` tokens; all of it where it is short."""
        return self._with("off").truncate([text], max_tokens)[0]


class ServerTokenizer:
    """``/tokenize`` and ``/detokenize`` of vLLM or llama.cpp; texts that recur are asked once."""

    def __init__(self, dialect: str, settings: HttpSettings) -> None:
        self._kwargs = settings.chat_template_kwargs
        self._in = "prompt" if dialect == "vllm" else "content"
        self._special = "add_special_tokens" if dialect == "vllm" else "add_special"
        self._model = settings.model
        self._known: dict[tuple[str, str], list[int]] = {}

    async def encode(self, client: Client, text: str, *, special: bool) -> list[int]:
        """As ``LocalTokenizer.encode``."""
        return await self._ids(
            client, (str(special), text), {self._in: text, self._special: special}
        )

    async def encode_chat(self, client: Client, text: str) -> list[int]:
        """As ``LocalTokenizer.encode_chat``; vLLM only."""
        asked = {"messages": [{"role": "user", "content": text}], "add_generation_prompt": True}
        more = {"chat_template_kwargs": self._kwargs} if self._kwargs else {}
        return await self._ids(client, ("chat", text), asked | more)

    async def cut(self, client: Client, text: str, max_tokens: int) -> str:
        """As ``LocalTokenizer.cut``."""
        if len(text.encode()) < max_tokens:  # a token has at least one byte
            return text
        ids = await self.encode(client, text, special=False)
        if len(ids) <= max_tokens:
            return text
        body = {"model": self._model, "tokens": ids[:max_tokens]}
        head = await client.post(
            "/detokenize", body, lambda data: parse(Detokenized, data).text, root=True
        )
        # The last token may hold half a character.
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text, head, strict=False))
        return "".join(ours for ours, _ in same).rstrip()

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


Tokenizer = LocalTokenizer | ServerTokenizer


async def find_tokenizer(
    client: Client, settings: HttpSettings, local: LocalTokenizer | None
) -> Tokenizer | None:
    """The local one, else the one that the server has by its dialect or by trying, else None."""
    if local is not None or settings.dialect in {"tgi", "openai"}:
        return local
    if settings.dialect != "auto":
        return ServerTokenizer(settings.dialect, settings)
    for dialect in ("vllm", "llama.cpp"):
        tokenizer = ServerTokenizer(dialect, settings)
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
