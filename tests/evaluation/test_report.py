"""The report, one page that holds all and asks nobody, and the model card."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
from playwright.sync_api import Browser

from gecko_kedro.corpus.schemas import OVERLAP_SCHEMA
from gecko_kedro.evaluation.comparing.ablation import ABLATION_TABLE_SCHEMA
from gecko_kedro.evaluation.comparing.comparison import Comparison, compare
from gecko_kedro.evaluation.comparing.forgetting import SWEEP_SCHEMA
from gecko_kedro.evaluation.comparing.verdicts import CATEGORIES, category_table
from gecko_kedro.evaluation.reporting.model_card import ModelFacts, model_card
from gecko_kedro.evaluation.reporting.moved import MOVED_SCHEMA
from gecko_kedro.evaluation.reporting.report import (
    NodeCost,
    ReportContent,
    write_report,
)
from gecko_kedro.evaluation.scoring.score_table import RECORDS_SCHEMA
from tests.support.browser import chromium, watched_page

ATTACK = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)
PAPER = {**dict.fromkeys(CATEGORIES, 50.0), "Retrieval": 55.70, "all": 66.31}
RECORD = {
    "model": "gecko", "task": "heldout", "type": "Retrieval", "reference": "folder",
    "model_revision": "0123456789ab", "data_revision": "fedcba", "templates": "gecko",
    "prompt": "search result", "symmetric": False, "dtype": "float32", "max_seq_length": 256,
    "device": "cpu", "seed": 42, "versions": "mteb 2.26",
}  # fmt: skip


@pytest.fixture
def moved() -> pl.DataFrame:
    passages = [
        {"passage_id": "p1", "text": "Ties: the lower id.", "relevant": True, "rank_before": None,
         "rank_after": 1},
        {"passage_id": "p2", "text": "About neckties.", "relevant": False, "rank_before": 1,
         "rank_after": 2},
    ]  # fmt: skip
    rows = [
        {"task": "heldout", "query_id": f"q{n}", "query": query, "group": "package1",
         "before": before, "after": after, "passages": passages}
        for n, (query, before, after) in enumerate([("won", 0.0, 1.0), ("lost", 1.0, 0.63)])
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=MOVED_SCHEMA)


@pytest.fixture
def content(
    comparison: Comparison,
    history: pl.DataFrame,
    moved: pl.DataFrame,
    label_sample: pl.DataFrame,
    sweep: pl.DataFrame,
) -> ReportContent:
    return ReportContent(
        title="gecko_kedro, a run",
        created="2024-05-01 12:00",
        teacher="lexical stand-in",
        notes=("A note.",),
        comparison=comparison,
        failures=pl.DataFrame(
            {
                "model": ["base"],
                "dimension": [999],
                "task": ["heldout"],
                "status": ["failed"],
                "error": ["too wide"],
            }
        ),
        audit={
            "facts": {"Replaced seeds": 0.213, "Kendall tau, QL against RC": 0.41, "Queries": 4711},
            "shares": ["Replaced seeds"],
            "rejected": [
                {
                    "reason": "too_long",
                    "count": 12,
                    "rate": 0.06,
                    "examples": [{"text": "<script>alert(2)</script>", "detail": "61 words"}],
                }
            ],
            "samples": label_sample.to_dicts(),
            "figures": [go.Figure(go.Bar(x=["1", "2"], y=[3, 4])).to_json()],
        },
        corpus_counts={"documents": 12345, "passages": 9876},
        quarantine={"too_short": 77},
        histories={"pretrain": history, "finetune": history},
        moved=moved,
        decontamination=pl.DataFrame(
            [
                (
                    "pretrain",
                    "faq, row 3",
                    "query",
                    "equal_text",
                    1.0,
                    "own",
                    "query q1",
                    "a text",
                    True,
                    "{}",
                )
            ],
            schema=OVERLAP_SCHEMA,
            orient="row",
        ),
        costs=(NodeCost("train_encoder", 61.25, 1234.5), NodeCost("label", 3.0, None, 7, 8901)),
        categories=category_table(comparison.results, {"gecko-1b-768": PAPER}),
        records=pl.DataFrame([RECORD], schema=RECORDS_SCHEMA),
        forgetting=sweep,
        ablations=ABLATIONS,
        versions={"torch": "2.13.0"},
        parameters={"finetune": {"batch_size": 64, "dims": [384, 128]}, "seed": 3},
    )


ABLATIONS = pl.DataFrame(
    [
        {"row": "recipe", "description": "all", "task": "heldout", "dimension": 384, "seeds": 3,
         "mean": 0.51, "deviation": 0.004},
        {"row": "seed_none", "description": "less", "task": "heldout", "dimension": 384, "seeds": 3,
         "mean": 0.5, "deviation": 0.003, "reference": "recipe", "difference": -0.01,
         "low": -0.02, "high": 0.004, "paper_difference": -0.0106, "source": "table 3"},
        {"row": "label_mask", "description": "masked", "note": "left out: no classification"},
    ],
    schema=ABLATION_TABLE_SCHEMA,
)  # fmt: skip


@pytest.fixture
def sweep() -> pl.DataFrame:
    rows = [
        {"weight": weight, "task": task, "kind": kind, "side": "report", "metric": "ndcg_at_10",
         "score": 0.5 + gain, "difference": gain, "low": gain - 0.01, "high": gain + 0.01, "p": 0.5,
         "queries": 50, "groups": 25, "verdict": "not shown", "chosen": weight == 0.5}
        for weight, gain in ((0.0, 0.0), (0.5, 0.03), (1.0, 0.04))
        for task, kind in (("heldout", "target"), ("STS of before", "general"))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SWEEP_SCHEMA)


def text_of(html: str) -> str:
    """What a reader sees: without scripts, styles and tags."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_a_figure_without_anything_to_show_is_left_out(
    made_up_scores: Callable, history: pl.DataFrame, sweep: pl.DataFrame
) -> None:
    table, groups = made_up_scores({"base": 0.0, "gecko": 0.1}, groups=200)  # each query its own
    found = compare(table, groups, base="base", tuned="gecko", pretrained=None,
                    resamples=50, seed=1)  # fmt: skip
    assert found.by_group.is_empty()
    histories = {"finetune": history.clear()}
    html = write_report(ReportContent("t", "now", comparison=found, histories=histories))
    assert html.count('class="plot"') == 1  # the curve over the dimensions
    none = write_report(ReportContent("t", "now", histories=histories, forgetting=sweep.clear()))
    assert 'class="plot"' not in none
    assert "plotly.js v" not in none


