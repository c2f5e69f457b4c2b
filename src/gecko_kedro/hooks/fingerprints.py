"""What each dataset was made from, and whether that still holds.

Kedro's ``--only-missing-outputs`` asks only whether an output exists. A changed parameter, prompt
or corpus would go unnoticed, and a run would report success on stale data. So every persisted
output has a *fingerprint*: a digest over its node's function, its node's parameters and the
fingerprints of its node's inputs. It is kept beside the output together with the parts it was made
of, so that a message can name what changed, and with the SHA-256 of the file.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import atomic_path

logger = logging.getLogger(__name__)
_LARGEST_HASHED_FILE = 256 * 2**20
Parts = dict[str, Any]


@dataclass(frozen=True)
class Fingerprint:
    """A digest and what it was made of (``params:mine.search.n_candidates`` -> 20, ...)."""

    digest: str
    parts: Parts


@dataclass(frozen=True)
class Change:
    """One dataset that was made from something else than what the run would make it from."""

    dataset: str
    location: str
    differences: tuple[str, ...]


@dataclass
class Fingerprints:
    """The fingerprints of all datasets of ``pipeline``, as its next run would make them.

    ``catalog`` is Kedro's catalog. Inputs that no node makes are identified by their dataset's own
    ``fingerprint()`` where it has one, else by the content of their file.
    """

    pipeline: Pipeline
    catalog: Any
    _known: dict[str, Fingerprint] = field(default_factory=dict)
    _checked: dict[Path, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.pipeline.nodes:  # in topological order
            made = self._of_node(node)
            for output in node.outputs:
                self._known[_own_name(output)] = made

    def of(self, dataset: str) -> Fingerprint:
        """The fingerprint that ``dataset`` has, or will have once its node has run."""
        name = _own_name(dataset)
        if name not in self._known:
            self._known[name] = self._of_input(dataset)
        return self._known[name]

    def announce(self) -> None:
        """Tell the datasets that keep partial work which fingerprint it has to have."""
        for name in self.pipeline.datasets():
            dataset = self._dataset(name)
            if hasattr(dataset, "expect_fingerprint"):
                dataset.expect_fingerprint(self.of(getattr(dataset, "of", name)).digest)

    def changes(self) -> list[Change]:
        """Persisted outputs that exist and were made from something else, first causes first.

        An output without a record, or newer than its record, was put there from elsewhere: it
        counts as an input, and what follows from it is compared against it.
        """
        found = []
        for node in self.pipeline.nodes:
            for name in node.outputs:
                location = self._location(name)
                if location is None or not self._dataset(name).exists():
                    continue
                record = read_record(location)
                if record is None:
                    self._replace_by_file(name, node)
                    continue
                if record.digest != self.of(name).digest:
                    differences = tuple(_differences(record.parts, self.of(name).parts))
                    found.append(Change(name, str(location), differences))
        return found

    def record(self, dataset: str) -> None:
        """Write the fingerprint of the just saved ``dataset`` beside it."""
        location = self._location(dataset)
        if location is not None:
            write_record(location, self.of(dataset))

    def refuse_damaged(self, dataset: str) -> None:
        """Raise InputError where the file of ``dataset`` is not what was written, and by nobody.

        Its bytes differ from those of its record while its size and time of change do not: no edit
        does that, but a failing disk. Each file is read for it once in a run.
        """
        location = self._location(dataset)
        if location is None or not location.is_file():
            return
        stamp = _stamp(location)
        if self._checked.get(location) == stamp:
            return
        record = _read(location)
        written = record.get("sha256")
        if written and record["made"] == stamp and (found := _sha256(location)) != written:
            raise InputError(
                f"dataset {dataset!r} ({location})",
                expected=f"the file that was written, SHA-256 {written}",
                got=found,
                fix="It is damaged: delete it and run again to make it anew, and look at the disk.",
            )
        self._checked[location] = stamp

    def _of_node(self, node: Node) -> Fingerprint:
        function = node.func
        parts: Parts = {"function": f"{function.__module__}.{function.__qualname__}"}
        for name in node.inputs:
            if name.startswith("params:"):
                parts |= dict(_flatten(name, _plain(self.catalog.load(name))))
            elif name != "parameters" and not self._is_scratch(name):  # all of them: only shown
                parts[f"dataset {_own_name(name)}"] = self.of(name).digest
        return _fingerprint(parts)

    def _of_input(self, name: str) -> Fingerprint:
        dataset = self._dataset(name)
        if hasattr(dataset, "fingerprint"):
            return _fingerprint({"identity": dataset.fingerprint()})
        location = self._location(name)
        if location is None or not location.exists():
            return _fingerprint({"identity": f"absent {name}"})
        record = read_record(location)
        return record or _fingerprint({"content": _content_digest(location)})

    def _replace_by_file(self, name: str, node: Node) -> None:
        location = self._location(name)
        if location is None:
            return
        self._known[_own_name(name)] = _fingerprint({"content": _content_digest(location)})
        for later in self.pipeline.from_nodes(node.name).nodes:
            if later is not node:
                made = self._of_node(later)
                self._known |= {_own_name(output): made for output in later.outputs}

    def _is_scratch(self, name: str) -> bool:
        dataset = self._dataset(name)
        return bool((getattr(dataset, "metadata", None) or {}).get("scratch"))

    def _dataset(self, name: str) -> Any:
        return self.catalog.get(name, fallback_to_runtime_pattern=True)

    def _location(self, name: str) -> Path | None:
        dataset = self._dataset(name)
        path = getattr(dataset, "path", None) or getattr(dataset, "_filepath", None)
        return None if path is None or self._is_scratch(name) else Path(str(path))


def _own_name(dataset: str) -> str:
    """Without Kedro's ``@scan``, ``@table``: ways to read one and the same dataset."""
    return dataset.partition("@")[0]


