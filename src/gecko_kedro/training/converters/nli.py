"""Natural language inference: premise, entailment, contradiction."""

from collections.abc import Iterable

from gecko_kedro.training.converters.roles import (
    Converted,
    Negative,
    RoleRow,
    UnfitRow,
    example,
    same_label,
    text_of,
)

ROLES = ("premise", "hypothesis", "label")
# SNLI and MNLI write 0, 1, 2 and -1 where the annotators did not agree.
_ENTAILMENT, _NEUTRAL, _CONTRADICTION = ("entailment", 0), ("neutral", 1), ("contradiction", 2)


def convert_nli(rows: Iterable[RoleRow]) -> Converted:
    """Premise as the query, each entailment of it as a positive, its contradictions as negatives.

    The convention of SimCSE (arXiv 2104.08821). Gecko trains such sets in the symmetric form:
    declare the source ``symmetric``. Neutral hypotheses serve nothing and are left out; so is a
    premise that has no entailment. Quarantined: ``no_premise``, ``no_hypothesis``,
    ``..._is_no_text``, ``no_agreed_label`` (anything but the three labels).
    """
    made = Converted()
    entailed: dict[str, list[str]] = {}
    contradicted: dict[str, list[Negative]] = {}

    def one(row: RoleRow) -> None:
        label = row.values.get("label")
        premise, hypothesis = text_of(row.values, "premise"), text_of(row.values, "hypothesis")
        if same_label(label, _ENTAILMENT):
            entailed.setdefault(premise, []).append(hypothesis)
        elif same_label(label, _CONTRADICTION):
            negative: Negative = {"title": None, "text": hypothesis}
            contradicted.setdefault(premise, []).append(negative)
        elif not same_label(label, _NEUTRAL):
            raise UnfitRow("no_agreed_label", f"label {label!r}")

    made.convert(rows, one)
    for premise, hypotheses in entailed.items():
        negatives = contradicted.get(premise, [])
        made.examples += [
            example(premise, hypothesis, negatives=negatives)
            for hypothesis in dict.fromkeys(hypotheses)
        ]
    return made
