from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.comparison import OVERALL, compare
from gecko_kedro.evaluation.comparing.published import parity_table, require_parity
from gecko_kedro.evaluation.comparing.settings import ParitySettings
from gecko_kedro.evaluation.comparing.statistics import weighted_spearman
from gecko_kedro.evaluation.comparing.verdicts import (
    CATEGORIES,
    category_table,
    headline,
    sentences,
)
from gecko_kedro.evaluation.reporting.report import ReportContent, write_report
from gecko_kedro.evaluation.reporting.terminal import as_text, parity_text
from gecko_kedro.evaluation.scoring.score_table import (
    FAILURES_SCHEMA,
    SCORES_SCHEMA,
    ScoreTable,
    concat_scores,
)
from gecko_kedro.evaluation.scoring.scoring_run import evaluate_encoder
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings

CONF = Path(__file__).parents[2] / "conf"
PUBLISHED = yaml.safe_load((CONF / "published/mteb_scores.yml").read_text("utf-8"))
RUNS = ["all-MiniLM-L6-v2, 2022", "all-MiniLM-L6-v2, results"]


def scored(**by_task: float) -> pl.DataFrame:
    rows = [
        {"model": "m", "dimension": 384, "task": task, "type": "STS", "metric": "cosine_spearman",
         "main": True, "score": score}
        for task, score in by_task.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCORES_SCHEMA)


def parity(scores: pl.DataFrame, failures: pl.DataFrame | None = None) -> pl.DataFrame:
    nothing = pl.DataFrame(schema=FAILURES_SCHEMA)
    return parity_table(
        scores, nothing if failures is None else failures, PUBLISHED["models"],
        ParitySettings(published=RUNS, tolerance_by_type={"STS": 0.05},
                       tolerance_by_task={"STS12": 1.0}),
    )  # fmt: skip


def test_a_score_is_within_its_tolerance_of_the_nearest_published_one() -> None:
    table = parity(scored(STSBenchmark=0.82032, STS13=0.8067, STS12=0.7300, Own=0.5))
    assert dict(table.select("task", "verdict").iter_rows()) == {
        "STSBenchmark": "within", "STS13": "outside", "STS12": "within",
        "Own": "no published score",
    }  # fmt: skip
    with pytest.raises(InputError, match="STS13: outside"):
        require_parity(table)
    require_parity(table.filter(pl.col("task") != "STS13"))
    text = parity_text(table)
    assert "82.03 82.03" in text
    assert len({line.index("within") for line in text.splitlines() if "within" in line}) == 1


def test_a_task_without_a_score_is_no_parity() -> None:
    failure = {"model": "m", "dimension": None, "task": "STS14", "status": "failed", "error": "x"}
    failures = pl.DataFrame([failure], schema=FAILURES_SCHEMA)
    table = parity(scored(STSBenchmark=0.82032), failures)
    with pytest.raises(InputError, match="STS14: not scored"):
        require_parity(table)
    with pytest.raises(InputError, match="no task was scored"):
        require_parity(table.clear())


def test_an_unknown_published_run_is_told() -> None:
    nothing = pl.DataFrame(schema=FAILURES_SCHEMA)
    with pytest.raises(InputError, match="Correct parity"):
        parity_table(scored(), nothing, PUBLISHED["models"], ParitySettings(published=["nobody"]))


def test_the_published_scores_are_whole_and_their_means_are_the_papers() -> None:
    tasks = [task for names in PUBLISHED["categories"].values() for task in names]
    assert len(tasks) == len(set(tasks)) == 56
    assert set(PUBLISHED["categories"]) == set(CATEGORIES)
    for model in ("gecko-1b-768", "gecko-1b-256"):
        for category, names in PUBLISHED["categories"].items():
            mean = sum(PUBLISHED["models"][model][name] for name in names) / len(names)
            assert mean == pytest.approx(PUBLISHED["paper_by_category"][model][category], abs=0.06)
    for run in RUNS:
        assert set(tasks) <= set(PUBLISHED["models"][run])


def test_the_prompts_are_those_of_table_9() -> None:
    data = yaml.safe_load((CONF / "prompts/mteb_tasks.yml").read_text("utf-8"))
    prompts = TaskPrompts.checked(data)
    assert prompts.of("SciFact", "Retrieval") == ("fact checking", False)
    assert prompts.of("FEVER", "Retrieval") == ("search result", False)
    assert prompts.of("QuoraRetrieval", "Retrieval") == ("search result", True)
    assert prompts.of("STS12", "STS") == ("semantic similarity", True)
    assert prompts.of("Banking77Classification", "Classification") == ("classification", True)
    in_paper = PUBLISHED["categories"]["Retrieval"] + PUBLISHED["categories"]["Reranking"]
    assert set(in_paper) <= set(prompts.by_name)
    changed = TaskPrompts.checked(data, {"SciFact": {"task": "own", "symmetric": True}})
    assert changed.of("SciFact", "Retrieval") == ("own", True)
    with pytest.raises(InputError, match="symmetric"):
        TaskPrompts.checked(data, {"SciFact": {"task": "own"}})


