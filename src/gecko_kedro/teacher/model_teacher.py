"""What the backends that run a model in this process share: which model, and its two scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gecko_kedro.base.digests import files_sha256
from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.teacher.protocol import Prompt, Scored, ScoredLabels
from gecko_kedro.teacher.settings import ModelSettings
from gecko_kedro.teacher.tokens import PromptTokenizer

_CONTENT = ("config.json", "*.safetensors", "pytorch_model*.bin")
Ids = list[int]


class ModelTeacher(ABC):
    """A teacher that scores token ids; ``limit`` tokens are the longest prompt with its reply."""

    spare_tokens = 0  # that have to fit in besides, when a continuation is scored

    def __init__(
        self, tokenizer: Any, settings: ModelSettings, *, library: str, revision: str,
        dtype: object, limit: int | None,
    ) -> None:  # fmt: skip
        self._settings, self._limit = settings, limit
        self._tokenizer = PromptTokenizer(
            tokenizer, model=settings.name, chat_template=settings.chat_template,
            chat_template_kwargs=settings.chat_template_kwargs,
        )  # fmt: skip
        self.identity = (
            f"{library}; model {settings.name}; revision {revision}; "
            f"dtype {str(dtype).removeprefix('torch.')}; "
            f"chat template {self._tokenizer.template_identity}; "
            f"at most {settings.max_new_tokens} new tokens, stop {list(settings.stop)}"
        )

    @staticmethod
    def revision_of(source: str, commit: str | None) -> str:
        """The commit of a hub model, or a hash over configuration and weights of a local folder.

        Replies of other weights are never taken for those of a teacher with another revision. A
        hash of everything takes about as long as reading the weights: a second a gigabyte.
        """
        folder = Path(source)
        if not folder.is_dir():
            return commit or "unknown"
        files = sorted(path for pattern in _CONTENT for path in folder.glob(pattern))
        return f"sha256 {files_sha256(files, folder)[:16]}"

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``."""
        return self._tokenizer.truncate(texts, max_tokens)

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored]:
        """The sum of the log-probabilities of the continuation's tokens, which are tokenised apart.

        An empty continuation has log-likelihood 0.
        """
        follow = self._tokenizer.continuations(continuations)
        extra = [len(continuation) + self.spare_tokens for continuation in follow]
        ids = self._prompt_ids(prefixes, "query_log_likelihood", extra)
        sums = self._sums(list(zip(ids, follow, strict=True)))
        return [
            Scored(total, len(prefix), len(continuation))
            for total, prefix, continuation in zip(sums, ids, follow, strict=True)
        ]

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels]:
        """Labels that differ in their last token only are read from one place.

        The probabilities are those of the whole vocabulary: they do not add up to 1 over labels.
        """
        label_ids = self._tokenizer.continuations(labels)
        if not labels or not all(label_ids):
            raise InputError(
                "labels of the relevance prompt",
                expected="at least one label, each of at least one token",
                got=list(labels),
                fix="Correct labels in conf/prompts.",
            )
        longest = max(map(len, label_ids)) + self.spare_tokens
        ids = self._prompt_ids(prompts, "label_log_likelihood", [longest] * len(prompts))
        return [
            ScoredLabels(tuple(scores), len(prompt), sum(map(len, label_ids)))
            for scores, prompt in zip(self._label_scores(ids, label_ids), ids, strict=True)
        ]

    @abstractmethod
    def _totals(self, pairs: Sequence[tuple[Ids, Ids]]) -> Sequence[float]:
        """log P(continuation | prefix) of each pair of ids, with no empty continuation."""

    @abstractmethod
    def _label_scores(self, ids: Sequence[Ids], labels: Sequence[Ids]) -> list[list[float]]:
        """log P(label | prompt) of each label, by prompt."""

    def _sums(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[float]:
        """log P(continuation | prefix) of each pair of ids; 0 for an empty continuation."""
        scored = iter(self._totals([pair for pair in pairs if pair[1]]))
        return [next(scored) if continuation else 0.0 for _, continuation in pairs]

    def _prompt_ids(self, prompts: Sequence[Prompt], call: str, extra: Sequence[int]) -> list[Ids]:
        """``InputError`` for a prompt that is empty, or too long with ``extra`` tokens after it."""
        ids = self._tokenizer.prompts([prompt.text for prompt in prompts])
        if not all(ids):
            raise InputError(
                f"teacher {self._settings.name}, {call}, prompt {ids.index([])}",
                expected="at least one token to go on from",
                got=Words("no tokens"),
                fix="Give the prompt an instruction.",
            )
        for row, (prompt, more) in enumerate(zip(ids, extra, strict=True)):
            if self._limit is not None and len(prompt) + more > self._limit:
                raise InputError(
                    f"teacher {self._settings.name}, {call}, prompt {row}",
                    expected=f"at most {self._limit} tokens, the reply included",
                    got=len(prompt) + more,
                    fix="Cut passages and queries to fewer tokens (parameters of synthesize and "
                    "relabel), take examples out of the prompt, or choose a model with a longer "
                    "context.",
                )
        return ids


def computes_half(settings: ModelSettings, device: str) -> bool:
    """Whether ``dtype`` comes to bfloat16 on this ``device``, to float32 otherwise."""
    return settings.dtype == "bfloat16" or (settings.dtype == "auto" and fast_bf16(device))


@contextmanager
def opened(name: str) -> Iterator[str]:
    """``name``, or the folder that it is, for loading a model from; says why that cannot be done.

    InputError where it can only be a path and is none.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise InputError(
            f"teacher.model.name {name}",
            expected="a folder with a model, or a hub id",
            got=Words("no such folder"),
            fix="Correct the path.",
        )
    try:
        yield str(folder) if folder.is_dir() else name
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = str(error).strip().splitlines()[:1]
        raise InputError(
            f"teacher.model.name {name}",
            expected="a causal language model: a folder that save_pretrained wrote, or a hub id "
            "that can be reached",
            got=f"{type(error).__name__}: {' '.join(first)}",
            fix="Without a network, download the model elsewhere and give its folder. A gated "
            "model needs a token: run hf auth login, or set HF_TOKEN.",
        ) from error
