"""What each query is to be like: shares, repeatability, lengths that suit the task."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from gecko_kedro.base.errors import InputError
from gecko_kedro.fret import Prompts, Shares
from gecko_kedro.fret.controls import length_of

INVENTORY = Prompts.model_validate(
    yaml.safe_load(
        (Path(__file__).resolve().parents[2] / "conf" / "prompts" / "gecko.yml").read_text("utf-8")
    )
).synthesis.inventory
SHARES = Shares(
    task={"question answering": 3, "keyword search": 1, "fact checking": 0},
    length={"keywords": 1, "short": 1, "sentence": 3},
    difficulty={"easy": 1, "hard": 1},
)
IDS = [f"p{n // 2}?{n % 2}" for n in range(4_000)]


def test_the_shares_are_kept_and_a_share_of_zero_is_never_drawn() -> None:
    drawn = Counter(INVENTORY.draw(query_id, SHARES, seed=1).task for query_id in IDS)
    assert set(drawn) == {"question answering", "keyword search"}
    assert drawn["question answering"] / len(IDS) == pytest.approx(0.75, abs=0.03)


def test_a_length_suits_its_task_and_keeps_its_proportion_there() -> None:
    drawn = [INVENTORY.draw(query_id, SHARES, seed=1) for query_id in IDS]
    assert all(str(w.length) in INVENTORY.task[str(w.task)].lengths for w in drawn)
    lengths = Counter(w.length for w in drawn if w.task == "question answering")
    assert lengths["sentence"] / lengths["short"] == pytest.approx(3, rel=0.15)
    only = SHARES.model_copy(update={"length": {"sentence": 1.0}})
    assert {INVENTORY.draw(i, only, seed=1).length for i in IDS if "p1?" in i} <= {
        "sentence", "keywords",
    }  # fmt: skip


def test_a_draw_depends_on_the_query_and_the_seed_only() -> None:
    first = [INVENTORY.draw(query_id, SHARES, seed=1) for query_id in IDS]
    backwards = [INVENTORY.draw(query_id, SHARES, seed=1) for query_id in reversed(IDS)]
    assert first == backwards[::-1]
    assert first != [INVENTORY.draw(query_id, SHARES, seed=2) for query_id in IDS]


def test_axes_are_drawn_independently() -> None:
    drawn = [INVENTORY.draw(query_id, SHARES, seed=1) for query_id in IDS]
    hard = [w for w in drawn if w.difficulty == "hard"]
    share = sum(w.task == "keyword search" for w in hard) / len(hard)
    assert share == pytest.approx(0.25, abs=0.04)


def test_an_axis_without_shares_is_left_to_the_teacher() -> None:
    wanted = INVENTORY.draw("p?0", Shares(), seed=1)
    assert (wanted.task, wanted.length, wanted.difficulty) == (None, None, None)


@pytest.mark.parametrize(
    "wrong", [{"task": {"poem": 1}}, {"length": {"short": 0}}, {"difficulty": {"odd": 1}}]
)
def test_shares_that_the_inventory_does_not_know_are_refused(wrong: dict[str, object]) -> None:
    shares = Shares.model_validate({"task": {}, "length": {}, "difficulty": {}} | wrong)
    with pytest.raises(InputError, match=r"synthesize\.write\.shares\." + next(iter(wrong))):
        INVENTORY.check(shares)


@pytest.mark.parametrize(
    ("query", "length"),
    [
        ("dough yeast", "keywords"),
        ("what is yeast", "short"),
        ("Why?", "short"),
        ("Yeast makes gas.", "sentence"),
        ("one two three four five six seven eight nine", "sentence"),
        ("为什么面包会膨胀\uff1f", "short"),
        ("", "keywords"),
    ],
)
def test_lengths_are_told_by_words_and_punctuation(query: str, length: str) -> None:
    assert length_of(query) == length
