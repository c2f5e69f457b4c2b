"""The sweep of guard, on two tiny encoders."""

from pathlib import Path

import polars as pl

from gecko_kedro.corpus.schemas import PAIR_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation import ReadTasks
from gecko_kedro.evaluation.comparing.settings import SweepSettings
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, RetrievalData
from gecko_kedro.evaluation.tasks.rows import checked_rows
from gecko_kedro.evaluation.tasks.settings import SelectSettings
from gecko_kedro.pipeline_registry import register_pipelines
from gecko_kedro.pipelines.guard.nodes import select_sweep_tasks, sweep_weights
from tests.support.tiny_encoder import tiny_encoder

WORDS = ("yeast", "lamp", "bridge", "comet", "tulip", "anvil", "otter", "canal")
NOTHING = QUARANTINE_SCHEMA.to_frame()
NO_TASKS = ReadTasks([], NOTHING)


def own_data(name: str) -> CheckedData:
    ids = [f"p{n}" for n in range(len(WORDS))]
    data = RetrievalData(
        name,
        pl.DataFrame({"id": ids, "title": [""] * len(ids), "text": [f"of a {w}" for w in WORDS]}),
        pl.DataFrame({"id": ids, "text": [f"what is {w}" for w in WORDS], "group": ids}),
        pl.DataFrame({"query_id": ids, "passage_id": ids, "score": [1] * len(ids)}),
    )
    return CheckedData(data, NOTHING)


def general() -> ReadTasks:
    rows = pl.DataFrame(
        {"sentence1": [f"a {w}" for w in WORDS], "sentence2": [f"the {w}s" for w in WORDS],
         "score": [float(n % 5) for n in range(len(WORDS))]}
    )  # fmt: skip
    task = checked_rows("General", "STS", rows, where="x", task="t").data
    return ReadTasks([task], NOTHING)


def test_the_sweep_scores_the_data_that_evaluate_would_score_now(tmp_path: Path) -> None:
    for n, name in enumerate(("base", "tuned")):
        tiny_encoder(seed=n).save(str(tmp_path / name))
    load = LoadSettings(
        reference=str(tmp_path / "base"), device="cpu", dtype="float32", max_seq_length=32
    )

    def swept(data: str) -> pl.DataFrame:
        tasks = select_sweep_tasks(
            PAIR_SCHEMA.to_frame(), own_data(data), NO_TASKS, SelectSettings()
        )
        return sweep_weights(
            tasks, general(), str(tmp_path / "tuned"), tmp_path / "cache", load, "gecko", [32],
            SweepSettings(weights=[0, 1], resamples=50),
        )[0]  # fmt: skip

    for data in ("earlier", "later"):
        kinds = swept(data).select("task", "kind").unique().sort("task").rows()
        assert kinds == [("General", "general"), (data, "target")]


def test_guard_reads_no_table_that_an_earlier_evaluate_has_left() -> None:
    pipelines = register_pipelines()
    assert not pipelines["guard"].inputs() & pipelines["evaluate"].all_outputs()
