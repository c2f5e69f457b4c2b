"""What the model card and the report are told."""

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


def facts(**changes: object) -> dict[str, object]:
    nothing = {"training": {}, "corpus": {}, "adaptation": {}, "label_audit": {}, "forgetting": [],
               "ablations": [], "label_quality": []}  # fmt: skip
    return nothing | changes


def measured(ranking: str, mean: float, verdict: str) -> dict[str, object]:
    return {
        "ranking": ranking, "measure": "ndcg_at_10", "mean": mean, "difference": mean - 0.6,
        "low": mean - 0.62, "high": mean - 0.58, "queries": 100, "verdict": verdict,
    }  # fmt: skip


def test_the_report_says_first_whether_the_labels_rank_better_than_the_retriever() -> None:
    for mean, verdict, warns in ((0.65, "better", False), (0.6, "not shown", True)):
        rows = [
            measured("retriever", 0.6, "not shown"),
            measured("query_likelihood + retriever", mean, verdict),
        ]
        (note,) = content.other_pipelines(facts(label_quality=rows))["notes"]
        assert note.startswith("Warning: ") is warns
        assert f"has nDCG@10 {mean:.3f}, the retriever alone 0.600" in note


def test_the_report_says_what_the_teacher_learned_from() -> None:
    adaptation = {
        "pairs": {"natural_pairs": 500, "written": 498},
        "first_heldout_loss": 3.4, "best_heldout_loss": 2.5,
    }  # fmt: skip
    (note,) = content.other_pipelines(facts(adaptation=adaptation))["notes"]
    assert "500 of natural_pairs, 498 of written" in note
    assert "from 3.40 to 2.50" in note
