"""From rates and sizes to costs: plain arithmetic with known answers."""

from dataclasses import replace

import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.estimation import (
    CallMeasure,
    CorpusMeasure,
    EncoderMeasure,
    Measures,
    RunSize,
    SearchMeasure,
    StageCost,
    TeacherMeasure,
    TrainingMeasure,
    TrainingPlan,
    accelerator_hours,
    cost_table,
    documents_with_seeds,
    run_costs,
    run_size,
    total_cost,
)
from gecko_kedro.estimation.table import duration, size
from gecko_kedro.teacher.usage import Prices

CORPUS = CorpusMeasure(
    documents=1000, sampled_documents=100, passages=250, training_passages=200, natural_pairs=50,
    seconds=2.0, passage_bytes=300, passage_memory=600, memory=1e6,
)  # fmt: skip
ENCODER = EncoderMeasure(
    dimension=384, weights=1000, load_seconds=3, passage_seconds=0.5, query_seconds=0.25,
    passage_tokens=100, query_tokens=20, memory=1e8, base_memory=1e9,
)  # fmt: skip
TEACHER = TeacherMeasure(
    calls={
        "generate": CallMeasure(prompt_tokens=400, completion_tokens=50, seconds=2),
        "query_log_likelihood": CallMeasure(prompt_tokens=500, completion_tokens=10, seconds=0.5),
    },
    start_seconds=7, start_seconds_per_passage=0, seed_seconds=0.125, candidate_seconds=0.0625,
    stored_bytes=100, query_bytes=40, judgement_bytes=30, memory=1e7,
)  # fmt: skip
TRAINING = TrainingMeasure(
    start_seconds=5, row_seconds=0.5, checkpoint_seconds=2, row_memory=1e6, weights=1000
)
MEASURES = Measures(
    CORPUS, ENCODER, SearchMeasure(pair_seconds=1e-6, query_seconds=0.01, component_bytes=2),
    TEACHER,
    {"mine": TRAINING, "finetune": TRAINING},
)  # fmt: skip
SIZE = RunSize(documents=1000, passages=2000, seeds=10, queries=10, pairs=500)
PLANS = {"mine": TrainingPlan(10, 4, 1, None, 2), "finetune": TrainingPlan(100, 8, 2, 5, 25)}


def costs(size: RunSize = SIZE, n_candidates: int = 20) -> dict[str, StageCost]:
    found = run_costs(MEASURES, size, plans=PLANS, n_candidates=n_candidates, queries_per_passage=1)
    return {cost.stage: cost for cost in found}


def test_a_sample_of_a_tenth_stands_for_ten_times_as_many_passages() -> None:
    found = run_size(
        CORPUS, passages=None, max_passages=None, n_seeds=300, queries_per_passage=2,
        logged_queries=5,
    )  # fmt: skip
    assert found == RunSize(documents=1000, passages=2000, seeds=300, queries=605, pairs=500)


def test_a_sample_has_more_seeds_than_are_asked_for_by_four_standard_deviations() -> None:
    found = documents_with_seeds(1_000_000, queries=100, n_seeds=10_000)
    expected_seeds = found / 1_000_000 * 10_000
    assert expected_seeds - 4 * expected_seeds**0.5 > 100 - 10
    assert found < 20_000
    assert documents_with_seeds(50, queries=8, n_seeds=10) == 50


@pytest.mark.parametrize(("limit", "seeds", "kept"), [(50, 50, 50), (None, 300, 2000)])
def test_no_more_seeds_are_drawn_than_there_are_passages(
    limit: int | None, seeds: int, kept: int
) -> None:
    found = run_size(CORPUS, passages=None, max_passages=limit, n_seeds=300, queries_per_passage=1)
    assert (found.passages, found.seeds) == (kept, seeds)


def test_a_size_on_paper_takes_the_place_of_the_corpus_and_of_its_cap() -> None:
    found = run_size(
        CORPUS, passages=10**8, max_passages=50, n_seeds=6_600_000, queries_per_passage=1
    )
    assert (found.passages, found.queries) == (10**8, 6_600_000)
    assert found.documents == 10**8 // 2


