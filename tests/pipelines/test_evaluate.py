"""What the model card is told."""

import polars as pl

from gecko_kedro.pipelines.evaluate import content
from gecko_kedro.training.examples import EXAMPLE_SCHEMA
from tests.support.conf import all_base_parameters


def test_the_card_names_the_licence_of_everything_that_went_in() -> None:
    values = all_base_parameters()
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
