"""An adapted language model: asked in the form that it learned, it replies as the others do."""

import json
from pathlib import Path

import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import TeacherSettings, build_teacher
from gecko_kedro.teacher.adapted import AdaptedTeacher
from gecko_kedro.teacher.protocol import Generation, Prompt, Refused, Scored
from gecko_kedro.teacher.task_sentences import FORM_OF, task_sentences
from tests.support.tiny_llm import save_tiny_llm


class Recorder:
    """A teacher that writes down what it is asked; tokens are words."""

    identity = "recorder"

    def __init__(self) -> None:
        self.asked: list[Prompt] = []

    def truncate(self, texts, max_tokens):
        return [
            text if len(text.split()) <= max_tokens else " ".join(text.split()[:max_tokens])
            for text in texts
        ]

    def generate(self, prompts, *, temperature, top_p, seed):
        self.asked += prompts
        return [
            Refused("no") if "forbidden" in p.text else Generation(" why is it so ", 9, 4)
            for p in prompts
        ]

    def query_log_likelihood(self, prefixes, continuations):
        self.asked += prefixes
        return [Scored(-float(len(c)), 9, 3) for c in continuations]


def prompt(passage: str, title: str = "", task: str | None = None) -> Prompt:
    fields = {"passage": passage, "title": title} | ({} if task is None else {"wanted_task": task})
    return Prompt("few-shot examples and " + passage, fields, "3", {"type": "object"})


def write(teacher: AdaptedTeacher, *prompts: Prompt):
    return teacher.generate(prompts, temperature=0.7, top_p=1.0, seed=7)


def test_the_model_reads_the_passage_and_the_wanted_kind_alone() -> None:
    model = Recorder()
    teacher = AdaptedTeacher(model, kinds=["keyword search", "fact checking"], passage_tokens=4)
    (reply,) = write(teacher, prompt("one two three four five", "A title", "keyword search"))
    assert model.asked[0].text == "A title one two\n\nkeyword search:"
    assert model.asked[0].reply_schema is None
    read = json.loads(reply.text)
    assert read["query"] == "why is it so"
    assert read["task"] in task_sentences("keyword search")
    assert (reply.prompt_tokens, reply.completion_tokens) == (9, 4)


def test_a_kind_that_it_has_not_learned_is_drawn_from_those_that_it_has() -> None:
    model = Recorder()
    teacher = AdaptedTeacher(model, kinds=["keyword search"], passage_tokens=9)
    write(teacher, prompt("salt", task="duplicate question"), prompt("tea"))
    assert [p.text for p in model.asked] == [
        "salt\n\nkeyword search:", "tea\n\nkeyword search:",
    ]  # fmt: skip


def test_likelihood_is_that_of_a_query_of_any_kind() -> None:
    model = Recorder()
    teacher = AdaptedTeacher(model, kinds=["keyword search"], passage_tokens=9)
    (score,) = teacher.query_log_likelihood([prompt("salt", "On salt")], [" is it wet"])
    assert model.asked[0].text == "On salt\nsalt\n\nquery:"
    assert score.log_likelihood == -10


def test_a_refusal_stays_one() -> None:
    teacher = AdaptedTeacher(Recorder(), kinds=["fact checking"], passage_tokens=9)
    assert write(teacher, prompt("a forbidden text")) == [Refused("no")]


def test_it_grades_nothing_and_says_what_to_leave_out() -> None:
    teacher = AdaptedTeacher(Recorder(), kinds=["fact checking"], passage_tokens=9)
    with pytest.raises(InputError, match="Leave relevance out"):
        teacher.label_log_likelihood([prompt("salt")], [" 0", " 1"])


def test_each_kind_of_the_prompts_has_sentences_for_its_task() -> None:
    assert all(task_sentences(kind) for kind in FORM_OF)
    assert task_sentences("a kind that nobody knows") == task_sentences("search result")


def test_other_weights_are_another_teacher_to_the_store(tmp_path: Path) -> None:
    identities = set()
    for seed in (1, 2):
        folder = save_tiny_llm(tmp_path / str(seed), seed=seed)
        (folder / "adaptation.json").write_text(json.dumps({"kinds": {"fact checking": 3}}))
        settings = TeacherSettings.model_validate(
            {"backend": "transformers", "adapt": {"mode": "on"}, "model": {"name": str(folder)}}
        )
        teacher = build_teacher(settings, texts=[], store=tmp_path / "store", adapted=folder)
        identities.add(teacher.identity.replace(str(folder), ""))
        teacher.close()
    assert len(identities) == 2
    assert all(identity.startswith("adapted, ") for identity in identities)
