"""The road as a user walks it: whole runs, slices, repeats, changed parameters."""

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import polars as pl
import pytest

from gecko_kedro.pipeline_registry import STAGES
from tests.e2e.conftest import Project
from tests.support.observing import Observe

pytestmark = pytest.mark.e2e
FUSION = "relabel.fuse.k=60"


def test_a_whole_run_ends_in_a_table_and_a_report(finished: Project) -> None:
    output = (finished.root / "output.txt").read_text("utf-8")
    assert "What fine-tuning adds" in output
    assert "report.html" in output
    results = pl.read_parquet(finished.data / "08_reporting/comparison/results.parquet")
    variants = {"gecko", "gecko-int8", "gecko-binary", "hybrid"}
    assert set(results["model"]) == {"base", "bm25", "pretrained", *variants}
    assert set(results.filter(model="gecko")["dimension"]) == {384, 64}
    assert results.filter(model="gecko")["low"].is_not_null().all()


def test_the_stand_in_is_called_what_it_is(finished: Project) -> None:
    for place in ("model_card.md", "report.html"):
        assert "lexical stand-in" in (finished.data / "08_reporting" / place).read_text("utf-8")
    assert "lexical stand-in" in (finished.root / "output.txt").read_text("utf-8")


def test_fret_rows_are_whole(finished: Project) -> None:
    fret = pl.read_parquet(finished.data / "05_model_input/fret.parquet")
    assert fret.height > 20
    assert (fret["positive_id"] != fret["negative_id"]).all()
    assert (fret["candidate_ids"].list.len() == 8).all()
    assert fret["positive_is_seed"].mean() < 1.0


def test_a_second_whole_run_uses_what_is_finished(project: Project) -> None:
    output = project.run("--pipelines", "fret")
    assert "0 from the store" not in output


def test_a_second_run_of_what_is_missing_does_nothing(finished: Project) -> None:
    assert "Nothing to do" in finished.run("--only-missing-outputs")


def test_a_copy_with_other_times_has_nothing_to_do(finished: Project, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.root, copy, symlinks=True, copy_function=shutil.copyfile)
    assert "Nothing to do" in Project(copy).run("--only-missing-outputs")


def test_a_dry_run_shows_what_a_parameter_reaches_and_does_nothing(finished: Project) -> None:
    def state() -> list[tuple[str, int]]:
        return [(str(file), file.stat().st_mtime_ns) for file in sorted(finished.root.rglob("*"))]

    before = state()
    output = finished.run("--only-missing-outputs", "--dry-run", "--params", FUSION)
    assert "relabel.fuse.k: 0.0 -> 60.0" in output
    assert "finetune.finetune_encoder" in output
    assert "mine.search_candidates" not in output
    assert "by their last run" in output
    assert state() == before


def test_a_dry_run_in_an_empty_project_makes_no_folder(empty_project: Project) -> None:
    output = empty_project.run("--dry-run", "--pipelines", "synthesize")
    assert "none of them has run before" in output
    assert not empty_project.data.exists()
    assert not (empty_project.root / "mlflow.db").exists()


def test_another_value_makes_anew_what_it_reaches(project: Project) -> None:
    command = ("--pipelines", "relabel", "--only-missing-outputs", "--params", FUSION)
    output = project.run(*command)
    assert "Changed: relabel.fuse.k: 0.0 -> 60.0." in output
    assert "relabel.choose_examples" in output
    assert "Nothing to do" in project.run(*command)


def test_labels_of_ones_own_are_used_and_never_overwritten(project: Project) -> None:
    labels = project.data / "05_model_input/fret.parquet"
    pl.read_parquet(labels).head(30).write_parquet(labels)
    own = labels.read_bytes()
    command = ("--pipelines", "relabel", "--only-missing-outputs")
    assert "relabel.describe_fret" in project.run(*command)
    output = project.run(*command, "--params", FUSION, code=1)
    assert str(labels) in output
    assert "Move it away" in output
    assert "Traceback" not in output
    assert labels.read_bytes() == own


def test_an_unknown_parameter_stops_before_any_work(empty_project: Project) -> None:
    output = empty_project.run("--params", "mine.n_candidate=5", code=1)
    assert "Did you mean mine.search.n_candidates?" in output
    assert "Traceback" not in output
    assert not empty_project.data.exists()


def test_train_alone_says_what_makes_its_inputs(empty_project: Project) -> None:
    output = empty_project.run("--pipeline", "train", code=1)
    assert "fret.parquet" in output
    assert "kedro run --pipelines relabel" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("stage", STAGES)
def test_each_pipeline_runs_alone(project: Project, stage: str) -> None:
    output = project.run("--pipelines", stage)
    assert f"{stage}." in output


def test_a_slice_runs_from_a_node(project: Project) -> None:
    output = project.run("--pipelines", "relabel", "--from-nodes", "relabel.fuse_rankings")
    assert "relabel.choose_examples" in output
    assert "relabel.judge_candidates" not in output


