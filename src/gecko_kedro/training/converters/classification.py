"""Classification as triples: an input, another of its class, and one of another class."""

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np

from gecko_kedro.corpus.values import is_missing
from gecko_kedro.training.converters.roles import (
    Aside,
    Example,
    RoleRow,
    UnfitRow,
    each,
    label_of,
)

ROLES = ("text", "label")
Separation = Literal["unique_id", "label_mask"]


def convert_classification(
    rows: Iterable[RoleRow], aside: Aside, *, seed: int, separation: Separation = "unique_id"
) -> list[Example]:
    """For each input x: x+, drawn among the others of its class, and x-, among all other classes.

    Source: Gecko, section 3.2. A positive of one row may be of the class of another, so that
    in-batch negatives would be false. ``"unique_id"``: one id, new for each row, is appended to x,
    x+ and x-, which makes all other rows of the batch trivially different and leaves x+ against x-
    as the signal; it is never there at inference. ``"label_mask"``: texts stay as they are and the
    row carries its class, for the loss to leave rows of the same class out (``masks.same_label``).

    Quarantined: ``no_text``, ``no_label``, ``text_is_no_text``, ``only_one_of_its_class``,
    ``only_one_class``. Identical texts are one input.
    """
    inputs: dict[str, tuple[str, RoleRow]] = {}

    def take(row: RoleRow) -> None:
        text = row.text("text")
        if is_missing(row.values.get("label")):
            raise UnfitRow("no_label")
        inputs.setdefault(text, (label_of(row.values["label"]), row))

    list(each(rows, aside, take))
    texts = list(inputs)
    classes = np.array([label for label, _ in inputs.values()], dtype=object)
    members = {label: np.flatnonzero(classes == label) for label in dict.fromkeys(classes)}
    random = np.random.default_rng(seed)
    made: list[Example] = []
    for i, (label, row) in enumerate(inputs.values()):
        if len(members[label]) == 1 or len(members) == 1:
            alone = len(members[label]) == 1
            reason = "only_one_of_its_class" if alone else "only_one_class"
            row.set_aside(aside, reason, f"class {label}")
            continue
        positive, negative = _another(members[label], i, random), _of_other(classes, label, random)
        own = f" {unique_id(seed, i)}" if separation == "unique_id" else ""
        query, same, other = (texts[j] + own for j in (i, positive, negative))
        negatives = [{"title": None, "text": other}]
        mask = label if separation == "label_mask" else None
        made.append({"query": query, "positive": same, "negatives": negatives, "label": mask})
    return made


def unique_id(seed: int, row: int) -> str:
    """Eight hexadecimal digits, the same for the same arguments."""
    return hashlib.sha256(f"{seed}:{row}".encode()).hexdigest()[:8]


def _another(members: np.ndarray, own: int, random: np.random.Generator) -> int:
    drawn = int(members[random.integers(len(members) - 1)])
    return int(members[-1]) if drawn == own else drawn


def _of_other(classes: np.ndarray, label: str, random: np.random.Generator) -> int:
    """A row of any other class, each row as likely as any; there is one."""
    while True:
        for drawn in random.integers(len(classes), size=8):
            if classes[drawn] != label:
                return int(drawn)
