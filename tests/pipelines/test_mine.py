"""The seed retriever: what it is trained on, with which loss, and what is embedded."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gecko_kedro import training
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.shards import Shard
from gecko_kedro.datasets.search_work import SearchWork
from gecko_kedro.encoder import encode_texts, save_encoder
from gecko_kedro.encoder.formatting import prompts_by_name
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.fret import candidates_with_seeds
from gecko_kedro.fret.schemas import QUERY, table
from gecko_kedro.pipelines.mine import nodes
from gecko_kedro.retrieval import (
    EmbedSettings,
    Index,
    PopularitySettings,
    RouteSettings,
    SearchSettings,
)
from gecko_kedro.retrieval.vector_table import VectorTable
from gecko_kedro.training.settings import EncoderTraining, SeedRetrieverTraining
from tests.support.clusters import engine_settings
from tests.support.tiny_encoder import tiny_encoder

PASSAGES = pl.DataFrame(
    {"passage_id": ["a", "b"], "title": ["T", None], "text": ["yeast makes gas", "oil lamps"]}
)
QUERIES = table(
    [
        {"query_id": "a?0", "task": "Find it", "task_name": "fact checking",
         "query": "gas of yeast", "passage_id": "a", "origin": "synthetic"},
        {"query_id": "log:1", "task": "t", "task_name": "search result", "query": "lamps",
         "passage_id": None, "origin": "log"},
    ],
    QUERY,
)  # fmt: skip


@pytest.fixture
def load(tmp_path: Path) -> LoadSettings:
    tiny_encoder().save(str(tmp_path / "tiny"))
    return LoadSettings(
        reference=str(tmp_path / "tiny"), device="cpu", dtype="float32", max_seq_length=32
    )


EMBED = EmbedSettings(max_seq_length=32)
TRAIN = SeedRetrieverTraining()


def test_it_is_trained_on_queries_and_their_seeds_with_in_batch_negatives(
    load: LoadSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def watch(base: object, examples: pl.DataFrame, **options: Any) -> training.TrainResult:
        asked.update(options, examples=examples)
        return training.TrainResult(base, training.HISTORY_SCHEMA.to_frame(), {})  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_or_keep", watch)
    examples, quarantine = nodes.select_seed_examples(QUERIES, PASSAGES.lazy())
    nodes.train_seed_retriever(examples, tmp_path, load, EncoderTraining(), "trained", TRAIN)
    assert asked["loss"] == "in_batch"
    row = asked["examples"].row(0, named=True)
    assert asked["examples"].height == 1
    assert quarantine.is_empty()
    assert (row["task_name"], row["query"]) == ("fact checking", "gas of yeast")
    assert (row["positive_title"], row["positive"]) == ("T", "yeast makes gas")
    assert not row["negatives"]


def test_a_given_retriever_is_the_initial_embedder(load: LoadSettings, tmp_path: Path) -> None:
    examples, _ = nodes.select_seed_examples(QUERIES, PASSAGES.lazy())
    model, history = nodes.train_seed_retriever(
        examples, tmp_path, load, EncoderTraining(), "given", TRAIN
    )
    assert history.is_empty()
    text = ["task: fact checking | query: gas of yeast"]
    assert np.array_equal(
        encode_texts(model, text, batch_size=1),
        encode_texts(load.load(), text, batch_size=1),
    )


def trained(load: LoadSettings, tmp_path: Path) -> str:
    """The folder of an encoder that brings Gecko's templates, as every training leaves them."""
    folder = tmp_path / "trained"
    prompts = prompts_by_name(["fact checking"], "search result")
    save_encoder(load.load(), folder, prompts=prompts)
    return str(folder)


