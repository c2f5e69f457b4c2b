"""The response store and the teacher in front of it: never pay twice, never lose a reply."""

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import Generation, Prompt, ResponseStore, Scored, ScoredLabels
from gecko_kedro.teacher.stored_teacher import StoredTeacher


class Counting:
    """A teacher whose replies are functions of their own prompt; it counts what it is asked."""

    identity = "counting v1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        return [text[:max_tokens] for text in texts]

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        self.asked += [prompt.text for prompt in prompts]
        return [
            Generation(f"{prompt.text} {temperature} {top_p} {seed}", 3, 2) for prompt in prompts
        ]

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored]:
        self.asked += [prefix.text for prefix in prefixes]
        return [
            Scored(-len(prefix.text) / 7 - len(text) / 3, 1, 1)
            for prefix, text in zip(prefixes, continuations, strict=True)
        ]

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels]:
        self.asked += [prompt.text for prompt in prompts]
        return [ScoredLabels(tuple(-1.0 - n for n in range(len(labels))), 1, 1) for _ in prompts]


def prompts(*texts: str, version: str = "1") -> list[Prompt]:
    return [Prompt(text, {"passage": text}, version) for text in texts]


def stored(folder: Path, inner: object | None = None, *, batch_size: int = 2) -> StoredTeacher:
    store = ResponseStore(folder / "replies.sqlite")
    return StoredTeacher(inner or Counting(), store, batch_size=batch_size)  # type: ignore[arg-type]


def test_replies_keep_their_order_and_are_paid_for_once(tmp_path: Path) -> None:
    inner = Counting()
    teacher = stored(tmp_path, inner)
    first = teacher.generate(prompts("c", "a", "b", "a"), temperature=0.7, top_p=0.9, seed=1)
    again = teacher.generate(prompts("a", "d", "c"), temperature=0.7, top_p=0.9, seed=1)
    assert [reply.text[0] for reply in first] == ["c", "a", "b", "a"]
    assert [reply.text[0] for reply in again] == ["a", "d", "c"]
    assert sorted(inner.asked) == ["a", "b", "c", "d"]
    assert (teacher.usage.generate.calls, teacher.usage.generate.hits) == (4, 3)
    assert (teacher.usage.generate.prompt_tokens, teacher.usage.generate.completion_tokens) == (
        12,
        8,
    )


def test_replies_survive_in_the_file_exactly(tmp_path: Path) -> None:
    with_text = prompts("🙂", "שלום", "a\x00b", "\ud800")
    first = stored(tmp_path)
    labels = first.label_log_likelihood(with_text, ["0", "1"])
    likelihoods = first.query_log_likelihood(with_text, ["q"] * 4)
    texts = first.generate(with_text, temperature=0.1, top_p=1.0, seed=0)
    first.close()
    inner = Counting()
    second = stored(tmp_path, inner)
    assert second.label_log_likelihood(with_text, ["0", "1"]) == labels
    assert second.query_log_likelihood(with_text, ["q"] * 4) == likelihoods
    assert second.generate(with_text, temperature=0.1, top_p=1.0, seed=0) == texts
    assert inner.asked == []


def test_anything_that_a_reply_depends_on_is_part_of_its_key(tmp_path: Path) -> None:
    inner = Counting()
    teacher = stored(tmp_path, inner)

    def ask(
        text: str = "a", version: str = "1", *, t: float = 0.7, p: float = 1.0, s: int = 1
    ) -> None:
        teacher.generate(prompts(text, version=version), temperature=t, top_p=p, seed=s)

    ask()
    for changed in (
        lambda: ask("b"),
        lambda: ask(version="2"),
        lambda: ask(t=0.8),
        lambda: ask(p=0.9),
        lambda: ask(s=2),
        lambda: teacher.query_log_likelihood(prompts("a"), ["x"]),
        lambda: teacher.query_log_likelihood(prompts("a"), ["y"]),
        lambda: teacher.label_log_likelihood(prompts("a"), ["x"]),
        lambda: teacher.label_log_likelihood(prompts("a"), ["x", "y"]),
        lambda: teacher.label_log_likelihood(prompts("a"), ["xy"]),
        lambda: teacher.generate(
            [Prompt("a", {"passage": "z"}, "1")], temperature=0.7, top_p=1.0, seed=1
        ),
    ):
        before = len(inner.asked)
        changed()
        assert len(inner.asked) == before + 1
        changed()
        assert len(inner.asked) == before + 1
    inner.identity = "counting v2"
    ask()
    assert len(inner.asked) == 13


