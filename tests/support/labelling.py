"""A process for tests to kill: the real nodes of synthesis and labelling on their real datasets.

    python -m tests.support.labelling FOLDER URL [ENGINE]

Between the two stands a fixed choice of candidates in place of a trained retriever, which would
take minutes and calls no teacher.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from gecko_kedro import fret
from gecko_kedro.config import ParameterAwareConfigLoader
from gecko_kedro.corpus.readers import read_query_log
from gecko_kedro.corpus.schemas import PAIR_SCHEMA, PASSAGE_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.datasets import (
    FinishedShardsDataset,
    ShardedParquetDataset,
    TableDataset,
    TeacherDataset,
)
from gecko_kedro.evaluation import ReadTasks
from gecko_kedro.params import Parameters, check_parameters
from gecko_kedro.pipelines.relabel import nodes as relabel
from gecko_kedro.pipelines.synthesize import nodes as synthesize
from tests.support.clusters import engine_settings
from tests.support.http_server import NAME

CONF = Path(__file__).resolve().parents[2] / "conf"
N_CANDIDATES = 4
CONCURRENCY = 4
KEY = "GECKO_TEST_KEY"  # the server wants a key where this is set


def parameters(url: str, engine: str = "local") -> Parameters:
    """Those of conf/base, with the teacher at ``url`` and small shards."""
    loader = ParameterAwareConfigLoader(str(CONF), base_env="base", default_run_env="base")
    values: dict[str, Any] = dict(loader["parameters"])
    values["teacher"]["backend"] = "http"
    values["teacher"]["http"] |= {"base_url": url, "model": NAME, "concurrency": CONCURRENCY}
    values["teacher"]["http"]["api_key_env"] = KEY if KEY in os.environ else None
    values["synthesize"]["write"]["shard_size"] = values["relabel"]["judge"]["shard_size"] = 5
    values["relabel"]["rankers"] = ["query_likelihood", "relevance"]
    values["engine"] = engine_settings(engine).model_dump()
    return check_parameters(values)


def neighbours(queries: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """Each query's seed and the passages after it."""
    rows = {passage: row for row, passage in enumerate(passages["passage_id"])}
    firsts = np.array([rows[seed] for seed in queries["passage_id"]])
    ids = (firsts[:, None] + np.arange(N_CANDIDATES)) % passages.height
    scores = np.tile(np.linspace(0.9, 0.6, N_CANDIDATES, dtype=np.float32), (queries.height, 1))
    return fret.candidates_with_seeds(
        queries, passage_ids=passages["passage_id"], ids=ids, scores=scores,
        seed_scores=scores[:, 0],
    )  # fmt: skip


def catalog(folder: Path, url: str, engine: str) -> DataCatalog:
    """The datasets of the catalog under ``folder``; ``passages.parquet`` is there already."""
    params = parameters(url, engine)
    in_memory = {
        "query_log": read_query_log(None, columns=params.queries.columns),
        "heldout_pairs": pl.DataFrame(schema=PAIR_SCHEMA),
        "evaluation_data": None,
        "adapted_model": None,
        "evaluation_tasks": ReadTasks([], pl.DataFrame(schema=QUARANTINE_SCHEMA)),
        **{f"params:{name}": value for name, value in params},
        **{
            f"params:{block}.{name}": value
            for block in ("queries", "encoder", "synthesize", "relabel")
            for name, value in getattr(params, block)
        },
    }
    teacher = TeacherDataset(
        settings=params.teacher.model_dump(), engine=params.engine.model_dump(),
        prompts=str(CONF / "prompts/gecko.yml"), store=str(folder / "response_store"),
    )  # fmt: skip
    shards = {
        name: ShardedParquetDataset(path=str(folder / name))
        for name in (
            "query_shards", "rejected_reply_shards", "judgement_shards", "refused_query_shards"
        )
    }  # fmt: skip
    finished = {
        f"finished_{name}": FinishedShardsDataset(path=str(folder / name), of=name)
        for name in ("query_shards", "judgement_shards")
    }
    tables = {
        name: TableDataset(filepath=str(folder / f"{name}.parquet"))
        for name in ("passages", "queries", "candidates", "rankings", "fret")
    }
    memory = {name: MemoryDataset(value) for name, value in in_memory.items()}
    return DataCatalog({**memory, **shards, **finished, **tables, "teacher": teacher})


PIPELINE = Pipeline(
    [
        Node(
            synthesize.synthesize_queries,
            ["passages", "passages", "finished_query_shards", "adapted_model", "teacher",
             "params:synthesize.write"],
            ["rejected_reply_shards", "query_shards"],
        ),
        Node(
            synthesize.collect_queries,
            ["query_shards", "query_log", "heldout_pairs", "evaluation_data", "evaluation_tasks",
             "params:queries.join", "params:encoder.load", "params:decontaminate"],
            ["undecided_queries", "query_overlaps"],
        ),
        Node(
            synthesize.filter_queries,
            ["undecided_queries", "query_overlaps", "rejected_reply_shards", "query_log",
             "passages", "heldout_pairs", "params:encoder.load", "params:synthesize.filter"],
            ["queries", "queries_quarantine"],
        ),
        Node(neighbours, ["queries", "passages"], "candidates"),
        Node(
            relabel.judge_candidates,
            ["queries", "candidates", "passages", "finished_judgement_shards",
             "adapted_model", "teacher",
             "params:relabel.rankers", "params:relabel.judge"],
            ["refused_query_shards", "judgement_shards"],
        ),
        Node(
            relabel.fuse_rankings,
            ["candidates", "judgement_shards", "params:relabel.rankers", "params:relabel.fuse"],
            "rankings",
        ),
        Node(
            relabel.choose_examples,
            ["rankings", "queries", "passages", "refused_query_shards", "params:relabel.choose"],
            ["fret", "fret_quarantine"],
        ),
    ]
)  # fmt: skip


def write_passages(folder: Path, texts: list[str]) -> None:
    """The only input."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"passage_id": f"p{n:02}", "doc_id": f"d{n:02}", "text": text, "group": "tales"}
        for n, text in enumerate(texts)
    ]
    columns = {name: dtype for name, dtype in PASSAGE_SCHEMA.items() if name not in rows[0]}
    table = pl.DataFrame(rows, schema_overrides=dict(PASSAGE_SCHEMA)).with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items()
    )
    table.select(list(PASSAGE_SCHEMA)).write_parquet(folder / "passages.parquet")


if __name__ == "__main__":
    folder, url, engine = [*sys.argv[1:], "local"][:3]
    SequentialRunner().run(PIPELINE, catalog(Path(folder), url, engine))
