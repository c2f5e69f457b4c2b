"""What makes examples of the rows of each shape of training set."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np

from gecko_kedro.corpus.values import is_missing
from gecko_kedro.training.converters.roles import (
    Aside,
    Example,
    Passage,
    RoleRow,
    UnfitRow,
    each,
    label_of,
    same_label,
)

Separation = Literal["unique_id", "label_mask"]
_OPTIONS = tuple(f"option_{number}" for number in range(5))
_WITHOUT_EVIDENCE = ("not enough info", "not_enough_info", "nei", "")
# SNLI and MNLI write 0, 1, 2 and -1 where the annotators did not agree.
_ENTAILMENT, _NEUTRAL, _CONTRADICTION = ("entailment", 0), ("neutral", 1), ("contradiction", 2)


def convert_pairs(rows: Iterable[RoleRow], aside: Aside) -> list[Example]:
    """One example for each positive of a row; all share the row's negatives.

    Roles: query; positive: a text, a record of ``title`` and ``text`` or a list of either (MIRACL's
    ``positive_passages``); negatives: the same; positive_title: where the positive is a text.
    Quarantined: ``no_query``, ``no_positive``, ``..._is_no_text`` (of a
    title: the row is kept without it).
    """

    def pairs(row: RoleRow) -> list[Example]:
        query, positives = row.text("query"), row.passages("positive")
        shared = {"query": query, "negatives": row.passages("negatives")}
        if not positives:
            raise UnfitRow("no_positive")
        given = row.optional_text("positive_title", aside)
        return [
            {**shared, "positive": own["text"], "positive_title": own["title"] or given}
            for own in positives
        ]

    return list(chain.from_iterable(each(rows, aside, pairs)))


def convert_claims(rows: Iterable[RoleRow], aside: Aside) -> list[Example]:
    """A claim and a passage that allows to check whether it is true or not, as in FEVER.

    Roles as in ``convert_pairs``, query being the claim and positive the evidence, and label.
    Evidence that refutes is as good a positive as one that supports. Quarantined besides:
    ``no_evidence``, where the label says "not enough info".
    """

    def settled(row: RoleRow) -> RoleRow:
        if "label" in row.values and same_label(row.values["label"], _WITHOUT_EVIDENCE):
            raise UnfitRow("no_evidence", f"label {row.values['label']}")
        return row

    return convert_pairs(each(rows, aside, settled), aside)


def convert_nli(rows: Iterable[RoleRow], aside: Aside) -> list[Example]:
    """Premise as the query, each entailment of it as a positive, its contradictions as negatives.

    The convention of SimCSE (arXiv 2104.08821). Gecko trains such sets in the symmetric form:
    declare the source ``symmetric``. Neutral hypotheses serve nothing and are left out; so is a
    premise that has no entailment. Quarantined: ``no_premise``, ``no_hypothesis``,
    ``..._is_no_text``, ``no_agreed_label`` (anything but the three labels).
    """
    entailed: dict[str, dict[str, None]] = defaultdict(dict)  # an ordered set of each premise
    contradicted: dict[str, list[Passage]] = defaultdict(list)

    def take(row: RoleRow) -> None:
        label, premise = row.values.get("label"), row.text("premise")
        hypothesis = row.text("hypothesis")
        if same_label(label, _ENTAILMENT):
            entailed[premise][hypothesis] = None
        elif same_label(label, _CONTRADICTION):
            contradicted[premise].append({"title": None, "text": hypothesis})
        elif not same_label(label, _NEUTRAL):
            raise UnfitRow("no_agreed_label", f"label {label!r}")

    list(each(rows, aside, take))
    return [
        {"query": premise, "positive": hypothesis, "negatives": contradicted[premise]}
        for premise, hypotheses in entailed.items()
        for hypothesis in hypotheses
    ]


def convert_multiple_choice(rows: Iterable[RoleRow], aside: Aside) -> list[Example]:
    """The question, the right option with its explanation, and the wrong options as negatives.

    The paper does not say how it turned MedMCQA into its format; this is the plain way. Roles:
    question; option_0 to option_4, as many as there are; answer: the number of the right one, from
    0; explanation, which may be empty. Quarantined: ``no_question``, ``no_right_option`` (no
    number, or that of no option; MedMCQA's test split has -1), ``..._is_no_text``.
    """

    def choice(row: RoleRow) -> Example:
        question, values = row.text("question"), row.values
        options = {role: row.text(role) for role in _OPTIONS if not is_missing(values.get(role))}
        right = options.pop(f"option_{_number(values.get('answer'))}", None)
        if right is None:
            raise UnfitRow("no_right_option", f"answer {values.get('answer')!r}")
        explanation = (row.optional_text("explanation", aside) or "").strip()
        return {
            "query": question,
            "positive": f"{right.strip()}. {explanation}" if explanation else right,
            "negatives": [{"title": None, "text": option} for option in options.values()],
        }

    return list(each(rows, aside, choice))


def _number(answer: Any) -> int:
    try:
        number = float(label_of(answer) or "nan")
    except ValueError:
        return -1
    return int(number) if number.is_integer() else -1


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


class Converter(NamedTuple):
    """What makes examples of rows, the roles that columns may have, and the one that is needed."""

    convert: Callable[..., list[Example]]
    roles: tuple[str, ...]
    required: str


_PAIR = ("query", "positive", "positive_title", "negatives")
CONVERTERS = {
    "pairs": Converter(convert_pairs, _PAIR, "query"),
    "claims": Converter(convert_claims, (*_PAIR, "label"), "query"),
    "nli": Converter(convert_nli, ("premise", "hypothesis", "label"), "premise"),
    "classification": Converter(convert_classification, ("text", "label"), "text"),
    "multiple_choice": Converter(
        convert_multiple_choice, ("question", *_OPTIONS, "answer", "explanation"), "question"
    ),
}