@pytest.fixture
def two_tasks(made_up_scores: Callable) -> tuple[ScoreTable, pl.DataFrame]:
    shifts = {"base": 0.0, "bm25": -0.1, "gecko": 0.08}
    first, groups = made_up_scores(shifts)
    second, more = made_up_scores(shifts | {"gecko": 0.04}, task="other", queries=50)
    return concat_scores([first, second]), pl.concat([groups, more])


def test_several_tasks_are_judged_together_and_first(
    two_tasks: tuple[ScoreTable, pl.DataFrame],
) -> None:
    table, groups = two_tasks
    found = compare(table, groups, base="base", tuned="gecko", pretrained=None,
                    resamples=500, seed=1)  # fmt: skip
    overall = found.results.filter(task=OVERALL)
    assert found.results["task"].to_list()[-overall.height :] == [OVERALL] * overall.height
    (row,) = overall.filter(model="gecko", dimension=384).to_dicts()
    single = found.results.filter(pl.col("task") != OVERALL, model="gecko", dimension=384)
    assert row["score"] == pytest.approx(single["score"].mean())
    assert row["difference"] == pytest.approx(single["difference"].mean())
    assert row["low"] < row["difference"] < row["high"]
    assert row["verdict"] == "better"
    assert headline(found).startswith("On all tasks the tuned model is better than the base")
    assert OVERALL in as_text(found)


def test_the_report_opens_with_the_verdict_over_all_and_lists_those_of_the_tasks(
    two_tasks: tuple[ScoreTable, pl.DataFrame],
) -> None:
    found = compare(*two_tasks, base="base", tuned="gecko", pretrained=None,
                    resamples=500, seed=1)  # fmt: skip
    first, *others = sentences(found)
    assert first.startswith("On all tasks")
    assert len(others) == found.results["task"].n_unique() - 1 == 2
    html = write_report(ReportContent(title="t", created="c", comparison=found))
    html = html.replace("95\u00a0%", "95 %")
    assert html.count('class="verdict"') == 1
    assert f'<p class="verdict">{first}</p>' in html
    assert [f"<li>{other}</li>" in html for other in others] == [True, True]


def test_the_category_table_has_the_papers_rows_below_and_marked(
    two_tasks: tuple[ScoreTable, pl.DataFrame],
) -> None:
    table, groups = two_tasks
    found = compare(table, groups, base="base", tuned="gecko", pretrained=None,
                    resamples=50, seed=1)  # fmt: skip
    categories = category_table(found.results, PUBLISHED["paper_by_category"])
    ours = categories.filter(source="this run", model="gecko", dimension=384).to_dicts()[0]
    assert ours["tasks"] == 2
    assert ours["STS"] is None
    assert ours["Retrieval"] == pytest.approx(ours["all"])
    papers = categories.filter(pl.col("source") != "this run")
    assert papers["dimension"].to_list() == [768, 256, 768]
    assert papers["Retrieval"][0] == pytest.approx(0.5570)
    assert categories["source"].to_list()[-3:] == papers["source"].to_list()


@pytest.mark.shared_data
def test_the_published_score_of_a_known_model_is_met(shared_data, tmp_path: Path) -> None:
    """STSBenchmark with all-MiniLM-L6-v2 in float32, as ``make parity`` scores it."""
    settings = TaskSettings(
        name="STSBenchmark", type="STS", path=str(shared_data("eval_stsbenchmark"))
    )
    tasks = read_tasks([settings], TaskPrompts(by_name={}, by_type={})).tasks
    encoder = EncoderUnderTest(
        "base", LoadSettings(device="cpu", dtype="float32"), templates="own", dims=(384,)
    )
    found = evaluate_encoder(encoder, tasks, cache_root=tmp_path)
    require_parity(parity(found.scores, found.failures))
    similarity, gold = (found.per_query[name].to_numpy() for name in ("score", "gold"))
    by_hand = weighted_spearman(similarity, gold, np.ones((1, gold.size)))[0]
    assert by_hand == pytest.approx(found.scores["score"].item(), abs=1e-5)
