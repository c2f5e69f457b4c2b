"""The whole of FRet with the lexical stand-in: from passages to examples, and on real data."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from gecko_kedro import fret
from gecko_kedro.fret.schemas import CANDIDATE, QUERY
from gecko_kedro.teacher import LexicalSettings, StoredTeacher, TeacherSettings, build_teacher

CONF = Path(__file__).resolve().parents[2] / "conf"
PROMPTS = fret.Prompts.model_validate(
    yaml.safe_load((CONF / "prompts" / "gecko.yml").read_text("utf-8"))
)
RANKERS: list[fret.Ranker] = ["query_likelihood", "relevance"]
LEXICAL = LexicalSettings(form_shares={"question": 3, "keywords": 2, "description": 2, "claim": 1})
SETTINGS = TeacherSettings(backend="lexical", batch_size=3, lexical=LEXICAL)
SHARES = fret.Shares(task={"question answering": 1, "keyword search": 1}, difficulty={"hard": 1})
TEXTS = [
    "The power method finds the dominant eigenvalue of a matrix by repeated multiplication.",
    "Yeast feeds on sugar and gives off carbon dioxide, which makes the dough of bread swell.",
    "Oil lamps have burned on the highest hill of the island since the sixteenth century.",
    "Die Brücke wurde im Frühjahr für Autos gesperrt; Fahrräder dürfen sie weiter benutzen.",
    "شمعة الإشعال تشعل خليط الوقود والهواء داخل أسطوانة المحرك في اللحظة المناسبة",
    "Graphene 🙂 conducts heat along its plane several times better than copper does.",
]
PASSAGES = pl.DataFrame(
    {
        "passage_id": [f"p{n}" for n in range(len(TEXTS))],
        "title": ["linalg.power_method", None, "", None, None, "Graphene"],
        "text": TEXTS,
    }
)


Tables = tuple[pl.DataFrame, pl.DataFrame]


def road(teacher: StoredTeacher, passages: pl.DataFrame, *, n: int = 20) -> Tables:
    """Every passage is a candidate of every query, in a fixed order, the seed last; N > corpus."""
    writing = fret.WriteSettings(queries_per_passage=2, shares=SHARES)
    made = fret.synthesize_queries(passages, teacher=teacher, prompts=PROMPTS, settings=writing)
    loose = fret.FilterSettings(max_reject_rate=0.5, near_duplicate_threshold=None)
    kept, _ = fret.filter_queries(made.queries, passages, loose, rejected=made.quarantine)
    rows = []
    for query_id, seed_id in kept.select("query_id", "passage_id").iter_rows():
        others = [p for p in passages["passage_id"] if p != seed_id]
        for rank, passage_id in enumerate([*others[: n - 1], seed_id], start=1):
            rows.append((query_id, passage_id, rank, 1 - rank / 100, None, passage_id == seed_id))
    candidates = pl.DataFrame(rows, schema=CANDIDATE, orient="row")
    judgements, _ = fret.score_candidates(
        kept, candidates, passages, teacher=teacher, prompts=PROMPTS, rankers=RANKERS,
        settings=fret.JudgeSettings(queries_at_once=3),
    )  # fmt: skip
    rankings = fret.fuse_rankings(candidates, judgements, rankers=RANKERS)
    return fret.choose_examples(rankings, kept, passages)


def test_every_script_goes_the_whole_way_and_finds_its_own_passage(tmp_path: Path) -> None:
    labelled, _ = road(build_teacher(SETTINGS, texts=TEXTS, store=tmp_path), PASSAGES)
    assert set(labelled["seed_id"]) == set(PASSAGES["passage_id"])
    # The retriever had every seed last; the teacher puts it first.
    assert labelled["positive_is_seed"].all()
    assert (labelled["negative_id"] != labelled["positive_id"]).all()
    assert (labelled["candidate_ids"].list.len() == len(TEXTS)).all()


def test_a_second_run_asks_the_teacher_nothing_and_gives_the_same_table(tmp_path: Path) -> None:
    first = road(build_teacher(SETTINGS, texts=TEXTS, store=tmp_path), PASSAGES)
    again = build_teacher(SETTINGS, texts=TEXTS, store=tmp_path)
    assert road(again, PASSAGES)[0].equals(first[0])
    assert again.usage.generate.calls == 0
    assert again.usage.query_log_likelihood.calls == 0
    assert again.usage.label_log_likelihood.calls == 0
    assert again.usage.query_log_likelihood.hits > 0


def test_one_passage_only_ends_in_quarantine(tmp_path: Path) -> None:
    only = PASSAGES.head(1)
    labelled, quarantine = road(build_teacher(SETTINGS, texts=only["text"], store=tmp_path), only)
    assert labelled.is_empty()
    assert set(quarantine["reason"]) == {"no_negative"}


@pytest.mark.shared_data
def test_the_stand_in_ranks_judged_passages_of_cranfield_above_others(
    tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data("eval_cranfield")
    corpus = pl.read_parquet(folder / "corpus.parquet").rename({"id": "passage_id"})
    qrels = pl.read_parquet(folder / "qrels_test.parquet").filter(pl.col("score") > 0)
    texts = dict(pl.read_parquet(folder / "queries_test.parquet").iter_rows())
    rng, all_ids = random.Random(3), corpus["passage_id"].to_list()
    rows, queries, relevant = [], [], {}
    for query_id in sorted(texts)[:60]:
        good = qrels.filter(query_id=query_id)["doc_id"].to_list()[:5]
        mixed = list(dict.fromkeys([*good, *rng.sample(all_ids, 15)]))
        rng.shuffle(mixed)  # so that the retriever's order, which settles ties, says nothing
        relevant[query_id] = set(good)
        rows += [(query_id, p, rank, 0.0, None, False) for rank, p in enumerate(mixed, start=1)]
        queries.append((query_id, "t", "search result", texts[query_id], None, "log"))
    candidates = pl.DataFrame(rows, schema=CANDIDATE, orient="row")
    teacher = build_teacher(SETTINGS, texts=corpus["text"], store=tmp_path)
    judgements, _ = fret.score_candidates(
        pl.DataFrame(queries, schema=QUERY, orient="row"), candidates, corpus,
        teacher=teacher, prompts=PROMPTS, rankers=RANKERS,
    )  # fmt: skip
    rankings = fret.fuse_rankings(candidates, judgements, rankers=RANKERS)
    assert mean_ndcg(candidates.sort("retriever_rank"), relevant) < 0.5
    assert mean_ndcg(rankings, relevant) > 0.8


def mean_ndcg(rows: pl.DataFrame, relevant: dict[str, set[str]]) -> float:
    """nDCG@10 of the rows in their order, mean over queries."""
    order = rows.group_by("query_id", maintain_order=True).agg("passage_id")
    values = []
    for query_id, passage_ids in order.iter_rows():
        gains = [1 / math.log2(place + 2) for place in range(10)]
        found = sum(
            gain for gain, p in zip(gains, passage_ids, strict=False) if p in relevant[query_id]
        )
        if relevant[query_id]:
            values.append(found / sum(gains[: len(relevant[query_id])]))
    return sum(values) / len(values)
