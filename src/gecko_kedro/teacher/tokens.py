"""Prompts as token ids, for the backends that run a model in this process."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.thinking import without_thought

ChatTemplate = Literal["auto", "on", "off"]
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}prompt\N{OBJECT REPLACEMENT CHARACTER}"


class PromptTokenizer:
    """A tokenizer of transformers, with the chat template of an instruct model around each prompt.

    A base model reads the prompt as it is, after its begin-of-sequence token if it has one. An
    instruct model reads it as one message of the user; the reply, the scored query or the label is
    the assistant's answer, so the blank that separates it from the prompt of a base model is taken
    off. A thought that the template begins is ended at once: the answer comes next. Prompt and
    continuation are tokenised apart and their ids joined: the tokens of a query are then the same
    after every passage, and log-likelihoods of candidates compare. Special tokens that a passage
    spells out ("<|im_end|>") are read as plain text.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        model: str,
        chat_template: ChatTemplate,
        chat_template_kwargs: Mapping[str, Any],
    ) -> None:
        self._tokenizer = tokenizer
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if chat_template == "on" and not has_template:
            raise InputError(
                f"teacher.model.chat_template of {model}",
                expected="a tokenizer with a chat template",
                got=Words("no chat template"),
                fix="Set chat_template to auto, or choose the instruct variant of the model.",
            )
        self.is_chat = has_template and chat_template != "off"
        self._head, self._tail = self._rendered(chat_template_kwargs) if self.is_chat else ("", "")
        self._head_ids, self._tail_ids = self._special(self._head), self._special(self._tail)
        if not self.is_chat:
            self._head_ids = _begin_of_sequence(tokenizer)

    @property
    def template_identity(self) -> str:
        """What the template puts around a prompt, as a hash; "none" for a base model."""
        if not self.is_chat:
            return "none"
        around = json.dumps([self._head, self._tail])
        return hashlib.sha256(around.encode()).hexdigest()[:8]

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of whole prompts, special tokens included."""
        if self.is_chat:
            texts = [text.strip() for text in texts]
        return [[*self._head_ids, *ids, *self._tail_ids] for ids in self._plain(texts)]

    def continuations(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of what follows a prompt, without special tokens."""
        return self._plain([text.lstrip() for text in texts] if self.is_chat else texts)

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``; special tokens are not counted."""
        return [
            text if len(ids) <= max_tokens else self._cut(text, max_tokens)
            for text, ids in zip(texts, self._plain(texts), strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a reply."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _cut(self, text: str, max_tokens: int) -> str:
        # A cut text can have more tokens than were kept of the whole one, so the longest prefix
        # that has no more than max_tokens is searched for, from the place that they suggest.
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        for count in range(max_tokens, 0, -1):
            cut = text[: offsets[count - 1][1]]
            if len(self._plain([cut])[0]) <= max_tokens:
                return cut
        return ""

    def _plain(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return [list(ids) for ids in encoded["input_ids"]]

    def _special(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _rendered(self, kwargs: Mapping[str, Any]) -> tuple[str, str]:
        rendered = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": _MARK}],
            tokenize=False,
            add_generation_prompt=True,
            **kwargs,
        )
        head, mark, tail = rendered.partition(_MARK)
        tail += without_thought(tail)
        if not mark:
            raise InputError(
                "teacher.model.chat_template",
                expected="a template that shows the user's message as it is",
                got=rendered,
                fix="Set chat_template: off, or mend chat_template_kwargs.",
            )
        return head, tail


def _begin_of_sequence(tokenizer: Any) -> list[int]:
    """What the tokenizer itself puts before a text; what it puts behind would end the prompt."""
    first = list(tokenizer("")["input_ids"])[:1]
    return first if first == [tokenizer.bos_token_id] else []