def _record_file(location: Path) -> Path:
    return location.with_name(f".{location.name}.fingerprint.json")


def write_record(location: Path, fingerprint: Fingerprint) -> None:
    """Keep ``fingerprint`` beside ``location``, with the output's own size, time and SHA-256."""
    content = {
        "digest": fingerprint.digest,
        "parts": fingerprint.parts,
        "made": _stamp(location),
        "sha256": _sha256(location) if location.is_file() else None,
    }
    with atomic_path(_record_file(location)) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True), "utf-8")


def read_record(location: Path) -> Fingerprint | None:
    """The fingerprint kept beside ``location``; None without one or after a change by hand."""
    content = _read(location)
    if not content or not _is_as_written(location, content):
        return None
    return Fingerprint(content["digest"], content["parts"])


def _read(location: Path) -> dict[str, Any]:
    """The record beside ``location``; empty without a readable one."""
    file = _record_file(location)
    if not file.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
        Fingerprint(content["digest"], content["parts"])
        _ = content["made"]
    except (ValueError, LookupError, TypeError):
        logger.warning("%s cannot be read: %s counts as put there by hand", file, location)
        return {}
    return content


def _is_as_written(location: Path, record: Mapping[str, Any]) -> bool:
    """By size and time; where only the time differs (a copy, a backup), by content."""
    size, time = _stamp(location)
    if record["made"] == [size, time]:
        return True
    written = record.get("sha256")
    return bool(written) and record["made"][0] == size and _sha256(location) == written


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _stamp(location: Path) -> list[int]:
    """Size and time of a file; a folder is only ever replaced as a whole, by its own dataset."""
    if location.is_dir():
        return [0, 0]
    status = location.stat()
    return [status.st_size, status.st_mtime_ns]


def _content_digest(location: Path) -> str:
    files = sorted(location.rglob("*")) if location.is_dir() else [location]
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file() or file.name.startswith("."):
            continue
        digest.update(file.name.encode())
        if file.stat().st_size > _LARGEST_HASHED_FILE:  # minutes of reading: size and time do
            digest.update(str(_stamp(file)).encode())
            continue
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _fingerprint(parts: Parts) -> Fingerprint:
    text = json.dumps(parts, sort_keys=True, default=str)
    return Fingerprint(hashlib.sha256(text.encode()).hexdigest(), json.loads(text))


def _plain(value: Any) -> Any:
    """A parameter as plain data, without the fields that only say how fast a result is made."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if not isinstance(value, BaseModel):
        return value
    plain = {}
    for name, info in type(value).model_fields.items():
        extra = info.json_schema_extra
        if not (isinstance(extra, Mapping) and extra.get("execution_only")):
            plain[name] = _plain(getattr(value, name))
    return plain


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def _differences(before: Parts, now: Parts) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, "absent"), now.get(name, "absent")
        if old == new:
            continue
        if name.startswith("params:"):
            yield f"{name.removeprefix('params:')}: {old!r} -> {new!r}"
        else:
            yield f"{name} is another one now"
