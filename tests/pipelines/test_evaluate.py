"""What the model card is told."""

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gecko_kedro.pipelines.evaluate import content
from gecko_kedro.training.examples import EXAMPLE_SCHEMA

PROJECT = Path(__file__).parents[2]


def test_the_card_names_the_licence_of_everything_that_went_in() -> None:
    values: dict[str, Any] = {}
    for file in sorted((PROJECT / "conf/base").glob("parameters/*.yml")):
        values |= yaml.safe_load(file.read_text("utf-8"))
    source = {"name": "faq", "data": "faq.csv", "converter": "pairs", "columns": {}, "task": "t"}
    values["finetune"]["sources"] = [source]
    values["pretrain"]["sources"] = [source | {"name": "titles", "data": "titles.csv"}]
    values["queries"]["source"] = "log.jsonl"
    none = pl.DataFrame(schema=EXAMPLE_SCHEMA)
    facts = content.model_facts(none, none, {}, values)
    assert list(facts.licences) == [
        "corpus python-docs", "base model all-MiniLM-L6-v2", "query log",
        "training set titles (titles.csv)", "training set faq (faq.csv)",
    ]  # fmt: skip
    values["teacher"]["backend"] = "transformers"
    assert "the teacher's replies" in content.model_facts(none, none, {}, values).licences
