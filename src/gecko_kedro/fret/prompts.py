"""The few-shot prompts as data, and how they become text.

P_QG, P_QL and P_RC of the paper (sections 3.1 and 3.2): an instruction, a few examples, then the
case in hand in the shape of an example, cut off where the teacher has to go on.
"""

import hashlib
import json
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gecko_kedro.teacher.protocol import Prompt


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Example(_Model):
    title: str | None = None
    passage: str = Field(min_length=1)
    query: str = Field(min_length=1)


class SynthesisExample(_Example):
    """A passage, a task and a query that fits both."""

    task: str = Field(min_length=1)


class QueryLikelihoodExample(_Example):
    """A passage and a query for which it is a good result."""


class RelevanceExample(_Example):
    """A passage, a query and the grade of the passage for it."""

    label: str


class _FewShot(_Model):
    version: str = Field(min_length=1)
    instruction: str = Field(min_length=1)

    @cached_property
    def full_version(self) -> str:
        """``version`` and a hash of everything that the teacher reads: any edit changes it."""
        content = json.dumps(self.model_dump(), sort_keys=True)
        return f"{self.version}+{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @cached_property
    def _prefix(self) -> str:
        """What all prompts of this kind begin with: instruction and examples."""
        return "\n\n".join([self.instruction.strip(), *self._shown_examples()]) + "\n\n"

    def _shown_examples(self) -> list[str]:
        raise NotImplementedError


class SynthesisPrompt(_FewShot):
    """P_QG: passage -> one line of JSON with a task and a query."""

    examples: tuple[SynthesisExample, ...] = Field(min_length=1)

    def render(self, passage: str, title: str | None = None) -> Prompt:
        """The prompt whose reply is JSON with ``task`` and ``query``."""
        text = f"{self._prefix}{_shown(passage, title)}Answer:"
        return Prompt(text, _fields(passage, title), self.full_version)

    def _shown_examples(self) -> list[str]:
        return [
            _shown(example.passage, example.title)
            + "Answer: "
            + json.dumps({"task": example.task, "query": example.query}, ensure_ascii=False)
            for example in self.examples
        ]


class QueryLikelihoodPrompt(_FewShot):
    """P_QL: passage first, then the query, whose tokens are scored (Sachan et al. 2022)."""

    examples: tuple[QueryLikelihoodExample, ...] = Field(min_length=1)

    def render(self, passage: str, title: str | None = None) -> Prompt:
        """The prefix before the query."""
        text = f"{self._prefix}{_shown(passage, title)}Query:"
        return Prompt(text, _fields(passage, title), self.full_version)

    @staticmethod
    def continuation(query: str) -> str:
        """What is scored: the query after the blank that separates it from ``Query:``."""
        return f" {query}"

    def _shown_examples(self) -> list[str]:
        return [
            f"{_shown(example.passage, example.title)}Query: {example.query}"
            for example in self.examples
        ]


class RelevancePrompt(_FewShot):
    """P_RC: query and passage -> one of a few grades (Zhuang et al. 2023)."""

    labels: tuple[str, ...] = Field(min_length=2, description="from worst to best")
    examples: tuple[RelevanceExample, ...] = Field(min_length=1)

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
            raise ValueError("labels must be distinct and not blank")
        return labels

    @model_validator(mode="after")
    def _examples_use_the_labels(self) -> "RelevancePrompt":
        unknown = sorted({example.label for example in self.examples} - set(self.labels))
        if unknown:
            raise ValueError(f"examples have labels that are not in labels: {', '.join(unknown)}")
        return self

    def render(self, query: str, passage: str, title: str | None = None) -> Prompt:
        """The prompt whose continuation is one of ``continuations``."""
        text = f"{self._prefix}{_shown(passage, title)}Query: {query}\nRelevance:"
        fields = {**_fields(passage, title), "query": query}
        return Prompt(text, fields, self.full_version)

    @cached_property
    def continuations(self) -> tuple[str, ...]:
        """The labels as they are scored, after a blank, from worst to best."""
        return tuple(f" {label}" for label in self.labels)

    def _shown_examples(self) -> list[str]:
        return [
            f"{_shown(example.passage, example.title)}Query: {example.query}\n"
            f"Relevance: {example.label}"
            for example in self.examples
        ]


class Prompts(_Model):
    """The three prompts of one file in conf/prompts."""

    synthesis: SynthesisPrompt
    query_likelihood: QueryLikelihoodPrompt
    relevance: RelevancePrompt

    def versions(self) -> dict[str, str]:
        """The full version of each prompt, by its name."""
        return {
            "synthesis": self.synthesis.full_version,
            "query_likelihood": self.query_likelihood.full_version,
            "relevance": self.relevance.full_version,
        }


def _shown(passage: str, title: str | None) -> str:
    heading = f"Title: {title.strip()}\n" if title and title.strip() else ""
    return f"{heading}Passage: {passage.strip()}\n"


def _fields(passage: str, title: str | None) -> dict[str, str]:
    return {"passage": passage, "title": title or ""}
