"""Ablations as a user runs them: tables, nested MLflow runs, a killed run that goes on."""

import json
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
import yaml

from gecko_kedro.config import filled_in
from gecko_kedro.evaluation.comparing.ablation import ABLATION_TABLE_SCHEMA
from gecko_kedro.params import RelabelParams
from gecko_kedro.pipelines.ablate.rows import Material, row_fret
from gecko_kedro.training import EXAMPLE_SCHEMA
from tests.e2e.conftest import Project

pytestmark = pytest.mark.e2e
RUNS = ["--pipeline", "ablate"]
TRAINING = re.compile(r"training (\w+), seed (\d)")


def nested_runs(project: Project) -> dict[str, dict[str, object]]:
    """Name to parameters, metrics by step, and status, of the children of the newest parent."""
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        (parent,) = database.execute(
            "select run_uuid from runs where name = 'ablate' order by start_time desc"
        ).fetchone()
        children = database.execute(
            "select runs.run_uuid, name, status from runs join tags using (run_uuid) "
            "where key = 'mlflow.parentRunId' and value = ?", (parent,),
        ).fetchall()  # fmt: skip
        found = {}
        for run, name, status in children:
            params = database.execute("select key, value from params where run_uuid = ?", (run,))
            metrics = database.execute(
                "select key, step, value from metrics where run_uuid = ?", (run,)
            )
            found[name] = {
                "status": status,
                "params": dict(params.fetchall()),
                "metrics": {(key, step): value for key, step, value in metrics.fetchall()},
            }
    return found


def artifacts(project: Project) -> Path:
    """The folder of the newest parent run's artifacts."""
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        (place,) = database.execute(
            "select artifact_uri from runs where name = 'ablate' order by start_time desc"
        ).fetchone()
    return Path(place.removeprefix("file://"))


@pytest.fixture(scope="module")
def ablated(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project after its ablations: two rows, two seeds."""
    project = finished.copy(tmp_path_factory.mktemp("ablated") / "project")
    (project.root / "output.txt").write_text(project.run(*RUNS), "utf-8")
    return project


def test_two_rows_with_two_seeds_make_the_tables(ablated: Project) -> None:
    scores = pl.read_parquet(ablated.data / "07_model_output/ablation_scores.parquet")
    assert scores.filter(dimension=384).select("row", "seed", "task").rows() == [
        (row, seed, "heldout") for row in ("recipe", "seed_none") for seed in (1, 2)
    ]
    table = pl.read_parquet(ablated.data / "08_reporting/ablation_table.parquet")
    assert table.schema == ABLATION_TABLE_SCHEMA
    row = table.filter(row="seed_none", dimension=384).to_dicts()[0]
    own = scores.filter(row="seed_none", dimension=384)["score"]
    assert row["mean"] == pytest.approx(own.mean())
    assert row["deviation"] == pytest.approx(own.std())
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["paper_difference"] == pytest.approx(-0.0106)
    figure = json.loads((ablated.data / "08_reporting/ablation_plot.json").read_text("utf-8"))
    assert figure["data"][0]["name"].startswith("ours")
    assert "seed_none" in (ablated.root / "output.txt").read_text("utf-8")


def test_each_row_is_a_nested_run_with_parameters_and_scores(ablated: Project) -> None:
    children = nested_runs(ablated)
    assert set(children) == {"recipe", "seed_none"}
    table = pl.read_parquet(ablated.data / "08_reporting/ablation_table.parquet")
    for name, child in children.items():
        assert child["status"] == "FINISHED"
        metrics, params = child["metrics"], child["params"]
        assert isinstance(metrics, dict)
        assert isinstance(params, dict)
        assert {step for key, step in metrics if key == "scores.heldout.384.ndcg_at_10"} == {1, 2}
        row = table.filter(row=name, dimension=384).to_dicts()[0]
        assert metrics["mean.heldout.384.ndcg_at_10", 0] == pytest.approx(row["mean"])
        assert metrics["deviation.heldout.384.ndcg_at_10", 0] == pytest.approx(row["deviation"])
        assert any(key == "ablate_seed_2.loss" for key, _ in metrics)
        assert params["finetune.train.batch_size"] == "16"
    assert children["seed_none"]["params"]["relabel.choose.negative"] == "none"  # type: ignore[index]
    assert children["seed_none"]["params"]["paper.Retrieval"] == "-1.06"  # type: ignore[index]
    assert {file.name for file in artifacts(ablated).glob("ablation_*")} == {
        "ablation_scores.parquet", "ablation_table.parquet", "ablation_plot.json",
    }  # fmt: skip


def test_the_recipe_row_has_the_fret_of_the_road(ablated: Project) -> None:
    data = ablated.data
    configured = yaml.safe_load((ablated.root / "conf/base/parameters/relabel.yml").read_text())
    relabel = filled_in({**configured, "teacher": {"backend": "lexical"}})["relabel"]

    def read(place: str) -> pl.DataFrame:
        return pl.read_parquet(data / place)

    material = Material(
        read("03_primary/queries.parquet"), read("02_intermediate/passages.parquet"),
        read("04_feature/candidates.parquet"),
        read("05_model_input/judgement_shards/shard-*.parquet"),
        read("03_primary/natural_pairs.parquet"), None, EXAMPLE_SCHEMA.to_frame(),
    )  # fmt: skip
    made = row_fret(material, RelabelParams.model_validate(relabel))
    assert made.equals(read("05_model_input/fret.parquet"))


def test_a_second_run_trains_nothing_and_a_changed_row_alone(ablated: Project) -> None:
    assert not TRAINING.findall(ablated.run(*RUNS))
    assert set(nested_runs(ablated)) == {"recipe", "seed_none"}
    override = "ablate.definitions.seed_none.overrides={relabel.choose.negative: last}"
    output = ablated.run(*RUNS, "--params", override)
    assert TRAINING.findall(output) == [("seed_none", "1"), ("seed_none", "2")]


def test_a_run_killed_in_the_second_row_trains_only_the_rest(
    finished: Project, tmp_path: Path, ablated: Project
) -> None:
    project = finished.copy(tmp_path / "project")
    store = project.data / "07_model_output/ablation_store"
    process = project.start(*RUNS)
    deadline = time.monotonic() + 300
    while len(list(store.glob("[!.]*.parquet"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    output = project.run(*RUNS)
    trained = TRAINING.findall(output)
    assert trained
    assert {row for row, _ in trained} == {"seed_none"}
    assert set(nested_runs(project)) == {"recipe", "seed_none"}
    for place in ("07_model_output/ablation_scores.parquet", "08_reporting/ablation_table.parquet"):
        expected = pl.read_parquet(ablated.data / place).filter(row="recipe")
        assert pl.read_parquet(project.data / place).filter(row="recipe").equals(expected)


def test_an_unknown_row_ends_in_one_line(ablated: Project) -> None:
    output = ablated.run(*RUNS, "--params", "ablate.rows=recipe+seed_nun", code=1)
    assert "seed_none" in output
    assert "Traceback" not in output