def test_steps_end_at_the_last_batch_of_the_epochs_or_at_max_steps() -> None:
    assert TrainingPlan(10, 4, 2, None, 25).steps == 6
    assert TrainingPlan(10, 4, 2, None, 25).rows_seen == 20
    assert TrainingPlan(10, 4, 2, 3, 2).rows_seen == 12
    assert TrainingPlan(10, 4, 2, 3, 2).checkpoints == 2


def test_each_stage_costs_what_its_rates_say() -> None:
    found = costs()
    assert found["synthesize.read_passages"].seconds == 20
    assert found["synthesize.synthesize_queries"].seconds == 7 + 10 * 2 + 10 * 0.125
    assert found["mine.train_seed_retriever"].seconds == 5 + 10 * 0.5 + 2 * 2
    assert found["mine.embed_passages"].seconds == 3 + 2000 * 0.5
    assert found["mine.embed_passages"].disk == 2000 * 384 * 2
    assert found["mine.embed_queries"].encoder_tokens == 10 * 20
    assert found["mine.search_candidates"].seconds == pytest.approx(10 * 2000 * 1e-6 + 10 * 0.01)
    assert found["relabel.judge_candidates"].seconds == 7 + 200 * 0.5 + 200 * 0.0625
    assert found["finetune.finetune_encoder"].seconds == 5 + 40 * 0.5 + 2
    assert "pretrain.pretrain_encoder" not in found


def test_tokens_and_money_go_with_the_calls() -> None:
    total = total_cost(costs().values())
    assert total.usage.calls == 10 + 200
    assert total.usage.prompt_tokens == 10 * 400 + 200 * 500
    assert total.usage.completion_tokens == 10 * 50 + 200 * 10
    table = cost_table(list(costs().values()), prices=Prices(prompt=1.0, completion=2.0))
    assert table.splitlines()[-1].endswith(f"{(104_000 + 2 * 2_500) / 1e6:.2f}")


def test_fewer_passages_than_candidates_are_judged_once_each() -> None:
    small = replace(SIZE, passages=3)
    assert costs(small)["relabel.judge_candidates"].usage.calls == 30


def test_stages_follow_each_other_so_that_memory_is_the_largest_and_the_rest_adds_up() -> None:
    parts, total = list(costs().values()), total_cost(costs().values())
    assert total.seconds == sum(part.seconds for part in parts)
    assert total.disk == sum(part.disk for part in parts)
    assert total.memory == max(part.memory for part in parts)
    assert total.scratch == max(part.scratch for part in parts)


def test_twice_the_queries_search_and_judge_twice_as_long() -> None:
    once, twice = costs(), costs(replace(SIZE, queries=20))
    for stage in ("mine.search_candidates", "relabel.judge_candidates"):
        start = 7 if "judge" in stage else 0
        assert twice[stage].seconds - start == pytest.approx(2 * (once[stage].seconds - start))


def test_figures_are_printed_in_the_unit_that_reads_best() -> None:
    assert [duration(s) for s in (0.5, 119, 600, 3.6e4, 8.64e6)] == [
        "0.5 s", "119 s", "10 min", "10 h", "100 d",
    ]  # fmt: skip
    assert [size(b) for b in (0, 999, 1540, 2.5e9, 3e16)] == [
        "0 B", "999 B", "1.54 kB", "2.5 GB", "30 PB",
    ]  # fmt: skip


def test_hours_of_an_accelerator_are_operations_over_what_it_reaches() -> None:
    hours = accelerator_hours(weights=1e9, tokens=1e9, operations=2, peak=1e15, utilisation=0.5)
    assert hours == pytest.approx(2e18 / 5e14 / 3600)
    with pytest.raises(InputError, match="utilisation"):
        accelerator_hours(weights=1, tokens=1, operations=2, peak=1e15, utilisation=0)
