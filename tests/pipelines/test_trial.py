"""Useless work is not finished: once the cause is mended the same command makes it anew."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from gecko_kedro import fret
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.shards import Shard
from gecko_kedro.datasets import ShardedParquetDataset
from gecko_kedro.forgetting import SHARDS, TEACHER, forget_replies
from gecko_kedro.params import Parameters
from gecko_kedro.pipeline_registry import register_pipelines
from gecko_kedro.pipelines.relabel import nodes as relabel
from gecko_kedro.pipelines.synthesize import nodes as synthesize
from gecko_kedro.teacher import ResponseStore
from gecko_kedro.teacher.protocol import TeacherError
from tests.support import labelling
from tests.support.http_server import ServerState, chat_reply, raw, replying, serving
from tests.support.observing import Observe

PROMPTS = yaml.safe_load((labelling.CONF / "prompts/gecko.yml").read_text("utf-8"))
TEXTS = [f"How tea is kept in house {n}: dry, dark and cool, never beside it." for n in range(24)]


@pytest.fixture
def passages(tmp_path: Path) -> pl.DataFrame:
    labelling.write_passages(tmp_path, TEXTS)
    return pl.read_parquet(tmp_path / "passages.parquet")


def parameters(server: ServerState) -> Parameters:
    known = labelling.parameters(server.url)
    fast = {"backoff_s": 0.001, "dialect": "openai", "check_at_start": False}
    http = known.teacher.http.model_copy(update=fast)
    return known.model_copy(update={"teacher": known.teacher.model_copy(update={"http": http})})


def prepared(folder: Path, params: Parameters) -> fret.PreparedTeacher:
    return fret.PreparedTeacher(
        teacher=params.teacher, prompts=PROMPTS, engine=params.engine, store=folder
    )


def written(passages: pl.DataFrame, folder: Path, params: Parameters) -> list[Shard]:
    """What synthesis hands on, also where it stops."""
    done: list[Shard] = []
    for _, queries in synthesize.synthesize_queries(
        passages, passages, frozenset(), None, prepared(folder, params), params.synthesize.write
    ):
        done.append(queries)
    return done


@pytest.mark.faults
@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("", TeacherError),
        ('{"task": "", "query": ""}', InputError),
        ("I cannot help with that.", InputError),
    ],
)
def test_a_small_run_of_useless_replies_is_made_anew_once_the_server_is_mended(
    passages: pl.DataFrame, tmp_path: Path, said: str, error: type[Exception], observe: Observe
) -> None:  # fmt: skip
    with serving() as server:
        params = parameters(server)
        server.always = replying(lambda _: chat_reply(said))
        with pytest.raises(error) as stop:
            written(passages, tmp_path, params)
        assert len(ResponseStore(tmp_path / "responses.sqlite")) == 0
        server.always = None
        server.asked.clear()
        queries = written(passages, tmp_path, params)
        assert server.asked.total() == 24
    assert sum(shard.table.height for shard in queries) == 24
    observe(f"every reply of the teacher is {said!r}, then the server is mended",
            f"{stop.value}; the same command then asks for all of them again")  # fmt: skip


def test_an_empty_reply_of_an_older_run_is_asked_again(
    passages: pl.DataFrame, tmp_path: Path
) -> None:
    with serving() as server:
        written(passages, tmp_path, parameters(server))
        with ResponseStore(tmp_path / "responses.sqlite") as store:
            for number, key in enumerate(store.search(lambda _: True)):
                if number % 8 == 0:
                    store.forget([key])
                    store.put({key: ["", 9, 1]})
        server.asked.clear()
        queries = written(passages, tmp_path, parameters(server))
        assert server.asked.total() == 3
    assert sum(shard.table.height for shard in queries) == 24


def same_grade(body: dict[str, Any]) -> Any:
    reply = chat_reply("1")
    listed = [{"token": str(grade), "logprob": -1.0 - grade} for grade in range(4)]
    reply["choices"][0]["logprobs"] = {"content": [{"token": "1", "top_logprobs": listed}]}
    return reply


@pytest.mark.faults
def test_a_ranker_that_says_nothing_stops_the_run_and_is_asked_again_once_it_is_mended(
    passages: pl.DataFrame, tmp_path: Path, observe: Observe
) -> None:
    with serving() as server:
        params = parameters(server)
        queries = pl.concat(shard.table for shard in written(passages, tmp_path, params))
        candidates = labelling.neighbours(queries, passages)
        written_replies = len(ResponseStore(tmp_path / "responses.sqlite"))

        def judged() -> list[Any]:
            return list(
                relabel.judge_candidates(
                    queries, candidates, passages, frozenset(), None,
                    prepared(tmp_path, params), ["relevance"], params.relabel.judge,
                )
            )  # fmt: skip

        server.always = replying(same_grade)
        with pytest.raises(InputError, match=r"relevance.*one score for all candidates") as stop:
            judged()
        assert len(ResponseStore(tmp_path / "responses.sqlite")) == written_replies
        server.always = None
        server.asked.clear()
        assert sum(judgements.table.height for _, judgements in judged()) == candidates.height
        assert server.asked.total() == candidates.height
    observe("a teacher that gives all candidates one grade", stop.value)


def test_what_is_forgotten_is_what_the_pipelines_keep() -> None:
    pipeline = register_pipelines()["__default__"]
    assert {name for names in SHARDS.values() for name in names} <= pipeline.all_outputs()
    assert TEACHER in pipeline.inputs()


class Catalog:
    """The two tables of synthesis and the store, as ``forget_replies`` asks for them."""

    def __init__(self, folder: Path, params: Parameters) -> None:
        self.folder, self.params = folder, params

    def get(self, name: str) -> ShardedParquetDataset:
        assert name in register_pipelines()["__default__"].all_outputs()
        return ShardedParquetDataset(path=str(self.folder / name))

    def load(self, name: str) -> fret.PreparedTeacher:
        assert name in register_pipelines()["__default__"].inputs()
        return prepared(self.folder, self.params)


@pytest.mark.parametrize(("reasons", "replies", "shards"), [(["empty"], 2, 1), ([], 24, 5)])
def test_replies_are_forgotten_by_stage_and_reason_with_the_shards_made_of_them(
    passages: pl.DataFrame, tmp_path: Path, reasons: list[str], replies: int, shards: int
) -> None:
    with serving() as server:
        useless = raw(json.dumps(chat_reply('{"task": "", "query": ""}')))
        server.faults.extend([useless] * 2)
        params = parameters(server)
        catalog = Catalog(tmp_path, params)
        for rejected, queries in synthesize.synthesize_queries(
            passages,
            passages,
            frozenset(),
            None,
            prepared(tmp_path, params),
            params.synthesize.write,
        ):
            catalog.get("synthesize.rejected_reply_shards").save(rejected)
            catalog.get("synthesize.query_shards").save(queries)
    assert forget_replies(catalog, "synthesize", reasons) == (replies, shards)
    assert len(catalog.get("synthesize.query_shards").shards()) == 5 - shards
    assert len(ResponseStore(tmp_path / "responses.sqlite")) == 24 - replies
