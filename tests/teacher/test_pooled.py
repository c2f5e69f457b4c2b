"""A teacher of several workers answers as one does, and no reply is lost to an error."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gecko_kedro.base.errors import InputError
from gecko_kedro.engine import LocalEngine
from gecko_kedro.teacher import (
    Generation,
    Prompt,
    ResponseStore,
    Teacher,
    TeacherSettings,
    build_teacher,
)
from gecko_kedro.teacher.pooled import PooledTeacher, TeacherWorker
from gecko_kedro.teacher.protocol import OnReplies, TeacherError
from gecko_kedro.teacher.stored_teacher import StoredTeacher
from gecko_kedro.teacher.usage import Budget
from tests.support.clusters import SeveralLocal
from tests.support.tiny_llm import save_tiny_llm
from tests.teacher.test_store import Counting, prompts

BASE = Path(__file__).parents[2] / "conf/base/parameters/teacher.yml"
TEXTS = [f"Text {n}: yeast feeds on sugar and makes the dough of bread swell." for n in range(11)]
LABELS = [" 0", " 1", " 2"]


def pool(make: Any, *, workers: int = 3, calls_at_once: int | None = 4) -> PooledTeacher:
    held = LocalEngine().hold([partial(TeacherWorker, make)] * workers, role="teacher")
    return PooledTeacher(held, calls_at_once=calls_at_once)


def asked(teacher: Teacher) -> list[list[Any]]:
    passages = [Prompt(text, {"passage": text, "query": "swell", "title": ""}) for text in TEXTS]
    return [
        teacher.truncate(TEXTS, 5),
        teacher.generate(passages, temperature=0.7, top_p=0.9, seed=3),
        teacher.query_log_likelihood(passages, [f" bread {n}" for n in range(len(TEXTS))]),
        teacher.label_log_likelihood(passages, LABELS),
    ]


@pytest.mark.parametrize("calls_at_once", [1, 4, 100, None])
def test_the_order_is_that_of_the_prompts(calls_at_once: int | None) -> None:
    assert asked(pool(Counting, calls_at_once=calls_at_once)) == asked(Counting())


@pytest.mark.parametrize("backend", ["lexical", "transformers"])
def test_a_built_teacher_is_the_same_one_behind_a_pool(tmp_path: Path, backend: str) -> None:
    content = yaml.safe_load(BASE.read_text("utf-8"))["teacher"]
    content["backend"] = backend
    content["model"] |= {"max_new_tokens": 8, "dtype": "float32"}
    if backend == "transformers":
        content["model"]["name"] = str(save_tiny_llm(tmp_path / "model"))
    settings = TeacherSettings.model_validate(content)
    alone, pooled = (
        build_teacher(
            settings, texts=TEXTS, store=tmp_path / name, calls=["generate"], engine=engine
        )
        for name, engine in (("alone", None), ("pooled", SeveralLocal(2, calls_at_once=3)))
    )  # fmt: skip
    assert pooled.identity == alone.identity
    cut, written, queries, labels = asked(alone)
    again = asked(pooled)
    assert again[:2] == [cut, written]
    scores = [[one.log_likelihood for one in replies] for replies in (queries, again[2])]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-4)  # batches differ
    grades = [[one.log_likelihoods for one in replies] for replies in (labels, again[3])]
    np.testing.assert_allclose(grades[1], grades[0], atol=1e-4)
    if backend == "lexical":
        assert again == [cut, written, queries, labels]
    for teacher in (alone, pooled):
        teacher.close()


class Streaming(Counting):
    """Answers one by one, and fails at one prompt for good."""

    on_replies: OnReplies | None = None

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        made = []
        for row, prompt in enumerate(prompts):
            if prompt.text == "bad":
                raise TeacherError("prompt", expected="a reply", got="no reply", fix="Look.")
            made += super().generate([prompt], **options)
            if self.on_replies is not None:
                self.on_replies({row: made[-1]})
        return made


def kept(folder: Path) -> int:
    with ResponseStore(folder / "replies.sqlite") as store:
        return len(store)


def test_replies_before_an_error_are_stored_and_nothing_more_is_asked(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "replies.sqlite")
    teacher = StoredTeacher(pool(Streaming, workers=1), store, batch_size=100)
    texts = [*"abcdef", "bad", *"ghijklmn"]
    with pytest.raises(TeacherError, match="prompt: expected a reply, got 'no reply'"):
        teacher.generate(prompts(*texts), temperature=0.0, top_p=1.0, seed=0)
    teacher.close()
    assert kept(tmp_path) == 6  # those of the first part, and of the second before the bad one


def test_a_spent_budget_ends_the_work_and_keeps_what_was_paid_for(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "replies.sqlite")
    teacher = StoredTeacher(
        pool(Counting, calls_at_once=4), store, batch_size=100,
        budget=Budget(max_tokens_total=5, max_cost=None),
    )  # fmt: skip
    with pytest.raises(InputError, match="budget"):
        teacher.generate(prompts(*"abcdefghijkl"), temperature=0.0, top_p=1.0, seed=0)
    teacher.close()
    assert kept(tmp_path) == 4  # the whole part was paid for


def test_workers_with_different_models_are_refused() -> None:
    class Other(Counting):
        identity = "counting v2"

    held = LocalEngine().hold(
        [partial(TeacherWorker, Counting), partial(TeacherWorker, Other)], role="teacher"
    )
    with pytest.raises(InputError, match="the same backend, model and versions"):
        _ = PooledTeacher(held, calls_at_once=2).identity
