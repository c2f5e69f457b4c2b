"""Changed copies of nested parameters, by dotted names."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from gecko_kedro.base.errors import InputError

EVERY = "every"  # in a name: each element of a list; MLflow takes no "*" in the name of a parameter


def with_overrides(
    values: Mapping[str, Any], overrides: Mapping[str, Any], *, where: str
) -> dict[str, Any]:
    """A copy of ``values`` in which ``overrides`` replace what is there.

    ``{"relabel.fuse.k": 60}`` sets ``values["relabel"]["fuse"]["k"]``, and
    ``finetune.sources.every.rate`` that of each source. Nothing is ever added: a name that does not
    exist raises InputError with the nearest one that does. ``where`` is for the message.
    """
    changed = deepcopy(dict(values))
    for name, value in overrides.items():
        for place, key in _places(changed, name.split("."), name=name, where=where):
            place[key] = deepcopy(value)
    return changed


def _places(
    values: Any, parts: Sequence[str], *, name: str, where: str
) -> Iterator[tuple[dict[str, Any], str]]:
    head, *rest = parts
    if head == EVERY and rest and isinstance(values, Sequence) and not isinstance(values, str):
        for element in values:
            yield from _places(element, rest, name=name, where=where)
        return
    if not isinstance(values, dict) or head not in values:
        raise InputError(
            where,
            expected="names of parameters that exist here",
            got=name,
            fix=_hint(head, list(values) if isinstance(values, dict) else []),
        )
    if rest:
        yield from _places(values[head], rest, name=name, where=where)
    else:
        yield values, head


def _hint(wrong: str, known: list[str]) -> str:
    if not known:
        return f"Nothing is called {wrong} there: it is no group of parameters."
    near = get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known there: {', '.join(known)}."
