"""No text of the evaluation reaches a training step, by whatever road it comes."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.corpus.schemas import (
    OVERLAP_SCHEMA,
    PAIR_SCHEMA,
    PASSAGE_SCHEMA,
    QUARANTINE_SCHEMA,
    QUERY_LOG_SCHEMA,
)
from gecko_kedro.corpus.settings import PairSettings
from gecko_kedro.datasets import EvaluationTasksDataset
from gecko_kedro.evaluation import ReadTasks
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, RetrievalData
from gecko_kedro.evaluation.tasks.rows import checked_rows
from gecko_kedro.fret import FilterSettings, JoinSettings, RoundTripSettings
from gecko_kedro.fret.schemas import QUERY
from gecko_kedro.params import Parameters
from gecko_kedro.pipeline_registry import EXTRAS, STAGES, register_pipelines
from gecko_kedro.pipelines.evaluate.nodes import list_decontamination
from gecko_kedro.pipelines.finetune.nodes import decontaminate_finetune_examples
from gecko_kedro.pipelines.pretrain.nodes import (
    decontaminate_pretrain_examples,
    select_pretrain_examples,
)
from gecko_kedro.pipelines.synthesize.nodes import (
    collect_queries,
    decontaminate_passages,
    filter_queries,
    pair_passages,
)
from gecko_kedro.training.examples import EXAMPLE_SCHEMA
from gecko_kedro.training.sources import SourceSettings, read_source
from tests.support.conf import PROJECT, all_base_parameters

QUERY_TEXT = "which alloy resists salt water"
POSITIVE = "Bronze with a little aluminium resists sea water for many decades of service."
TESTED = "I never got my card by post"
NOTHING = pl.DataFrame(schema=QUARANTINE_SCHEMA)


@pytest.fixture(scope="module")
def params() -> Parameters:
    return Parameters.model_validate(all_base_parameters())


@pytest.fixture(scope="module")
def own_data() -> CheckedData:
    data = RetrievalData(
        "own",
        pl.DataFrame({"id": ["p1", "p2"], "title": ["", ""], "text": [POSITIVE, "Another one."]}),
        pl.DataFrame({"id": ["q1"], "text": [QUERY_TEXT], "group": ["q1"]}),
        pl.DataFrame({"query_id": ["q1"], "passage_id": ["p1"], "score": [1]}),
    )
    return CheckedData(data, NOTHING)


@pytest.fixture(scope="module")
def declared() -> ReadTasks:
    rows = pl.DataFrame(
        {"split": ["train", "train", "test"], "text": ["free one", "free two", TESTED],
         "label": ["a", "b", "a"]}
    )  # fmt: skip
    task = checked_rows("Intents", "Classification", rows, where="here", task="t").data
    return ReadTasks([task], NOTHING)


def test_a_pair_with_a_query_or_text_of_the_heldout_pairs_is_set_aside() -> None:
    def passages(*rows: tuple[str, str]) -> pl.DataFrame:
        full = [(f"p{n}", "d", None, s, t, "g", 0, 9) for n, (s, t) in enumerate(rows)]
        return pl.DataFrame(full, schema=PASSAGE_SCHEMA, orient="row")

    training = passages(("Summary 0.", "same"), ("free", "TEXT  1"), ("summary\n3.", "other"))
    heldout = passages(("One.", "text 1"), ("Summary 3.", "more"))
    settings = PairSettings(kinds=["summary_body"], heldout_kinds=["summary_body"])
    pairs, held, quarantine = pair_passages(training, heldout, settings)
    assert pairs["passage_id"].to_list() == ["p0"]
    assert held.height == 2
    assert quarantine.schema == QUARANTINE_SCHEMA
    assert quarantine.select("where", "row_id", "reason", "detail").rows() == [
        ("decontamination", "summary_body:p1", "text_in_heldout",
         "its text is in the evaluation data"),
        ("decontamination", "summary_body:p2", "query_in_heldout",
         "its query is in the evaluation data"),
    ]  # fmt: skip


def heldout_pairs(*queries: str) -> pl.DataFrame:
    rows = [
        {"pair_id": f"h{n}", "kind": "summary_body", "task": "t", "query": query,
         "passage_id": f"h{n}", "text": f"Held-out text of {query}.", "group": "g"}
        for n, query in enumerate(queries)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=PAIR_SCHEMA)


def example(query: str, positive: str, *negatives: str, dataset: str = "faq") -> dict[str, Any]:
    return {
        "dataset": dataset, "task_name": "t", "query": query, "positive_title": None,
        "positive": positive, "negatives": [{"title": None, "text": text} for text in negatives],
        "teacher_scores": None, "label": None, "symmetric": False,
    }  # fmt: skip


CLEAN = example("what is a keel", "The keel is the lowest part of a hull.", "A hat.")


def check(rows: list[dict[str, Any]], pairs: pl.DataFrame, own, declared, params: Parameters):
    return decontaminate_finetune_examples(
        pl.DataFrame(rows, schema=EXAMPLE_SCHEMA), pairs, own, declared, params.encoder.load,
        params.decontaminate,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "found_in"),
    [
        (example(QUERY_TEXT.upper(), "x y"), ("query", "own", "query q1")),
        (example("a b", POSITIVE), ("positive", "own", "passage p1")),
        (example("a b", "c d", "fine", POSITIVE), ("negative", "own", "passage p1")),
        (example(TESTED, "e f"), ("query", "Intents", "row 2")),
        (example("how to weld", "g h"), ("query", "heldout", "query h0")),
    ],
)
def test_an_example_with_a_text_of_the_evaluation_goes_and_is_listed(
    row: dict[str, Any], found_in: tuple[str, str, str], own_data, declared, params
) -> None:
    kept, overlaps = check([CLEAN, row], heldout_pairs("how to weld"), own_data, declared, params)
    assert kept.to_dicts() == [CLEAN]
    assert kept.schema == EXAMPLE_SCHEMA
    assert overlaps.schema == OVERLAP_SCHEMA
    assert overlaps.select("where", "row_id").row(0) == ("finetune", "faq, row 1")
    assert overlaps.select("column", "task", "text_id").row(0) == found_in


def test_a_text_that_only_guard_scores_is_taken_out_too(tmp_path: Path, params) -> None:
    (tmp_path / "sts").mkdir()
    first, second = ["a man rows", "it snows"], ["one rows a boat", "a hat"]
    pairs = {"sentence1": first, "sentence2": second, "score": [4.0, 0.0]}
    pl.DataFrame(pairs).write_parquet(tmp_path / "sts/test.parquet")
    unseen = EvaluationTasksDataset(
        tasks=[], more=[{"name": "General", "type": "STS", "path": "sts"}], root=str(tmp_path),
        filepath=str(PROJECT / "conf/prompts/mteb_tasks.yml"),
    )  # fmt: skip
    rows = [CLEAN, example("One rows a  boat", "x y")]
    kept, overlaps = check(rows, heldout_pairs(), None, unseen.load(), params)
    assert kept.to_dicts() == [CLEAN]
    assert overlaps["task"].to_list() == ["General"]


def test_all_that_makes_training_rows_is_told_what_evaluate_and_guard_score() -> None:
    made = {
        node.name: node.inputs
        for name, pipeline in register_pipelines().items()
        if name in {*STAGES, *EXTRAS}
        for node in pipeline.nodes
    }
    told = {name for name, inputs in made.items() if "evaluation_tasks@unseen" in inputs}
    assert told == {
        "synthesize.decontaminate_passages", "synthesize.collect_queries",
        "pretrain.decontaminate_pretrain_examples", "finetune.decontaminate_finetune_examples",
        "ablate.run_ablations",
    }  # fmt: skip
    entries = yaml.safe_load((PROJECT / "conf/base/catalog/01_raw.yml").read_text("utf-8"))
    tasks, more = (entries["evaluation_tasks@unseen"][key] for key in ("tasks", "more"))
    assert tasks == entries["evaluation_tasks@listed"]["tasks"] == "${params:evaluate.tasks}"
    assert more == entries["evaluation_tasks@general"]["tasks"] == "${params:guard.tasks}"


def test_another_text_of_the_evaluation_is_no_reason(own_data, declared, params) -> None:
    row = example("free one", "Another one.")
    kept, overlaps = check([row], heldout_pairs(), own_data, declared, params)
    assert kept.to_dicts() == [row]
    assert overlaps.is_empty()


def test_without_removal_rows_stay_and_are_listed(own_data, declared, params: Parameters) -> None:
    rows = [example(QUERY_TEXT, POSITIVE)]
    kept, overlaps = check(rows, heldout_pairs(), own_data, declared, removing(params, False))
    assert kept.to_dicts() == rows
    assert overlaps.select("text_id", "removed").rows() == [("query q1", False)]


def test_only_rows_with_a_query_of_the_evaluation_go_if_that_is_wanted(
    own_data, declared, params: Parameters
) -> None:
    written = example(POSITIVE, "x y")  # a query out of a passage of the corpus to be searched
    rows = [example(QUERY_TEXT, "x y"), example("a b", POSITIVE), written, CLEAN,
            example("how to weld", "g h")]  # fmt: skip
    pairs = heldout_pairs("how to weld")
    kept, overlaps = check(rows, pairs, own_data, declared, removing(params, "queries"))
    assert kept.to_dicts() == rows[1:4]
    assert set(overlaps.select("row_id", "removed").rows()) == {
        ("faq, row 0", True), ("faq, row 4", True), ("faq, row 1", False), ("faq, row 2", False),
    }  # fmt: skip


def removing(params: Parameters, remove: bool | str) -> Parameters:
    changed = params.decontaminate.model_copy(update={"remove": remove})
    return params.model_copy(update={"decontaminate": changed})


def test_nothing_left_to_train_on_is_an_error_that_says_so(own_data, declared, params) -> None:
    with pytest.raises(InputError, match="decontaminate, finetune") as error:
        check([example(QUERY_TEXT, POSITIVE)], heldout_pairs(), own_data, declared, params)
    assert "decontaminate.remove" in str(error.value)


def test_natural_pairs_and_sources_are_checked_before_pre_finetuning(
    tmp_path: Path, own_data, declared, params: Parameters
) -> None:
    file = tmp_path / "faq.csv"
    file.write_text(f"question,answer\nIs it free?,It is free.\nWhat resists it?,{POSITIVE}\n")
    source = SourceSettings(
        name="faq", data=str(file), converter="pairs", task="question answering",
        columns={"query": "question", "positive": "answer"},
    )  # fmt: skip
    pairs = heldout_pairs("what is a mast", QUERY_TEXT)
    examples, _ = select_pretrain_examples(
        pairs, {"faq": read_source(source, seed=1)}, [source], params.pretrain.select
    )
    assert examples.height == 4
    kept, overlaps = decontaminate_pretrain_examples(
        examples, heldout_pairs(), own_data, declared, params.encoder.load, params.decontaminate
    )
    assert set(kept["query"]) == {"Is it free?", "what is a mast"}
    assert set(overlaps["text_id"]) == {"query q1", "passage p1"}


@pytest.mark.parametrize("use", ["join", "replace"])
def test_queries_of_the_teacher_and_of_the_log_are_checked(
    use: str, own_data, declared, params: Parameters
) -> None:
    passages = pl.DataFrame(
        [{"passage_id": "p", "doc_id": "p", "title": None, "summary": None, "text": "some text",
          "group": "g", "start": 0, "end": 9}], schema=PASSAGE_SCHEMA,
    )  # fmt: skip
    written = [
        {"query_id": f"s{n}", "task": "t", "task_name": "t", "query": text, "passage_id": "p",
         "origin": "lexical"}
        for n, text in enumerate([QUERY_TEXT, "how to sail", "how to weld"])
    ]  # fmt: skip
    log = pl.DataFrame({"query_id": ["1", "2"], "query": [TESTED, "rules of the road at sea"]},
                       schema=QUERY_LOG_SCHEMA)  # fmt: skip
    query_log, pairs = Checked(log, NOTHING, {}), heldout_pairs("how to weld")
    asked, overlaps = collect_queries(
        pl.DataFrame(written, schema=QUERY), query_log, pairs, own_data, declared,
        JoinSettings(use=use), params.encoder.load, params.decontaminate,  # type: ignore[arg-type]
    )  # fmt: skip
    queries, quarantine = filter_queries(
        asked, overlaps, NOTHING, query_log, passages, pairs, params.encoder.load,
        FilterSettings(max_reject_rate=1.0, round_trip=RoundTripSettings(rank=None)),
    )  # fmt: skip
    synthetic = {"how to sail"} if use == "join" else set()
    assert set(queries["query"]) == {"rules of the road at sea", *synthetic}
    assert set(quarantine["reason"]) == {"evaluation_query"}
    expected = {("log:1", "Intents")}
    if use == "join":
        expected |= {("s0", "own"), ("s2", "heldout")}
    assert set(overlaps.select("row_id", "task").rows()) == expected


def test_all_stages_end_in_one_table_and_its_counts(own_data, declared, params) -> None:
    passages = pl.DataFrame(
        [{"passage_id": name, "doc_id": name, "title": None, "summary": None, "text": text,
          "group": "g", "start": 0, "end": 9} for name, text in (("p", POSITIVE), ("n", "new"))],
        schema=PASSAGE_SCHEMA,
    )  # fmt: skip
    _, of_passages, metrics = decontaminate_passages(
        passages, passages.clear(), own_data, declared, params.encoder.load, params.decontaminate
    )
    assert metrics == {"overlapping": 1, "removed": 1, "passages.text_equal_text": 1}
    _, of_examples = check(
        [CLEAN, example(QUERY_TEXT, "x y")], heldout_pairs(), own_data, declared, params
    )
    empty = of_passages.clear()
    table, counts = list_decontamination(of_passages, empty, empty, of_examples)
    assert table["where"].to_list() == ["passages", "finetune"]
    assert counts == {
        "overlapping": 2, "removed": 2,
        "finetune.query_equal_text": 1, "passages.text_equal_text": 1,
    }  # fmt: skip