def test_the_report_says_everything_that_it_was_given(content: ReportContent) -> None:
    html = write_report(content)
    text = text_of(html)
    expected = [
        "is better than the base", "lexical stand-in", "A note.", "21.3 %", "0.410", "4,711",
        "too long 12 6.00", "61 words", "12,345", "too short 77", "too wide", "train_encoder 61.2",
        "8,901",
        "torch 2.13.0", "finetune.dims [384, 128]", "seed 3", "won", "rank below 10 → 1",
        "A tie is worn at weddings.", "What fine-tuning adds", "64 seconds in all nodes",
        "gecko-1b-768", "paper's own", "66.31", "0123456789ab", "mteb 2.26", "STS of before",
        "Forgetting", "\u22120.0106", "left out: no classification",
    ]  # fmt: skip
    assert [words for words in expected if words not in text] == []
    assert html.index('class="verdict"') < html.index("<table")
    assert html.count('class="plot"') == 6


def test_the_report_asks_the_network_for_nothing(content: ReportContent) -> None:
    html = write_report(content)
    own = re.sub(r"<script>/\*\*.*?</script>", "", html, count=1, flags=re.DOTALL)
    assert len(own) < len(html) / 10  # plotly.js was found and taken out
    assert "plotly.js v" not in own  # and it was there once
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", own)
    assert "@import" not in own
    assert "url(" not in own


def test_a_report_without_figures_carries_no_plotly() -> None:
    html = write_report(ReportContent(title="empty", created="now"))
    assert len(html) < 20_000
    assert "<script" not in html
    assert text_of(html).startswith("empty")


def test_a_report_of_one_group_shows_no_number_that_is_none(made_up_scores: Callable) -> None:
    table, groups = made_up_scores({"base": 0.0, "gecko": 0.1}, groups=1)
    found = compare(table, groups, base="base", tuned="gecko", pretrained=None,
                    resamples=50, seed=1)  # fmt: skip
    assert "nan" not in text_of(write_report(ReportContent("t", "now", comparison=found))).lower()


