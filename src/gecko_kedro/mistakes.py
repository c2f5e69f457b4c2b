"""What is said of parameters that are wrong: every mistake at once, with the nearest right name."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.renamed import RENAMED


def wrong_values(where: str, error: ValidationError, known: type[BaseModel]) -> InputError:
    """All mistakes of ``error`` in one; ``known`` is the model with all names of parameters."""
    mistakes = [_explain(mistake, known) for mistake in error.errors()]
    return InputError(
        where,
        expected="known names and values within their bounds",
        got=Words("no valid parameters: " + "; ".join(text for text, _ in mistakes)),
        fix=" ".join(dict.fromkeys(fix for _, fix in mistakes)),
    )


def _explain(mistake: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    path = [str(part) for part in mistake["loc"]]
    name = ".".join(path)
    if name in RENAMED:
        return f"{name} is no parameter any more", new_name(name)
    if mistake["type"] == "extra_forbidden":
        known = _names_at(model, path[:-1])
        near = get_close_matches(path[-1], known, n=1, cutoff=0.5)
        here = (known[near[0]],) if near else dict.fromkeys(n.split(".")[0] for n in known.values())
        names = ", ".join(".".join([*path[:-1], one]) for one in here)
        return f"{name} is no parameter", f"Did you mean {names}?" if near else f"Known: {names}."
    if mistake["type"] == "missing":
        return f"{name} is missing", f"Set {name}."
    # A key that was put in the wrong place must not be shown.
    value = "(hidden)" if path[:2] == ["teacher", "http"] else repr(mistake["input"])
    return f"{name} = {value}: {mistake['msg']}", f"Correct {name}."


def new_name(old: str) -> str:
    """What to say of a name of earlier versions."""
    return f"{old} is now {RENAMED[old]}."


def _names_at(root: Any, path: Sequence[str]) -> dict[str, str]:
    """The last part of each name below ``path`` -> all of it from there on; the nearest first."""
    model = root
    for part in path:
        model = model.model_fields[part].annotation if _is_block(model) else None
    names = {name: name for name in model.model_fields} if _is_block(model) else {}
    for name in list(names):
        for last, inner in _names_at(root, [*path, name]).items():
            names.setdefault(last, f"{name}.{inner}")
    return names


def _is_block(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
