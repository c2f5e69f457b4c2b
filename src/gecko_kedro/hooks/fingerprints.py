"""What each dataset was made from, and whether that still holds.

Kedro's ``--only-missing-outputs`` asks only whether an output exists. A changed parameter, prompt
or corpus would go unnoticed, and a run would report success on stale data. So every persisted
output has a *fingerprint*: a digest over its node's function, its node's parameters and the
fingerprints of its node's inputs. It is kept beside the output together with the parts it was made
of, so that a message can name what changed, and with the SHA-256 of the content.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gecko_kedro.base.digests import Digests, file_sha256
from gecko_kedro.base.errors import InputError
from gecko_kedro.hooks.records import Fingerprint, Parts, Record, read_record, write_record
from gecko_kedro.params import Parameters, check_parameters

_PARAMETER, _DATASET = "params:", "dataset "
_SHOWN = 80  # characters of a value: prompts are parameters, too
_TOLD = re.compile(r"^params:(work\.\w+\.)?")  # a parameter, or one within what a node is told


@dataclass(frozen=True)
class Change:
    """Why an output is stale: what differs, and which of its inputs are stale themselves."""

    differences: tuple[str, ...]
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """The persisted outputs that exist and are not what a run would make; the others are absent.

    ``stale`` by name, first causes first; ``by_hand``: where those lie that were put there from
    elsewhere, or were changed since. They count as inputs.
    """

    stale: dict[str, Change]
    by_hand: dict[str, Path]


@dataclass
class Fingerprints:
    """The fingerprints of all datasets of ``pipeline``, as its next run would make them.

    ``catalog`` is Kedro's catalog. Inputs that no node makes are identified by their dataset's own
    ``fingerprint()`` where it has one, else by the content of their file.
    """

    pipeline: Pipeline
    catalog: Any
    digests: Digests = field(default_factory=Digests)
    _known: dict[str, Fingerprint] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)
    _checked: set[tuple[Path, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for node in self.pipeline.nodes:  # in topological order
            self._make(node)

    def of(self, dataset: str) -> Fingerprint:
        """The fingerprint that ``dataset`` has, or will have once its node has run."""
        key = self._key(dataset)
        if key not in self._known:
            self._known[key] = self._of_input(dataset)
        return self._known[key]

    def announce(self) -> None:
        """Tell the datasets that keep partial work which fingerprint it has to have."""
        for name in self.pipeline.datasets():
            dataset = self._dataset(name)
            if hasattr(dataset, "expect_fingerprint"):
                dataset.expect_fingerprint(self.of(getattr(dataset, "of", name)).digest)

    def outputs(self) -> Outputs:
        """Which persisted outputs are stale, and which were put there by hand.

        What follows from an output that was put there by hand is compared against it.
        """
        found = Outputs({}, {})
        for node in self.pipeline.nodes:
            if found.by_hand:
                self._make(node)  # again, from what was put there
            for name in node.outputs:
                location = self._location(name)
                if location is None or not self._dataset(name).exists():
                    continue
                record = read_record(location)
                if record is None or self._is_changed(name, location, record):
                    found.by_hand[name] = location
                    self._known[self._key(name)] = self._of_content(location)
                elif (change := self._change(name, record, found.stale)) is not None:
                    found.stale[name] = change
        return found

    def begin(self, dataset: str) -> None:
        """Note, before ``dataset`` is saved, that it is no longer what it was."""
        location = self._location(dataset)
        if location is not None and dataset not in self._begun:  # a shard is one save of many
            self._begun.add(dataset)
            write_record(location, Record(self.of(dataset)))

    def record(self, dataset: str) -> None:
        """Note what the just saved ``dataset`` was made from, and its content."""
        location = self._location(dataset)
        if location is not None and not self._checks_itself(dataset):
            write_record(location, Record(self.of(dataset), self.digests.of(location, again=True)))
            self.digests.save()

    def refuse_damaged(self, dataset: str) -> None:
        """Raise InputError where the file of ``dataset`` is not what was written, and by nobody.

        Its bytes differ from those that were read before while its size and time of change do not:
        no edit does that, but a failing disk. Each file is read for it once in a run.
        """
        location = self._location(dataset)
        if location is None or not location.is_file():
            return
        written = self.digests.known(location)
        if written is None or (location, written) in self._checked:
            return
        if (found := file_sha256(location)) != written:
            raise InputError(
                f"dataset {dataset!r} ({location})",
                expected=f"the file that was written, SHA-256 {written}",
                got=found,
                fix="It is damaged: delete it and run again to make it anew, and look at the disk.",
            )
        self._checked.add((location, written))

    def _make(self, node: Node) -> None:
        function = node.func
        parts: Parts = {"function": f"{function.__module__}.{function.__qualname__}"}
        for name in node.inputs:
            if self._is_scratch(name):
                continue
            if name == "parameters":
                for block, value in self._parameters:
                    parts |= dict(leaves(f"{_PARAMETER}{block}", value))
            elif name.startswith(_PARAMETER):
                parts |= dict(leaves(name, self._parameter(name)))
            else:
                parts[self._label(name)] = self.of(name).digest
        self._known |= dict.fromkeys(map(self._key, node.outputs), Fingerprint.of(parts))

    @cached_property
    def _parameters(self) -> Parameters:
        return check_parameters(self.catalog.load("parameters"))

    def _parameter(self, name: str) -> Any:
        """As settings, which know what counts, also where a node takes a plain mapping."""
        if "parameters" not in self.catalog:
            return self.catalog.load(name)
        value: Any = self._parameters
        for part in name.removeprefix(_PARAMETER).split("."):
            value = getattr(value, part, None)
        return self.catalog.load(name) if value is None else value

    def _of_input(self, name: str) -> Fingerprint:
        dataset = self._dataset(name)
        if hasattr(dataset, "fingerprint"):
            return Fingerprint.of({"identity": dataset.fingerprint(self.digests)})
        location = self._location(name)
        if location is None or not location.exists():
            return Fingerprint.of({"identity": f"absent {name}"})
        record = read_record(location)
        if record is None or self._is_changed(name, location, record):
            return self._of_content(location)
        return record.fingerprint

    def _of_content(self, location: Path) -> Fingerprint:
        return Fingerprint.of({"content": self.digests.of(location)})

    def _is_changed(self, name: str, location: Path, record: Record) -> bool:
        if record.sha256 is None or self._checks_itself(name):
            return False
        return self.digests.of(location) != record.sha256

    def _change(self, name: str, record: Record, stale: Mapping[str, Change]) -> Change | None:
        before, now = record.fingerprint, self.of(name)
        if record.sha256 is None and not self._checks_itself(name):
            return Change((f"{name} was being saved when a run was killed",))
        if before.digest == now.digest:
            return None
        made_anew = {self._label(other): other for other in stale}
        old, new = before.parts, now.parts
        names = [n for n in sorted(old | new) if old.get(n, "absent") != new.get(n, "absent")]
        causes = (_difference(n, old, new) for n in names if n not in made_anew)
        return Change(tuple(causes), tuple(made_anew[n] for n in names if n in made_anew))

    def _key(self, name: str) -> str:
        """The file, where there is one: entries that read the same file are the same dataset."""
        location = self._location(name)
        return name if location is None else str(location)

    def _label(self, name: str) -> str:
        location = self._location(name)
        return f"{_DATASET}{name if location is None else location.stem}"

    def _checks_itself(self, name: str) -> bool:
        return hasattr(self._dataset(name), "expect_fingerprint")

    def _is_scratch(self, name: str) -> bool:
        dataset = self._dataset(name)
        return bool((getattr(dataset, "metadata", None) or {}).get("scratch"))

    def _dataset(self, name: str) -> Any:
        return self.catalog.get(name, fallback_to_runtime_pattern=True)

    def _location(self, name: str) -> Path | None:
        dataset = self._dataset(name)
        path = getattr(dataset, "path", None) or getattr(dataset, "_filepath", None)
        return None if path is None or self._is_scratch(name) else Path(str(path))


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A parameter as (name, value) of its parts, down through nested settings and mappings.

    Fields that only say how fast a result is made are left out, with all that is below them.
    """
    if isinstance(value, BaseModel):
        for field_name, info in type(value).model_fields.items():
            if counts(info):
                yield from leaves(f"{name}.{field_name}", getattr(value, field_name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(f"{name}.{key}", inner)
    else:
        yield name, value


def counts(field_info: FieldInfo) -> bool:
    """Whether another value of the field may give another result."""
    extra = field_info.json_schema_extra
    return not (isinstance(extra, Mapping) and extra.get("execution_only"))


def _difference(name: str, before: Parts, now: Parts) -> str:
    if not name.startswith(_PARAMETER):
        return f"{name.removeprefix(_DATASET)} is another one now"
    old, new = before.get(name, "absent"), now.get(name, "absent")
    return f"{_TOLD.sub('', name)}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