def test_markup_in_the_data_is_inert(content: ReportContent) -> None:
    hostile = hostile_content(content)
    html = write_report(hostile)
    assert "<img" not in re.sub(r"<script>/\*\*.*?</script>", "", html, count=1, flags=re.DOTALL)
    assert html.count("<script>document") == 0
    assert "&lt;script&gt;document" in html


def hostile_content(content: ReportContent) -> ReportContent:
    assert content.comparison is not None
    assert content.moved is not None
    spoilt = replace(
        content.comparison,
        by_group=content.comparison.by_group.with_columns(pl.lit(ATTACK).alias("group")),
        results=content.comparison.results.with_columns(pl.lit(ATTACK).alias("task")),
    )
    passages = pl.col("passages").list.eval(
        pl.element().struct.with_fields(pl.lit(ATTACK).alias("text"))
    )
    attack = pl.lit(ATTACK)
    return replace(
        content,
        title=ATTACK,
        teacher=ATTACK,
        comparison=spoilt,
        failures=pl.DataFrame(
            {
                "model": [ATTACK],
                "dimension": [1],
                "task": [ATTACK],
                "status": [ATTACK],
                "error": [ATTACK],
            }
        ),
        categories=content.categories.with_columns(attack.alias("model")),
        records=content.records.with_columns(attack.alias("prompt")),
        forgetting=content.forgetting.with_columns(attack.alias("task")),
        ablations=content.ablations.with_columns(row=attack, description=attack, source=attack),
        audit={
            "facts": {ATTACK: ATTACK},
            "shares": [],
            "rejected": [
                {
                    "reason": ATTACK,
                    "count": 1,
                    "rate": 0.1,
                    "examples": [{"text": ATTACK, "detail": ATTACK}],
                }
            ],
            "samples": [
                row | dict.fromkeys(("query", "positive", "negative"), ATTACK)
                for row in content.audit["samples"]
            ],
        },
        moved=content.moved.with_columns(pl.lit(ATTACK).alias("query"), passages),
        decontamination=content.decontamination.with_columns(
            pl.lit(ATTACK).alias(column) for column in ("row_id", "task", "evaluation_text")
        ),
        versions={ATTACK: ATTACK},
        parameters={ATTACK: {"nested": ATTACK}},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.ui
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("hostile", [False, True])
def test_a_browser_draws_the_report_in_silence(
    content: ReportContent, tmp_path: Path, browser: Browser, width: int, hostile: bool
) -> None:
    shown = hostile_content(content) if hostile else content
    (tmp_path / "report.html").write_text(write_report(shown), encoding="utf-8")
    with watched_page(browser, width=width) as (page, seen):
        page.goto((tmp_path / "report.html").as_uri())
        page.locator(".plot .main-svg").first.wait_for()
        assert page.locator(".js-plotly-plot").count() == page.locator(".plot").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.title() == shown.title  # the attack would have changed it
        assert page.locator("img").count() == 0
        sections = ("results", "forgetting", "ablations", "queries", "labels", "training", "corpus",
                    "decontamination", "cost", "settings")  # fmt: skip
        for section in sections:
            assert page.locator(f"section#{section}").count() == 1, section
        assert page.locator("table#categories tbody tr").count() == 8
        verdict, table = (page.locator(part).first.bounding_box() for part in (".verdict", "table"))
        assert verdict["y"] < table["y"]
    assert seen.foreign == []
    assert seen.complaints == []


def test_the_model_card_names_teacher_scores_and_limits(comparison: Comparison) -> None:
    facts = ModelFacts(
        name="gecko", base_model="all-MiniLM-L6-v2", dims=(384, 128), max_seq_length=256,
        teacher="lexical-1", teacher_is_language_model=False, prompt_versions={"synthesis": "1"},
        data={"natural pairs": 8000, "a | pipe": "and\n<b>a line</b>"},
        losses={"finetune": "GeckoLoss"}, licences={"Python packages": "each its own"},
        limits=("English only.",),
    )  # fmt: skip
    card = model_card(facts, comparison)
    assert "No language model was used. A lexical stand-in, `lexical-1`" in card
    assert "is better than the base" in card
    assert "truncate_dim=128" in card
    assert "- English only." in card
    assert "| a \\| pipe | and &lt;b>a line&lt;/b> |" in card
    assert card.count("| heldout |") == comparison.results.height
    real = model_card(replace(facts, teacher_is_language_model=True), None)
    assert "stand-in" not in real
    assert "Not evaluated." in real