def test_training_can_be_entered_with_files_made_elsewhere(
    finished: Project, empty_project: Project
) -> None:
    for place in (
        "03_primary/natural_pairs.parquet",
        "03_primary/heldout_pairs.parquet",
        "05_model_input/fret.parquet",
    ):
        (empty_project.data / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(finished.data / place, empty_project.data / place)
    output = empty_project.run("--pipelines", "train")
    assert "report.html" in output


def test_mlflow_has_the_run(finished: Project) -> None:
    with sqlite3.connect(finished.root / "mlflow.db") as database:
        runs = database.execute("select run_uuid, status from runs").fetchall()
        assert len(runs) >= 1
        assert runs[0][1] == "FINISHED"
        keys = {key for (key,) in database.execute("select distinct key from metrics")}
        params = {key for (key,) in database.execute("select distinct key from params")}
        tags = {key for (key,) in database.execute("select distinct key from tags")}
    database.close()
    assert {"finetune.loss", "finetune.learning_rate"} <= keys
    assert "evaluate_metrics.heldout.gecko.384.ndcg_at_10" in keys
    assert "cost.mine.search_candidates.seconds" in keys
    assert {"passage_overlap_metrics.overlapping", "decontamination_metrics.overlapping"} <= keys
    assert "relabel.fuse.k" in params
    assert {"git_revision", "version.torch"} <= tags


def test_the_saved_model_loads_in_plain_sentence_transformers(finished: Project) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(finished.data / "06_models/gecko_encoder"), device="cpu")
    vectors = model.encode(["how to parse a template"], prompt_name="query")
    assert vectors.shape == (1, 384)
    assert not list((finished.data / "06_models/checkpoints").rglob("*.safetensors"))


def test_the_exported_model_is_the_same_with_scores_in_its_card(finished: Project) -> None:
    from sentence_transformers import SentenceTransformer

    exported = finished.data / "08_reporting/exported_encoder"
    a, b = (
        SentenceTransformer(str(folder), device="cpu").encode(
            ["how to parse a template"], prompt_name="query", truncate_dim=64
        )
        for folder in (exported, finished.data / "06_models/gecko_encoder")
    )
    assert a.shape == (1, 64)
    assert (a == b).all()
    card = (exported / "README.md").read_text("utf-8")
    assert card == (finished.data / "08_reporting/model_card.md").read_text("utf-8")
    for part in ("Training data", "Teacher", "Losses", "difference to base", "Limits", "Licences"):
        assert part in card


@pytest.mark.faults
def test_no_file_of_a_run_is_a_pickle(finished: Project, observe: Observe) -> None:
    files = [file for file in finished.root.rglob("*") if file.is_file()]
    for file in files:
        assert file.suffix not in {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"}, file
        with file.open("rb") as content:
            start = content.read(2)
        assert not (start[:1] == b"\x80" and start[1:] in {b"\2", b"\3", b"\4", b"\5"}), file
        if zipfile.is_zipfile(file):
            assert not [n for n in zipfile.ZipFile(file).namelist() if n.endswith(".pkl")], file
    observe("pickles among the files of a finished run", f"none among {len(files)}")


def test_the_ledger_knows_every_node(finished: Project) -> None:
    ledger = json.loads((finished.data / "08_reporting/run_ledger.json").read_text("utf-8"))
    assert {name.split(".")[0] for name in ledger["nodes"]} == set(STAGES)
    assert all(cost["peak_mb"] > 0 for cost in ledger["nodes"].values())
    assert ledger["teacher"]["relabel"]["query_log_likelihood_calls"] > 0


def test_a_run_works_from_another_folder(finished: Project, tmp_path: Path) -> None:
    elsewhere = finished.root / "conf"  # below the project: Kedro finds the root upwards
    assert "Nothing to do" in Project(elsewhere).run("--only-missing-outputs")


def test_a_labeller_is_measured_on_judged_queries(empty_project: Project, tmp_path: Path) -> None:
    words = ["yeast", "lighthouse", "graphene", "bridge", "tomato", "treaty"]
    folder = tmp_path / "judged"
    folder.mkdir()
    lines = {
        "corpus": [{"_id": w, "title": "", "text": f"All there is to know of {w}."} for w in words],
        "queries": [{"_id": f"q-{w}", "text": f"what is {w}"} for w in words],
        "qrels": [{"query_id": f"q-{w}", "doc_id": w, "score": 1} for w in words],
    }
    for name, rows in lines.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    output = empty_project.run(
        "--pipelines", "label_quality", "--params", f"label_quality.data={folder}"
    )
    assert "query_likelihood + relevance" in output
    reporting = empty_project.data / "08_reporting"
    metrics = json.loads((reporting / "label_quality_metrics.json").read_text("utf-8"))
    assert metrics["queries"] == len(words)
    assert "lexical stand-in" in metrics["teacher"]
    table = pl.read_parquet(reporting / "label_quality_table.parquet")
    assert table.filter(ranking="query_likelihood + relevance")["mean"].to_list() == [1.0, 1.0]
    output = empty_project.run("--pipelines", "label_quality", code=1)
    assert "label_quality.data" in output
    assert "Traceback" not in output