def test_a_batch_that_fails_keeps_the_batches_before_it(tmp_path: Path) -> None:
    class Failing(Counting):
        def generate(self, prompts: Sequence[Prompt], **decoding: float) -> list[Generation]:  # type: ignore[override]
            if any(prompt.text == "e" for prompt in prompts):
                raise ConnectionError("gone")
            return super().generate(prompts, **decoding)  # type: ignore[arg-type]

    with pytest.raises(ConnectionError):
        stored(tmp_path, Failing()).generate(
            prompts("a", "b", "c", "d", "e"), temperature=0.0, top_p=1.0, seed=0
        )
    inner = Counting()
    stored(tmp_path, inner).generate(
        prompts("a", "b", "c", "d", "e"), temperature=0.0, top_p=1.0, seed=0
    )
    assert inner.asked == ["e"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_log_likelihood_that_is_no_number_is_refused_and_not_stored(
    tmp_path: Path, number: float
) -> None:
    class Broken(Counting):
        def query_log_likelihood(
            self, prefixes: Sequence[Prompt], continuations: Sequence[str]
        ) -> list[Scored]:
            return [Scored(number, 1, 1) for _ in prefixes]

    teacher = stored(tmp_path, Broken())
    with pytest.raises(InputError, match="finite"):
        teacher.query_log_likelihood(prompts("a"), ["x"])
    assert len(ResponseStore(tmp_path / "replies.sqlite")) == 0


def test_too_few_replies_are_refused(tmp_path: Path) -> None:
    class Short(Counting):
        def label_log_likelihood(
            self, prompts: Sequence[Prompt], labels: Sequence[str]
        ) -> list[ScoredLabels]:
            return super().label_log_likelihood(prompts, labels[1:])

    with pytest.raises(InputError, match="2 log-likelihoods"):
        stored(tmp_path, Short()).label_log_likelihood(prompts("a"), ["0", "1"])


@pytest.mark.parametrize(
    "change", ["value = '[\"x\", 1'", "value = '[\"b\", 3, 2]'", "checksum = 1"]
)
def test_a_value_that_was_changed_on_disk_is_a_clear_error(tmp_path: Path, change: str) -> None:
    teacher = stored(tmp_path)
    teacher.generate(prompts("a"), temperature=0.0, top_p=1.0, seed=0)
    with sqlite3.connect(tmp_path / "replies.sqlite") as connection:
        connection.execute(f"UPDATE responses SET {change}")
    connection.close()
    with pytest.raises(InputError, match="delete it"):
        teacher.generate(prompts("a"), temperature=0.0, top_p=1.0, seed=0)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "replies.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="move it away"):
        ResponseStore(tmp_path / "replies.sqlite")


def test_a_folder_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="permissions"):
        ResponseStore(tmp_path / "file" / "replies.sqlite")


@given(st.dictionaries(st.binary(min_size=1, max_size=8), st.text(), max_size=20))
def test_what_is_put_is_what_is_got(values: dict[bytes, str]) -> None:
    with ResponseStore(":memory:") as store:
        store.put(values)
        assert store.get([*values, b"absent-key"]) == values


def test_more_keys_than_one_query_takes(tmp_path: Path) -> None:
    with ResponseStore(tmp_path / "s.sqlite") as store:
        values = {n.to_bytes(4, "big"): n for n in range(1203)}
        store.put(values)
        assert store.get(list(values)) == values
        assert len(store) == 1203


WRITER = """
import itertools, sys
from gecko_kedro.teacher import Prompt, ResponseStore, Scored
from gecko_kedro.teacher.stored_teacher import StoredTeacher

class Teacher:
    identity = "t"
    def query_log_likelihood(self, prefixes, continuations):
        return [Scored(-float(len(p.text)), 1, 1) for p in prefixes]

teacher = StoredTeacher(Teacher(), ResponseStore(sys.argv[1]), batch_size=5)
for block in itertools.count():
    prompts = [Prompt(f"{block} {n} " + "x" * n, {}, "1") for n in range(20)]
    teacher.query_log_likelihood(prompts, ["q"] * 20)
    print(block, flush=True)
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


@pytest.mark.parametrize("writers", [1, 2])
def test_killed_in_mid_write_nothing_that_was_committed_is_lost(
    tmp_path: Path, writers: int
) -> None:
    path = tmp_path / "replies.sqlite"
    finished = []
    for kill_after in (0, 3, 17):
        running = [start_writer(path) for _ in range(writers)]
        for process in running:
            assert process.stdout is not None
            for line in process.stdout:
                finished.append(int(line))
                if int(line) >= kill_after:
                    break
        for process in running:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    class Counted(Counting):
        identity = "t"

        def query_log_likelihood(
            self, prefixes: Sequence[Prompt], continuations: Sequence[str]
        ) -> list[Scored]:
            self.asked += [prefix.text for prefix in prefixes]
            return [Scored(-float(len(prefix.text)), 1, 1) for prefix in prefixes]

    inner = Counted()
    teacher = StoredTeacher(inner, ResponseStore(path), batch_size=5)
    last = max(finished)
    for block in range(last + 1):
        block_prompts = [Prompt(f"{block} {n} " + "x" * n, {}, "1") for n in range(20)]
        replies = teacher.query_log_likelihood(block_prompts, ["q"] * 20)
        assert [r.log_likelihood for r in replies] == [-float(len(p.text)) for p in block_prompts]
    assert inner.asked == []
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        # Batches are there as a whole or not at all.
        assert connection.execute("SELECT count(*) FROM responses").fetchone()[0] % 5 == 0
    connection.close()
    teacher.close()


def test_a_schema_of_the_reply_is_part_of_the_key(tmp_path: Path) -> None:
    inner = Counting()
    teacher = stored(tmp_path, inner)
    plain, shaped = prompts("a")[0], Prompt("a", {"passage": "a"}, "1", {"type": "object"})
    for prompt in (plain, shaped, plain, shaped):
        teacher.generate([prompt], temperature=0.0, top_p=1.0, seed=0)
    assert inner.asked == ["a", "a"]


def test_texts_are_cut_by_the_teacher_behind(tmp_path: Path) -> None:
    assert stored(tmp_path).truncate(["abcd", "ab"], 3) == ["abc", "ab"]


def test_the_size_of_a_large_store_is_known_from_its_replies(tmp_path: Path) -> None:
    generator = random.Random(1)
    with ResponseStore(tmp_path / "large.sqlite") as store:
        assert store.bytes_per_reply() == 0
        for _ in range(20):
            store.put({generator.randbytes(32): [-12.345678901234567, 120, 8] for _ in range(500)})
        expected = store.bytes_per_reply() * len(store)
    assert 0.6 < (tmp_path / "large.sqlite").stat().st_size / expected < 1.6