def test_a_retriever_that_nobody_trained_reads_the_bare_texts(
    load: LoadSettings, tmp_path: Path
) -> None:
    PASSAGES.write_parquet(tmp_path / "passages.parquet")
    (queries,) = nodes.embed_queries(
        load.reference, QUERIES, frozenset(), load, engine_settings(), EMBED
    )
    (passages,) = nodes.embed_passages(
        load.reference, pl.scan_parquet(tmp_path / "passages.parquet"), frozenset(),
        load, engine_settings(), EMBED,
    )  # fmt: skip
    model = load.load(max_seq_length=EMBED.max_seq_length)
    for shard, texts in (
        (queries, ["gas of yeast", "lamps"]),
        (passages, ["T yeast makes gas", "oil lamps"]),
    ):
        expected = encode_texts(model, texts, batch_size=load.batch_size)
        np.testing.assert_allclose(shard.table["vector"].to_numpy(), expected, atol=1e-6)


def test_task_and_query_are_embedded_together(load: LoadSettings, tmp_path: Path) -> None:
    (shard,) = nodes.embed_queries(
        trained(load, tmp_path),
        QUERIES,
        frozenset(),
        load,
        engine_settings(),
        EMBED,
    )
    model = load.load(max_seq_length=EMBED.max_seq_length)
    expected = encode_texts(
        model,
        ["task: fact checking | query: gas of yeast", "task: search result | query: lamps"],
        batch_size=load.batch_size,
    )
    np.testing.assert_allclose(shard.table["vector"].to_numpy(), expected, atol=1e-6)


def test_passages_are_read_from_the_disk_and_embedded_with_their_titles(
    load: LoadSettings, tmp_path: Path
) -> None:
    passages = pl.concat([PASSAGES] * 5).with_columns(passage_id=pl.int_range(10).cast(pl.String))
    passages.write_parquet(tmp_path / "passages.parquet", row_group_size=3)
    shards = list(
        nodes.embed_passages(
            trained(load, tmp_path),
            pl.scan_parquet(tmp_path / "passages.parquet"),
            frozenset({1}),
            load,
            engine_settings(),
            EMBED.model_copy(update={"shard_size": 4}),
        )
    )
    assert [(shard.index, shard.total) for shard in shards] == [(0, 3), (2, 3)]
    made = pl.concat([shard.table for shard in shards])
    assert made["passage_id"].to_list() == ["0", "1", "2", "3", "8", "9"]
    model = load.load(max_seq_length=EMBED.max_seq_length)
    expected = encode_texts(
        model, ["title: T | text: yeast makes gas", "title: none | text: oil lamps"], batch_size=2
    )
    np.testing.assert_allclose(made["vector"].to_numpy(), np.tile(expected, (3, 1)), atol=1e-6)


def vector_table(name: str, ids: list[str], vectors: object) -> VectorTable:
    return VectorTable(pl.Series(name, ids), np.asarray(vectors, dtype=np.float32), "float32")


def search(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    tables: tuple[VectorTable, VectorTable],
    folder: Path,
    *,
    route: RouteSettings = RouteSettings(),
    popularity: PopularitySettings = PopularitySettings(),
    finished: frozenset[int] = frozenset(),
    **changes: Any,
) -> tuple[list[Shard], dict[str, Any]]:
    """The nodes from the vectors to the shards of candidates, and the route."""
    settings = SearchSettings(**{"shard_size": 1, **changes})
    chosen = nodes.choose_route(*tables, folder, settings.n_candidates, route)
    popular = nodes.measure_popularity(*tables, popularity)
    work = SearchWork(finished, folder, engine_settings())
    shards = nodes.search_candidates(
        queries, tables[0], passages.lazy(), tables[1], popular, chosen, work, settings
    )
    return list(shards), chosen


def candidates_of(*args: Any, **changes: Any) -> tuple[pl.DataFrame, dict[str, float]]:
    shards, chosen = search(*args, **changes)
    found = pl.concat([shard.table for shard in shards])
    n_candidates = changes.get("n_candidates", SearchSettings().n_candidates)
    lazy, metrics = nodes.collect_candidates(found.lazy(), chosen, n_candidates)
    return lazy.collect(), metrics


