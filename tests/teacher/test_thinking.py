"""A model that thinks aloud: the answer is what follows its thought, in every call."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gecko_kedro.teacher import Prompt, Refused, ResponseStore, ScoredLabels, StoredTeacher
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.teacher import HttpTeacher
from gecko_kedro.teacher.thinking import answer_of, without_thought
from tests.support.http_server import ServerState, chat_reply, replying, serving
from tests.support.observing import Observe

Settings = Callable[..., HttpSettings]
LABELS = [" 0", " 1", " 2", " 3"]
ANSWER = '{"task": "t", "query": "q"}'
DRAFT = '{"task": "draft", "query": "draft"}'
CHAT_ONLY = {"completions": False, "tokenize": False}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (ANSWER, ANSWER),
        (f"<think>\nI could say {DRAFT}.\n</think>\n\n{ANSWER}", ANSWER),
        (f"the template had begun it: {DRAFT}</think>{ANSWER}", ANSWER),
        (f"<think>one</think> no, wait <think>two {DRAFT}</think>{ANSWER}", ANSWER),
        ("the scale goes from 0 to 3...</think> 3", "3"),
        (f"<reasoning>{DRAFT}</reasoning>{ANSWER}", ANSWER),
        (f"<thought>{DRAFT}</thought>{ANSWER}", ANSWER),
        (f"<Thinking>{DRAFT}</Thinking>{ANSWER}", ANSWER),
        (f"[THINK]{DRAFT}[/THINK]{ANSWER}", ANSWER),
        (f"◁think▷{DRAFT}◁/think▷{ANSWER}", ANSWER),
        (f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{ANSWER}", ANSWER),
        (
            f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final"
            f"<|message|>{ANSWER}<|return|>",
            ANSWER,
        ),
        (f"analysisThe user wants JSON: {DRAFT}assistantfinal{ANSWER}", ANSWER),
        (f"<think>and so on {DRAFT}", ""),
        (f"<|channel|>analysis<|message|>{DRAFT}", ""),
        (f"analysisThe user wants {DRAFT}", ""),
        ("<think></think>", ""),
        (f"{ANSWER}<think>was that right", ANSWER),
        ('{"task": "t", "query": "what does </think> end"}',) * 2,
        ("an analysis of thought", "an analysis of thought"),
    ],
)
def test_the_answer_is_what_follows_the_last_thought(text: str, answer: str) -> None:
    assert answer_of(text).strip() == answer


@pytest.mark.parametrize(
    ("opening", "more"),
    [
        ("<|im_start|>assistant\n", ""),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("<|Assistant|><think>\n", "\n</think>\n\n"),
        ("[THINK]", "\n[/THINK]\n\n"),
        ("<|begin_of_thought|>", "\n<|end_of_thought|>\n\n"),
        ("<|start|>assistant", "<|channel|>final<|message|>"),
    ],
)
def test_a_thought_that_a_template_begins_is_ended_at_once(opening: str, more: str) -> None:
    assert without_thought(opening) == more


def prompts(n: int) -> list[Prompt]:
    return [Prompt(f"Passage: the tale number {i} Answer:", {}, "1", {}) for i in range(n)]


def generated(teacher: HttpTeacher, n: int = 1) -> list[Any]:
    return list(teacher.generate(prompts(n), temperature=0.0, top_p=1.0, seed=0))


def labelled(teacher: HttpTeacher) -> list[Any]:
    return list(teacher.label_log_likelihood(prompts(2), LABELS))


def thinking(body: dict[str, Any], *, off: str | None = None) -> dict[str, Any] | None:
    """A reasoning model: ``off`` is the field that switches its thought off."""
    if "messages" not in body:
        return None
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    asked = body["messages"][0]["content"]
    answer = "2" if "Passage" in asked else "1"
    if "ok" in schema.get("properties", {}):
        answer = '{"ok": true}'
    elif "Passage" in asked and not body.get("logprobs"):
        answer = ANSWER if "label" not in schema.get("properties", {}) else '{"label": "2"}'
    thought = [] if off in body else ["<think>", "from 0 to 3 ", DRAFT, "</think>"]
    tokens = [*thought, answer]
    cut = tokens[: body["max_tokens"] // 8 + 1]
    reply = chat_reply("".join(cut), finish="stop" if cut == tokens else "length")
    if body.get("logprobs"):
        listed = [{"token": str(g), "logprob": -1.0 - abs(g - 2)} for g in range(4)]
        of_thought = [{"token": "<think>", "logprob": 0.0}]
        reply["choices"][0]["logprobs"] = {
            "content": [
                {"token": token, "logprob": -0.1,
                 "top_logprobs": listed if token == answer else of_thought}
                for token in cut
            ]
        }  # fmt: skip
    return reply


@pytest.mark.faults
@pytest.mark.parametrize("switch", ["chat_template_kwargs", "reasoning_effort", "reasoning"])
def test_thinking_is_switched_off_where_there_is_a_switch(
    http_settings: Settings, switch: str, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    with serving(**CHAT_ONLY) as server, caplog.at_level("INFO"):
        server.always = replying(lambda body: thinking(body, off=switch))
        teacher = HttpTeacher(http_settings(server))
        assert "labels top_logprobs" in teacher.identity
        assert f'switched off by {{"{switch}"' in teacher.identity
        assert "switched off by" in caplog.text
        assert [reply.text for reply in generated(teacher)] == [ANSWER]
        assert server.bodies[-1]["max_tokens"] == 256
        replies = labelled(teacher)
        assert replies[0].log_likelihoods == (-3.0, -2.0, -1.0, -2.0)
    observe(
        f"a server whose model thinks before it answers, with the switch {switch}",
        f"switched off at the start; labels from log-probabilities: {teacher.identity}",
    )


@pytest.mark.faults
def test_without_a_switch_there_is_room_for_the_thought_and_labels_are_read_after_it(
    http_settings: Settings, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    with serving(**CHAT_ONLY) as server:
        server.always = replying(thinking)
        teacher = HttpTeacher(http_settings(server, thinking_tokens=100))
        assert "labels top_logprobs" in teacher.identity
        assert "thinks before it answers" in teacher.identity
        assert "has no switch that is known" in caplog.text
        assert [reply.text for reply in generated(teacher)] == [ANSWER]
        assert server.bodies[-1]["max_tokens"] == 256 + 100
        assert labelled(teacher)[0].log_likelihoods == (-3.0, -2.0, -1.0, -2.0)
    observe("a server whose model thinks before it answers, without a switch",
            f"more tokens; the label is read after the thought: {teacher.identity}")  # fmt: skip


def test_where_log_probabilities_come_without_the_thought_the_written_grade_counts(
    http_settings: Settings,
) -> None:
    def reasoning(body: dict[str, Any]) -> dict[str, Any] | None:
        reply = thinking({**body, "logprobs": False})
        if reply is None:
            return None
        message = reply["choices"][0]["message"]
        thought, _, answer = message["content"].rpartition("</think>")
        message |= {"content": answer if "</think>" in message["content"] else None,
                    "reasoning_content": thought or "the scale goes from 0 to 3"}  # fmt: skip
        return reply

    with serving(**CHAT_ONLY) as server:
        server.always = replying(reasoning)
        teacher = HttpTeacher(http_settings(server, thinking_tokens=100))
        assert "labels sampled" in teacher.identity
        best = [max(range(4), key=reply.log_likelihoods.__getitem__) for reply in labelled(teacher)]
        assert best == [2, 2]
        assert [reply.text for reply in generated(teacher)] == [ANSWER]


@pytest.mark.faults
def test_a_label_is_never_read_from_a_thought(
    http_settings: Settings, tmp_path: Path, observe: Observe
) -> None:
    with serving() as server:
        server.always = replying(thinking)
        teacher = HttpTeacher(http_settings(server, dialect="openai"))  # nothing is tried out
        stored = StoredTeacher(teacher, ResponseStore(tmp_path / "s"), batch_size=9)
        with pytest.raises(ValueError, match=r"no label among.*set teacher\.http\.dialect") as stop:
            stored.label_log_likelihood(prompts(2), LABELS)
        assert len(ResponseStore(tmp_path / "s")) == 0
    observe("the first token of every answer is <think>, log-probabilities on", stop.value)


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": "let me see"},
        {"content": "", "reasoning": "let me see"},
        {"content": "<think>let me see"},
        {"content": [{"type": "thinking", "thinking": [{"text": "let me see"}]}]},
    ],
)
def test_a_thought_and_no_more_is_no_reply(
    http_settings: Settings, message: dict[str, Any]
) -> None:
    with serving() as server:
        server.always = replying(lambda _: chat_reply(**message))
        teacher = HttpTeacher(http_settings(server, dialect="openai"))
        (reply,) = generated(teacher)
    assert isinstance(reply, Refused)
    assert "a thought without an answer" in reply.words


def test_parts_of_a_message_that_are_no_text_are_left_out(http_settings: Settings) -> None:
    parts = [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": ANSWER}]
    with serving() as server:
        server.always = replying(lambda _: chat_reply(parts))  # type: ignore[arg-type]
        teacher = HttpTeacher(http_settings(server, dialect="openai"))
        assert [reply.text for reply in generated(teacher)] == [ANSWER]


GRADES = {
    "3": 3, " 2.": 2, '{"label": "1"}': 1, "I would say 2 out of 3": 2, "2/3": 2,
    "On the scale from 0 to 3 this is a 1": 1, "Not a 0, not a 3: Relevance: 2": 2,
    "the scale goes from 0 to 3...</think> 3": 3, "<think>0? 1?</think>\n\n**2**": 2,
}  # fmt: skip


@pytest.mark.parametrize("text", GRADES)
def test_a_written_grade_is_that_of_the_answer(http_settings: Settings, text: str) -> None:
    with serving(**CHAT_ONLY, logprobs=False, structure=False) as server:
        teacher = HttpTeacher(http_settings(server))
        assert "labels sampled" in teacher.identity
        server.always = replying(lambda _: chat_reply(text))
        reply = labelled(teacher)[0]
    assert isinstance(reply, ScoredLabels)
    assert reply.log_likelihoods.index(max(reply.log_likelihoods)) == GRADES[text]


def test_hidden_thoughts_are_seen_by_their_tokens(http_settings: Settings) -> None:
    def hiding(state: ServerState) -> Callable[[dict[str, Any]], Any]:
        def make(body: dict[str, Any]) -> dict[str, Any]:
            if body.get("reasoning_effort") == "minimal":
                return chat_reply(json.dumps({"ok": True}))
            if "reasoning_effort" in body:
                return {"error": {"message": "Unsupported value: 'reasoning_effort'", "code": 400}}
            usage = {"prompt_tokens": 9, "completion_tokens": 32}
            return {**chat_reply("", finish="length"), "usage": usage}

        return make

    with serving(**CHAT_ONLY, logprobs=False) as server:
        server.always = replying(hiding(server))
        identity = HttpTeacher(http_settings(server)).identity
    # "none" was refused as a value; the field itself must not be given up for that.
    assert 'switched off by {"reasoning_effort": "minimal"}' in identity
