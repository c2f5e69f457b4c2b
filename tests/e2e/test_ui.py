"""What a user looks at after a run: the report, Kedro-Viz and MLflow, in a real browser."""

import sqlite3
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from gecko_kedro.pipeline_registry import STAGES
from tests.e2e.conftest import Project
from tests.support.browser import chromium, watched_page
from tests.support.servers import free_port, server

# All that Kedro-Viz 12.5 asks of another host; offline it takes another font.
VIZ_FONT = "https://fonts.googleapis.com/css"
# MLflow 3.17 asks its own server who is logged in; where nobody logs in, that is a 404.
MLFLOW_LOGIN = "/mlflow/users/current"
BLANK = 12_000  # bytes of a screenshot; an empty page takes 6,115
pytestmark = [pytest.mark.e2e, pytest.mark.ui]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_the_report_of_a_run_shows_every_section(finished: Project, browser: Browser) -> None:
    with watched_page(browser) as (page, seen):
        page.goto((finished.data / "08_reporting/report.html").as_uri())
        page.locator(".plot .main-svg").first.wait_for()
        assert page.locator(".js-plotly-plot").count() == page.locator(".plot").count() > 0
        for section in ("results", "queries", "labels", "training", "corpus", "decontamination",
                        "cost", "settings"):  # fmt: skip
            assert page.locator(f"section#{section}").is_visible(), section
        verdict, table = (page.locator(part).first.bounding_box() for part in (".verdict", "table"))
        assert verdict["y"] < table["y"]
        assert len(page.screenshot()) > BLANK
    assert seen.foreign == []
    assert seen.complaints == []


def test_kedro_viz_shows_the_stages(finished: Project, browser: Browser) -> None:
    port = free_port()
    command = ("kedro", "viz", "run", "--no-browser", "--host", "127.0.0.1", "--port", str(port),
               "--env", "test")  # fmt: skip
    shown = '{"showFeatureHints": false, "theme": "light"}'
    with (
        server(*command, port=port, cwd=finished.root, ready="/api/main") as address,
        watched_page(browser, width=1440, web_font=VIZ_FONT, KedroViz=shown) as (page, seen),
    ):
        page.goto(address)
        page.locator(".pipeline-node").first.wait_for(timeout=60_000)
        names = page.locator(".pipeline-node__text").all_text_contents()
        assert {name.lower() for name in names} >= set(STAGES)
        assert len(names) <= len(STAGES) + 15, names
        assert len(page.screenshot()) > BLANK
    assert seen.foreign == []
    assert seen.complaints == []


def test_mlflow_shows_the_run_its_metrics_and_its_artifacts(
    finished: Project, browser: Browser
) -> None:
    database = sqlite3.connect(finished.root / "mlflow.db")
    run, experiment = database.execute(
        "select run_uuid, experiment_id from runs order by start_time limit 1"
    ).fetchone()
    database.close()
    port = free_port()
    command = ("mlflow", "server", "--backend-store-uri", f"sqlite:///{finished.root}/mlflow.db",
               "--artifacts-destination", str(finished.root / "mlartifacts"), "--host",
               "127.0.0.1", "--port", str(port), "--workers", "1")  # fmt: skip
    with (
        server(*command, port=port, cwd=finished.root, ready="/health") as address,
        watched_page(browser) as (page, seen),
    ):
        runs = f"{address}/#/experiments/{experiment}/runs"
        page.goto(runs)
        page.get_by_text("__default__").first.wait_for(timeout=60_000)
        assert len(page.screenshot()) > BLANK
        page.goto(f"{runs}/{run}")
        page.get_by_text("finetune.learning_rate").first.wait_for(timeout=60_000)
        page.goto(f"{runs}/{run}/artifacts")
        page.get_by_text("report.html").first.wait_for(timeout=60_000)
        assert len(page.screenshot()) > BLANK
    assert seen.foreign == []
    assert [text for text in seen.complaints if not text.endswith(MLFLOW_LOGIN)] == []
