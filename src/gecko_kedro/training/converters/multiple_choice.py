"""Multiple choice questions, as in MedMCQA."""

from collections.abc import Iterable, Mapping
from typing import Any

from gecko_kedro.corpus.values import as_text, is_missing
from gecko_kedro.training.converters.roles import (
    Converted,
    Negative,
    RoleRow,
    UnfitRow,
    example,
    text_of,
)

ROLES = ("question", "option_0", "option_1", "option_2", "option_3", "option_4", "answer",
         "explanation")  # fmt: skip


def convert_multiple_choice(rows: Iterable[RoleRow]) -> Converted:
    """The question, the right option with its explanation, and the wrong options as negatives.

    The paper does not say how it turned MedMCQA into its format; this is the plain way. Roles:
    question; option_0 to option_4, as many as there are; answer: the number of the right one, from
    0; explanation, which may be empty. Quarantined: ``no_question``, ``no_right_option`` (no
    number, or that of no option; MedMCQA's test split has -1), ``..._is_no_text``.
    """
    made = Converted()

    def one(row: RoleRow) -> None:
        question = text_of(row.values, "question")
        options = {
            role: text_of(row.values, role)
            for role in ROLES
            if role.startswith("option_") and not is_missing(row.values.get(role))
        }
        right = options.pop(f"option_{_number(row.values)}", None)
        if right is None:
            raise UnfitRow("no_right_option", f"answer {row.values.get('answer')!r}")
        explanation = (made.optional_text(row, "explanation") or "").strip()
        wrong: list[Negative] = [{"title": None, "text": option} for option in options.values()]
        positive = f"{right.strip()}. {explanation}" if explanation else right
        made.examples.append(example(question, positive, negatives=wrong))

    made.convert(rows, one)
    return made


def _number(values: Mapping[str, Any]) -> int:
    try:
        number = float(as_text(values.get("answer")) or "nan")
    except (TypeError, ValueError):
        return -1
    return int(number) if number.is_integer() else -1
