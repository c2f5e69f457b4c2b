"""The task that this project brings: queries about Python's standard library."""

import polars as pl
import pytest
import yaml

from gecko_kedro.corpus.written_files import read_written
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.settings import STDLIB_QUESTIONS, TaskPrompts, TaskSettings
from tests.support.conf import CONF

PROMPTS = TaskPrompts.checked(yaml.safe_load((CONF / "prompts/mteb_tasks.yml").read_text("utf-8")))


def read(**changes: str) -> RetrievalData:
    settings = TaskSettings(**(STDLIB_QUESTIONS.model_dump(exclude_unset=True) | changes))
    (task,) = read_tasks([settings], PROMPTS).tasks
    assert isinstance(task, RetrievalData)
    return task


@pytest.fixture(scope="module")
def task() -> RetrievalData:
    return read()


def test_the_reserved_path_is_the_task(task: RetrievalData) -> None:
    assert (task.name, task.type, task.task) == (
        "stdlib-questions", "Retrieval", "question answering",
    )  # fmt: skip
    assert set(task.corpus["id"]) <= set(read_written("documents")["passage"])
    assert task.corpus["title"].equals(task.corpus["id"], check_names=False)
    assert task.queries.height > 200
    assert set(task.qrels["score"]) == {0, 1, 2, 3}


def test_queries_about_one_module_are_a_group(task: RetrievalData) -> None:
    written_for = read_written("queries").select(id="query_id", name="written_for")
    of = task.queries.join(written_for, on="id")
    assert of["group"].to_list() == [name.partition(".")[0] for name in of["name"]]
    assert of["group"].n_unique() > 40


def test_training_must_not_see_its_queries_and_answers(task: RetrievalData) -> None:
    texts = task.texts()
    assert set(texts.filter(side="query")["text"]) == set(task.queries["text"])
    relevant = task.qrels.filter(pl.col("score") > 0)["passage_id"].n_unique()
    assert texts.filter(side="passage").height == relevant


def test_it_can_be_declared_with_other_words_and_as_reranking() -> None:
    own = read(name="Ours", type="Reranking", prompt="search result")
    assert (own.name, own.type, own.task) == ("Ours", "Reranking", "search result")
