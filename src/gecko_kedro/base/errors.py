"""The one error for bad input: it says where, what was expected, what came and what to do."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LONGEST_VALUE = 200


class Words(str):
    """Words of our own in the place of a value, such as "no such file": shown without quotes."""


class InputError(ValueError):
    """Input from outside (a file, a parameter, a reply) that cannot be used.

    The message always has the four parts. ``got`` is shown with ``repr`` and cut to 200 characters,
    but for ``Words``, which are shown as they are.
    """

    def __init__(self, where: str, *, expected: str, got: object, fix: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {_shown(got)}. {fix}")
        self.where, self.expected, self.got, self.fix = where, expected, got, fix

    def __reduce__(self) -> tuple[Any, ...]:
        """For the way from one process to another; ``got`` arrives as it is shown."""
        return error_again, (self.parts(), type(self))

    def parts(self) -> dict[str, str]:
        """All of it as plain text, for ``error_again``."""
        return {
            "text": str(self), "where": self.where, "expected": self.expected,
            "got": _shown(self.got), "fix": self.fix,
        }  # fmt: skip


def error_again(parts: Mapping[str, str], kind: type[InputError] = InputError) -> InputError:
    """The error that gave these ``parts``, maybe in another process; ``got`` is as it was shown."""
    error = kind.__new__(kind, parts["text"])
    error.where, error.expected = parts["where"], parts["expected"]
    error.got, error.fix = Words(parts["got"]), parts["fix"]
    return error


def _shown(value: object) -> str:
    if isinstance(value, Words):
        return value
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def write_error(path: Path, error: BaseException) -> InputError:
    """What to raise where ``path`` could not be written: it names the file and the free space."""
    return InputError(
        f"{path} ({free_space(path)} free)",
        expected="a folder with free space that can be written to",
        got=str(error),
        fix="Free some space or change the permissions, then run again: finished work is kept.",
    )


def free_space(path: Path) -> str:
    """Bytes free on the disk of ``path``, which need not exist, as "1.5 GB"."""
    for place in (path, *path.absolute().parents):
        try:
            return f"{shutil.disk_usage(place).free / 1e9:.3g} GB"
        except OSError:  # not there yet: its parent tells
            continue
    return "unknown"
