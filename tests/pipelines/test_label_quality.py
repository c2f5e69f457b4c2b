"""What labels are worth, on judged queries or on natural pairs of the corpus."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from gecko_kedro import fret
from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import PAIR_SCHEMA
from gecko_kedro.engine import EngineSettings
from gecko_kedro.evaluation.tasks.judged import JudgedSettings
from gecko_kedro.pipelines.label_quality.nodes import select_judged
from gecko_kedro.teacher import AdaptSettings, TeacherSettings
from gecko_kedro.training import heldout_pairs
from tests.support.conf import CONF

PASSAGES = pl.DataFrame(
    [{"passage_id": f"p{n}", "title": None, "text": f"All about thing {n}."} for n in range(30)],
    schema={"passage_id": pl.String, "title": pl.String, "text": pl.String},
)
PAIRS = pl.DataFrame(
    [
        {"pair_id": f"n{n}", "kind": "summary_body", "task": "", "query": f"thing {n}",
         "passage_id": f"p{n}", "text": f"All about thing {n}.", "group": f"g{n % 3}"}
        for n in range(20)
    ],
    schema=PAIR_SCHEMA,
)  # fmt: skip
ADAPTING = AdaptSettings(heldout_pairs=6)
PREPARED = fret.PreparedTeacher(
    teacher=TeacherSettings(backend="lexical", adapt=ADAPTING),
    prompts=yaml.safe_load((CONF / "prompts/gecko.yml").read_text("utf-8")),
    engine=EngineSettings(),
    store=Path("store"),
)


def test_without_judgements_natural_pairs_that_nothing_learned_from_are_asked() -> None:
    queries, passages, qrels = select_judged(
        None, PAIRS, PASSAGES, PREPARED, JudgedSettings(max_passages=20)
    )
    held = heldout_pairs(PAIRS, ADAPTING)
    assert sorted(queries["query_id"]) == sorted(held["pair_id"])
    assert passages.height == 20
    assert dict(qrels.select("query_id", "passage_id").iter_rows()) == dict(
        held.select("pair_id", "passage_id").iter_rows()
    )
    assert set(qrels["group"]) <= {"g0", "g1", "g2"}


def test_without_both_it_says_what_to_run() -> None:
    with pytest.raises(InputError, match="kedro run --pipelines synthesize first"):
        select_judged(None, PAIRS.clear(), PASSAGES, PREPARED, JudgedSettings())
