"""What a parameter may make stale, whatever the table says today."""

import pytest

from gecko_kedro.pipeline_registry import EXTRAS
from tests.support.stale_table import StaleTable

SHOWN = "relabel.audit."  # of reports: how much is shown
SEARCH = "mine.search.n_candidates"
LORA = "encoder.train.lora"
LABELS = {"candidates", "relabel.judgement_shards", "fret"}
BEFORE_TRAINING = {
    "synthesize.all_passages", "passages@table", "synthesize.heldout_passages",
    "natural_pairs@table", "synthesize.seed_passages", "synthesize.query_shards", "queries@table",
    "mine.seed_examples",
}  # fmt: skip
BEFORE_CANDIDATES = {
    *BEFORE_TRAINING, "mine.seed_retriever", "mine.seed_retriever_history",
    "mine.passage_vector_shards", "mine.query_vector_shards", "mine.passage_popularity",
}  # fmt: skip
# Blocks and names of which another value never changes a result, only when and where it is made.
EXEMPT_BLOCKS = ("engine.", "teacher.budget.")
EXEMPT_NAMES = {
    "device", "attention", "batch_size", "workers", "threads", "compile", "checkpoint_steps",
    "queries_at_once", "min_recall", "recall_queries", "shard_size",
    # Of the teacher: how it is reached, how much it is asked at once, what it runs on.
    "api_key_env", "api_key_header", "base_url", "headers", "backoff_s", "breaker_cooldown_s",
    "breaker_failures", "breaker_probes", "check_at_start", "concurrency", "longest_wait_s",
    "max_retries", "timeout_s", "wait_for_server_s", "check_prompt_tokens",
    "batch_tokens", "kv_cache_tokens", "engine_args",
    "gpu_memory_utilization", "max_num_batched_tokens", "tensor_parallel_size",
}  # fmt: skip


def road(table: StaleTable, leaf: str) -> set[str]:
    """The stale outputs of the six stages, without those beside the road."""
    beside = tuple(f"{name}." for name in EXTRAS)
    return {
        output
        for node in table.pipeline.nodes
        if node.name in table.nodes_of(leaf) and not node.name.startswith(beside)
        for output in node.outputs
    }


def test_the_names_of_these_rules_are_those_of_the_pipelines(table: StaleTable) -> None:
    assert {*BEFORE_CANDIDATES, *LABELS} <= table.pipeline.all_outputs()


def test_a_display_setting_reaches_only_reports(table: StaleTable) -> None:
    shown = [leaf for leaf in table.readers if leaf.startswith(SHOWN)]
    assert shown
    for leaf in shown:
        folders = {table.layer(name) for name in table.of(leaf)}
        assert folders == {"08_reporting"}, leaf
        assert not any(name.startswith(tuple(EXTRAS)) for name in table.nodes_of(leaf)), leaf


def test_the_number_of_candidates_reaches_only_candidates_and_what_follows(
    table: StaleTable,
) -> None:
    assert "candidates" in road(table, SEARCH)
    assert not road(table, SEARCH) & BEFORE_CANDIDATES


def test_an_option_of_training_reaches_nothing_before_training(table: StaleTable) -> None:
    training = [
        leaf
        for leaf in table.readers
        if leaf.startswith(("encoder.train.", "pretrain.train.", "finetune.train.", "mine.train."))
    ]
    assert LORA in training
    for leaf in training:
        assert not road(table, leaf) & BEFORE_TRAINING, leaf


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_training_makes_no_label_stale(table: StaleTable, stage: str) -> None:
    for leaf in table.readers:
        if leaf.startswith(f"{stage}."):
            assert not road(table, leaf) & LABELS, leaf


def test_nothing_that_changes_a_result_is_exempt(table: StaleTable) -> None:
    others = {leaf for leaf in table.exempt() if not leaf.startswith(EXEMPT_BLOCKS)}
    assert {leaf for leaf in others if leaf.rpartition(".")[2] not in EXEMPT_NAMES} == set()
