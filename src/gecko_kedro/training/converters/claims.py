"""Claims and the evidence that settles them, as in FEVER."""

from collections.abc import Iterable

from gecko_kedro.training.converters.pairs import convert_pairs
from gecko_kedro.training.converters.roles import Converted, RoleRow, same_label

ROLES = ("query", "positive", "positive_title", "negatives", "label")
_WITHOUT_EVIDENCE = ("not enough info", "not_enough_info", "nei", "")


def convert_claims(rows: Iterable[RoleRow]) -> Converted:
    """A claim and a passage that allows to check whether it is true or not.

    Roles as in ``convert_pairs``, query being the claim and positive the evidence, and label.
    Evidence that refutes is as good a positive as one that supports. Quarantined besides:
    ``no_evidence``, where the label says "not enough info".
    """
    settled, unsettled = [], Converted()
    for row in rows:
        if "label" in row.values and same_label(row.values["label"], _WITHOUT_EVIDENCE):
            unsettled.set_aside(row, "no_evidence", f"label {row.values['label']}")
        else:
            settled.append(row)
    made = convert_pairs(settled)
    return Converted(made.examples, made.quarantined + unsettled.quarantined)