def random_mine(n: int, q: int) -> tuple[pl.DataFrame, pl.DataFrame, VectorTable, VectorTable]:
    """Queries, the one half with seeds, passages, and the vectors of both."""
    random = np.random.default_rng(5)
    vectors = random.normal(size=(n + q, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"p{row}" for row in range(n)]
    rows = [
        {"query_id": f"q{row}", "task": "t", "task_name": "n", "query": "w",
         "passage_id": f"p{random.integers(n)}" if row % 2 else None, "origin": "synthetic"}
        for row in range(q)
    ]  # fmt: skip
    queries = table(rows, QUERY)
    passages = pl.DataFrame({"passage_id": ids, "title": [None] * n, "text": ["w"] * n})
    own = vector_table("query_id", queries["query_id"].to_list(), vectors[n:])
    return queries, passages, own, vector_table("passage_id", ids, vectors[:n])


@pytest.mark.parametrize("size", [1, 7, 100])
def test_candidates_in_shards_are_those_of_one_search_to_the_bit(tmp_path: Path, size: int) -> None:
    queries, passages, *tables = random_mine(60, 23)
    found, metrics = candidates_of(
        queries, passages, tuple(tables), tmp_path, shard_size=size, n_candidates=5
    )
    own, vectors = (side.matrix for side in tables)
    index = Index(vectors)
    whole = index.search(own, 5)
    seeds = [int(seed[1:]) if seed else 0 for seed in queries["passage_id"]]
    scores = index.score_pairs(own, np.array(seeds)[:, None])[:, 0]
    expected = candidates_with_seeds(
        queries, passage_ids=tables[1].ids, ids=whole.ids, scores=whole.scores,
        seed_scores=np.where(queries["passage_id"].is_null().to_numpy(), np.nan, scores),
    )  # fmt: skip
    assert found.equals(expected)
    assert metrics["queries"] == 23
    assert metrics["seeds"] == queries["passage_id"].count()
    assert (metrics["recall"], metrics["pairs"]) == (1.0, 60 * 23)


def test_with_popularity_the_rank_is_by_the_querys_likelihood_under_the_passage(
    tmp_path: Path,
) -> None:
    queries, passages, *tables = random_mine(60, 23)
    settings = PopularitySettings(temperature=0.05, max_queries=1000)
    found, _ = candidates_of(
        queries,
        passages,
        tuple(tables),
        tmp_path,
        shard_size=7,
        n_candidates=5,
        popularity=settings,
        popularity_pool=60,
    )
    own, vectors = (side.matrix.astype(np.float64) for side in tables)
    scores = own @ vectors.T
    less = scores - 0.05 * np.log(np.exp(scores / 0.05).mean(axis=0))
    ranked = np.argsort(-less, axis=1)
    for row, query in enumerate(queries.iter_rows(named=True)):
        candidates = found.filter(pl.col("query_id") == query["query_id"])
        columns = [int(name[1:]) for name in candidates["passage_id"]]
        assert candidates["retriever_rank"].to_list() == [1, 2, 3, 4, 5]
        assert columns[:4] == ranked[row, :4].tolist()
        seed = query["passage_id"]  # in the last one's place where it was not found
        assert seed is None or seed in candidates["passage_id"]
        np.testing.assert_allclose(candidates["retriever_score"], scores[row, columns], atol=1e-6)
        np.testing.assert_allclose(
            candidates["retriever_likelihood"], less[row, columns], atol=1e-5
        )
    plain, _ = candidates_of(
        queries, passages, tuple(tables), tmp_path, shard_size=7, n_candidates=5
    )
    assert plain["retriever_likelihood"].is_null().all()
    assert not plain["passage_id"].equals(found["passage_id"])


def test_popularity_may_be_taken_over_some_of_the_queries(tmp_path: Path) -> None:
    *_, own, vectors = random_mine(8, 23)
    settings = PopularitySettings(temperature=0.05, max_queries=4)
    found = nodes.measure_popularity(own, vectors, settings)
    scores = vectors.matrix @ own.matrix[[0, 5, 11, 17]].T
    expected = 0.05 * np.log(np.exp(scores.astype(np.float64) / 0.05).mean(axis=1))
    np.testing.assert_allclose(found["popularity"], expected, atol=2e-6)
    assert found["passage_id"].equals(vectors.ids)


def test_popularity_of_other_passages_is_refused(tmp_path: Path) -> None:
    queries, passages, *tables = random_mine(8, 5)
    popularity = nodes.measure_popularity(*tables, PopularitySettings(temperature=0.05))
    shards = nodes.search_candidates(
        queries, tables[0], passages.lazy(), tables[1], popularity.reverse(), {"route": "exact"},
        SearchWork(frozenset(), tmp_path, engine_settings()), SearchSettings(),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"mine\.measure_popularity"):
        next(shards)


def test_a_finished_shard_is_not_searched_again(tmp_path: Path) -> None:
    queries, passages, *tables = random_mine(20, 9)
    shards, _ = search(
        queries, passages, tuple(tables), tmp_path, finished=frozenset({0, 2}), shard_size=4
    )
    (shard,) = shards
    assert (shard.index, shard.total) == (1, 3)
    assert shard.table["query_id"].unique(maintain_order=True).to_list() == [
        "q4", "q5", "q6", "q7"
    ]  # fmt: skip


def test_beyond_the_threshold_a_graph_is_searched_and_its_recall_told(tmp_path: Path) -> None:
    queries, passages, *tables = random_mine(300, 40)
    exact, _ = candidates_of(queries, passages, tuple(tables), tmp_path, n_candidates=5)
    route = RouteSettings(exact_max_pairs=11_999, min_recall=0.9, recall_queries=30)
    assert not list(tmp_path.iterdir())
    found, metrics = candidates_of(
        queries, passages, tuple(tables), tmp_path, shard_size=16, n_candidates=5, route=route
    )
    assert list(tmp_path.iterdir())
    assert 0.9 <= metrics["recall"] <= 1.0
    both = found.join(exact, on=["query_id", "passage_id"], how="inner")
    assert both.height >= 0.9 * exact.height
    assert both["retriever_score"].equals(both["retriever_score_right"])
    assert found["is_seed"].sum() == exact["is_seed"].sum()


def test_a_recall_below_the_wanted_one_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, *tables = random_mine(300, 40)
    half = tables[1].matrix.copy()
    half[150:] *= 0  # a graph that was built of other vectors finds only some

    class Poor(nodes.retrieval.ApproximateIndex):
        def __init__(self, exact: Index) -> None:
            super().__init__(Index(half))

    monkeypatch.setattr("gecko_kedro.retrieval.ApproximateIndex", Poor)
    with pytest.raises(InputError, match=r"mine.route.exact_max_pairs=1.2e\+04") as refusal:
        nodes.choose_route(*tables, tmp_path, 5, RouteSettings(exact_max_pairs=0))
    assert 0.0 < float(str(refusal.value.got)) < 0.95


def test_vectors_of_other_queries_are_refused(tmp_path: Path) -> None:
    queries, passages, *tables = random_mine(20, 9)
    with pytest.raises(InputError, match="embed_queries"):
        search(queries.reverse(), passages, tuple(tables), tmp_path)


def test_candidates_of_words_join_those_of_the_embedder_with_their_own_scores(
    tmp_path: Path,
) -> None:
    passages = pl.DataFrame(
        {
            "passage_id": ["a", "b", "c", "d"],
            "title": [None, None, None, "Lamps"],
            "text": ["yeast makes gas", "bread", "flour", "they burn oil"],
        }
    )
    tables = (
        vector_table("query_id", QUERIES["query_id"].to_list(), [[0.0, 1.0], [1.0, 0.0]]),
        vector_table("passage_id", list("abcd"), [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0]]),
    )
    alone, _ = candidates_of(QUERIES, passages, tables, tmp_path, n_candidates=2)
    joined, _ = candidates_of(
        QUERIES, passages.reverse(), tables, tmp_path, n_candidates=2, lexical_candidates=True
    )
    of_log = pl.col("query_id") == "log:1"
    assert alone.filter(of_log)["passage_id"].to_list() == ["a", "b"]
    assert joined.filter(of_log)["passage_id"].to_list() == ["a", "d"]
    assert joined.filter(of_log)["retriever_rank"].to_list() == [1, 2]
    assert joined.filter(of_log)["retriever_score"].to_list() == [1.0, 0.0]
    assert joined.filter(~of_log)["is_seed"].sum() == 1
