"""Overrides by dotted names: they replace what is there and never add anything."""

from typing import Any

import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.overrides import with_overrides

VALUES: dict[str, Any] = {
    "relabel": {"positive": "relabelled", "rankers": ["relevance"]},
    "finetune": {"rates": {"fret": 1.0}, "sources": [{"rate": 1.0}, {"rate": 0.5}]},
}


def test_a_dotted_name_replaces_one_value_and_leaves_the_original_alone() -> None:
    changed = with_overrides(VALUES, {"relabel.positive": "seed"}, where="here")
    assert changed["relabel"] == {"positive": "seed", "rankers": ["relevance"]}
    assert VALUES["relabel"]["positive"] == "relabelled"


def test_every_stands_for_each_element_of_a_list() -> None:
    changed = with_overrides(VALUES, {"finetune.sources.every.rate": 2}, where="here")
    assert changed["finetune"]["sources"] == [{"rate": 2}, {"rate": 2}]


def test_every_element_of_an_empty_list_is_nothing() -> None:
    values = {"sources": []}
    assert with_overrides(values, {"sources.every.rate": 2}, where="here") == values


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("relabel.positiv", "Did you mean positive?"),
        ("pretrain.max_pairs", "Known there: relabel, finetune."),
        ("finetune.sources.every.rates", "Did you mean rate?"),
        ("finetune.rates.fret.share", "no group of parameters"),
        ("relabel.rankers.every", "no group of parameters"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(InputError, match="here") as error:
        with_overrides(VALUES, {name: 1}, where="here")
    assert name in str(error.value)
    assert hint in str(error.value)
