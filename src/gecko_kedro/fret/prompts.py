"""The few-shot prompts as data, and how they become text.

P_QG, P_QL and P_RC of the paper (sections 3.1 and 3.2): an instruction, a few examples, then the
case in hand in the shape of an example, cut off where the teacher has to go on. What differs from
case to case stands last, so that a backend can keep what it computed for the rest.
"""

import hashlib
import json
from functools import cached_property

from pydantic import Field, PrivateAttr, field_validator, model_validator

from gecko_kedro.base.settings import Settings
from gecko_kedro.fret.controls import AXES, Inventory, Wanted
from gecko_kedro.fret.reply import REPLY_SCHEMA
from gecko_kedro.teacher.protocol import Prompt

_FREE = Wanted()


class _Example(Settings):
    title: str | None = None
    passage: str = Field(min_length=1)
    query: str = Field(min_length=1)


class SynthesisExample(_Example):
    """A passage, what was wanted, and a task and a query that fit both."""

    wanted: Wanted
    task: str = Field(min_length=1)


class RelevanceExample(_Example):
    """A passage, a query and the grade of the passage for it."""

    label: str


class _FewShot(Settings):
    version: str = Field(min_length=1)
    instruction: str = Field(min_length=1)


class SynthesisPrompt(_FewShot):
    """P_QG: passage -> one line of JSON with a task and a query."""

    wanted_instruction: str = Field(min_length=1, description="what the line Wanted: means")
    inventory: Inventory
    examples: tuple[SynthesisExample, ...] = Field(min_length=1)
    _prefixes: dict[tuple[str, ...], str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _examples_use_the_inventory(self) -> "SynthesisPrompt":
        for example in self.examples:
            if problem := self.inventory.problem_of(example.wanted):
                raise ValueError(f"an example wants {problem}")
        return self

    @cached_property
    def full_version(self) -> str:
        """``version`` and a hash of everything that the teacher may read: any edit changes it."""
        return _full_version(self.version, self)

    def render(self, passage: str, title: str | None = None, wanted: Wanted = _FREE) -> Prompt:
        """The prompt whose reply is JSON with ``task`` and ``query``.

        ``wanted`` comes after the passage: prompts for several queries of one passage differ in
        their last line only. Without it neither the prompt nor its examples speak of it.
        """
        axes = tuple(axis for axis in AXES if getattr(wanted, axis) is not None)
        if axes not in self._prefixes:
            self._prefixes[axes] = self._prefix(axes)
        text = f"{self._prefixes[axes]}{_shown(passage, title)}{self._wanted(wanted, axes)}Answer:"
        fields = _fields(passage, title) | {f"wanted_{a}": getattr(wanted, a) for a in axes}
        return Prompt(text, fields, self.full_version, REPLY_SCHEMA)

    def _prefix(self, axes: tuple[str, ...]) -> str:
        shown = [
            _shown(example.passage, example.title)
            + self._wanted(example.wanted, axes)
            + "Answer: "
            + json.dumps({"task": example.task, "query": example.query}, ensure_ascii=False)
            for example in self.examples
        ]
        instructions = [self.instruction, *([self.wanted_instruction] if axes else [])]
        return _joined([" ".join(text.strip() for text in instructions), *shown])

    def _wanted(self, wanted: Wanted, axes: tuple[str, ...]) -> str:
        if not axes:
            return ""
        words = [self.inventory.wording(axis, getattr(wanted, axis)) for axis in axes]
        return f"Wanted: {'; '.join(word for word in words if word)}\n"


class QueryLikelihoodPrompt(_FewShot):
    """P_QL: passage first, then the query, whose tokens are scored (Sachan et al. 2022)."""

    examples: tuple[_Example, ...] = Field(min_length=1)

    def parts(self) -> list[str]:
        """Instruction and examples."""
        shown = [f"{_shown(e.passage, e.title)}Query: {e.query}" for e in self.examples]
        return [self.instruction.strip(), *shown]

    @staticmethod
    def continuation(query: str) -> str:
        """What is scored: the query after the blank that separates it from ``Query:``."""
        return f" {query}"


class RelevancePrompt(_FewShot):
    """P_RC: passage and query -> one of a few grades (Zhuang et al. 2023)."""

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

    def parts(self) -> list[str]:
        """Instruction and examples."""
        shown = [
            f"{_shown(e.passage, e.title)}{self.question(e.query)} {e.label}" for e in self.examples
        ]
        return [self.instruction.strip(), *shown]

    @staticmethod
    def question(query: str) -> str:
        """What follows a passage. Not ``Query:``, after which only fitting queries come."""
        return f"Candidate query: {query}\nRelevance:"

    @cached_property
    def continuations(self) -> tuple[str, ...]:
        """The labels as they are scored, after a blank, from worst to best."""
        return tuple(f" {label}" for label in self.labels)


class Prompts(Settings):
    """The three prompts of one file in conf/prompts.

    With ``shared_ranking_prefix`` both rankers read the same text up to the end of the passage:
    both instructions, the examples of both, the passage. A backend that keeps the state of a
    prefix reads a candidate once for the two. A change to one then changes the other's version.
    """

    synthesis: SynthesisPrompt
    query_likelihood: QueryLikelihoodPrompt
    relevance: RelevancePrompt
    shared_ranking_prefix: bool

    def query_likelihood_prompt(self, passage: str, title: str | None = None) -> Prompt:
        """The prefix before the query, which is scored as ``continuation`` gives it."""
        text = f"{self._ranking_prefixes[0]}{_shown(passage, title)}Query:"
        return Prompt(text, _fields(passage, title), self._ranking_versions[0])

    def relevance_prompt(self, query: str, passage: str, title: str | None = None) -> Prompt:
        """The prompt whose continuation is one of ``relevance.continuations``."""
        shown = f"{_shown(passage, title)}{self.relevance.question(query)}"
        fields = {**_fields(passage, title), "query": query}
        return Prompt(f"{self._ranking_prefixes[1]}{shown}", fields, self._ranking_versions[1])

    def versions(self) -> dict[str, str]:
        """The full version of each prompt, by its name."""
        likelihood, relevance = self._ranking_versions
        return {
            "synthesis": self.synthesis.full_version,
            "query_likelihood": likelihood,
            "relevance": relevance,
        }

    @cached_property
    def _ranking_prefixes(self) -> tuple[str, str]:
        first, second = self.query_likelihood.parts(), self.relevance.parts()
        if not self.shared_ranking_prefix:
            return _joined(first), _joined(second)
        both = _joined([f"{first[0]}\n{second[0]}", *first[1:], *second[1:]])
        return both, both

    @cached_property
    def _ranking_versions(self) -> tuple[str, str]:
        first, second = self.query_likelihood, self.relevance
        read = (first, second) if self.shared_ranking_prefix else ()
        return (
            _full_version(first.version, *(read or (first,))),
            _full_version(second.version, *(read or (second,))),
        )


def _full_version(version: str, *read: Settings) -> str:
    content = json.dumps([model.model_dump() for model in read], sort_keys=True)
    return f"{version}+{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _joined(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n\n"


def _shown(passage: str, title: str | None) -> str:
    heading = f"Title: {title.strip()}\n" if title and title.strip() else ""
    return f"{heading}Passage: {passage.strip()}\n"


def _fields(passage: str, title: str | None) -> dict[str, str]:
    return {"passage": passage, "title": title or ""}
