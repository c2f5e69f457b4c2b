"""What every batch plan must hold, whatever the rows."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.training.mixture import BatchPlan, mix_examples, plan_batches, text_ids
from tests.support.example_rows import example, table


def rows_table(rows: list[tuple[str, str, str, str | None]]) -> pl.DataFrame:
    return table(
        *(
            example(
                dataset=dataset,
                query=query,
                positive=positive,
                negatives=[] if negative is None else [negative],
            )
            for dataset, query, positive, negative in rows
        )
    )


def pairs_of(batch: pl.DataFrame) -> list[str]:
    return [*batch["query"], *batch["positive"]]


def negatives_of(batch: pl.DataFrame) -> list[str]:
    return [x["text"] for row in batch["negatives"].to_list() for x in row]


# Few different texts, so that they repeat often.
few_texts = st.integers(0, 12).map(lambda number: "x" * (number % 5) + f" {number}")
tables = st.lists(
    st.tuples(
        st.sampled_from(["one", "two"]),
        few_texts.map("q{}".format),
        few_texts.map("p{}".format),
        st.none() | few_texts.map("n{}".format) | few_texts.map("p{}".format),
    ),
    min_size=1,
    max_size=60,
).map(
    lambda rows: rows_table([row for row in rows if row[2] != row[3]] or [("one", "q", "p", None)])
)


def plan(examples: pl.DataFrame, **changes: int | None) -> BatchPlan:
    arguments = {"batch_size": 5, "epochs": 1, "max_steps": None, "seed": 0} | changes
    return plan_batches(examples, **arguments)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 9), st.integers(0, 3))
def test_a_batch_is_of_one_set_and_repeats_no_query_or_positive(
    examples: pl.DataFrame, batch_size: int, seed: int
) -> None:
    for rows in plan(examples, batch_size=batch_size, seed=seed).batches:
        batch = examples[rows]
        assert 1 <= batch.height <= batch_size
        assert batch["dataset"].n_unique() == 1
        assert max(Counter(pairs_of(batch)).values()) == 1
        assert not {*pairs_of(batch)} & {*negatives_of(batch)}


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 9))
def test_every_row_is_seen_once_an_epoch_but_for_those_counted(
    examples: pl.DataFrame, batch_size: int
) -> None:
    planned = plan(examples, batch_size=batch_size)
    seen = np.concatenate(planned.batches)
    assert len(set(seen.tolist())) == len(seen) == examples.height - planned.left_out
    if batch_size == 1:
        return
    missing = set(range(examples.height)) - set(seen.tolist())
    assert all(examples["negatives"][row].is_empty() for row in missing)


@given(tables)
@settings(max_examples=20, deadline=None)
def test_the_plan_is_a_function_of_its_arguments(examples: pl.DataFrame) -> None:
    first, second = plan(examples, epochs=2), plan(examples, epochs=2)
    assert [rows.tolist() for rows in first.batches] == [rows.tolist() for rows in second.batches]


def distinct(rows: int, dataset: str = "one") -> pl.DataFrame:
    return rows_table([(dataset, f"q{i}", f"p{i} " + "x" * i, None) for i in range(rows)])


def test_epochs_are_in_different_orders_and_counted_by_steps() -> None:
    planned = plan(distinct(20), epochs=3)
    assert planned.epoch_ends == (4, 8, 12)
    assert [planned.epoch(step) for step in (0, 2, 4, 12)] == [0, 0.5, 1, 3]
    epochs = [np.concatenate(planned.batches[start : start + 4]) for start in (0, 4, 8)]
    assert all(sorted(rows.tolist()) == list(range(20)) for rows in epochs)
    assert len({tuple(rows.tolist()) for rows in epochs}) == 3


def test_seeds_give_different_orders() -> None:
    one, two = plan(distinct(20), seed=1), plan(distinct(20), seed=2)
    assert [rows.tolist() for rows in one.batches] != [rows.tolist() for rows in two.batches]


def test_max_steps_cuts_the_plan_and_needs_no_more_epochs() -> None:
    planned = plan(distinct(20), epochs=10**9, max_steps=6)
    assert len(planned.batches) == 6
    assert planned.epoch(6) == 1.5


def test_rows_that_all_share_a_passage_are_left_out_unless_they_have_a_negative() -> None:
    alike = rows_table([("one", f"q{i}", "the passage", None) for i in range(200)])
    planned = plan(alike)
    assert (len(planned.batches), planned.left_out) == (1, 199)
    taught = rows_table([("one", f"q{i}", "the passage", f"n{i}") for i in range(200)])
    planned = plan(taught)
    assert (len(planned.batches), planned.left_out) == (200, 0)


def test_rows_of_one_hard_negative_share_a_batch() -> None:
    last_of_all = rows_table([("one", f"q{i}", f"p{i}", "the negative") for i in range(20)])
    assert [len(rows) for rows in plan(last_of_all).batches] == [5, 5, 5, 5]


def test_a_negative_that_is_another_row_s_positive_keeps_the_rows_apart() -> None:
    crossed = rows_table([("one", "q1", "p1", "p2"), ("one", "q2", "p2", "n")])
    assert [len(rows) for rows in plan(crossed).batches] == [1, 1]


def test_texts_are_the_same_but_for_case_and_blanks() -> None:
    ids = text_ids(rows_table([("a", "One", "two", None), ("a", " one ", "ONE", "Two")]))
    assert ids.query[0] == ids.query[1] == ids.positive[1]
    assert [ids.positive[0]] == ids.negatives[1]
    assert ids.positive[0] != ids.query[0]
    assert ids.negatives[0] == []


def test_a_query_with_several_positives_knows_them_all() -> None:
    ids = text_ids(rows_table([("a", "q", "one", None), ("a", "r", "one", None),
                               ("a", "Q", "two", None), ("b", "q", "two", "one")]))  # fmt: skip
    both = sorted({*ids.positive.tolist()})
    assert [sorted(known) for known in ids.known] == [both, [], both, both]


@pytest.mark.parametrize(("rate", "rows"), [(0, 0), (0.25, 3), (1, 12), (2.5, 30)])
def test_a_rate_is_how_often_a_row_is_seen(rate: float, rows: int) -> None:
    mixed = mix_examples({"one": distinct(12), "two": distinct(4)}, {"one": rate, "two": 0}, 3)
    assert mixed.height == rows
    times = Counter(mixed["query"].to_list()).values()
    assert all(int(rate) <= count <= int(rate) + 1 for count in times)


def test_mixing_is_deterministic_and_depends_on_the_seed() -> None:
    sets = {"one": distinct(50), "two": distinct(50, "two")}
    rates = {"one": 0.5, "two": 0.3}
    assert mix_examples(sets, rates, 1).equals(mix_examples(sets, rates, 1))
    assert not mix_examples(sets, rates, 1).equals(mix_examples(sets, rates, 2))


@pytest.mark.parametrize("rates", [{}, {"one": 1, "other": 1}, {"one": -1}])
def test_rates_must_name_the_sets(rates: dict[str, float]) -> None:
    with pytest.raises(InputError, match="mixture rates"):
        mix_examples({"one": distinct(3)}, rates, 0)
