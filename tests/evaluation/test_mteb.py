from dataclasses import replace
from pathlib import Path

import mteb
import numpy as np
import polars as pl
import pytest
import pytrec_eval
from mteb.types import PromptType

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder import settings as encoder_settings
from gecko_kedro.encoder.encoding import encode_texts, truncate_vectors
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.scoring.mteb_models import (
    Bm25Search,
    EmbedOnce,
    GeckoEncoder,
    quantised,
    rendered,
)
from gecko_kedro.evaluation.scoring.score_table import (
    BM25,
    PER_QUERY_SCHEMA,
    SCORES_SCHEMA,
    concat_scores,
)
from gecko_kedro.evaluation.scoring.scoring_run import evaluate_bm25, evaluate_encoder
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.settings import TaskPrompt
from gecko_kedro.retrieval import LexicalIndex


def under_test(reference: Path | str, **changes) -> EncoderUnderTest:
    how = {"max_seq_length": 32, "batch_size": 5, "device": "cpu", "dtype": "float32"}
    how |= {name: changes.pop(name) for name in how.keys() & changes}
    arguments = {"name": "tiny", "templates": "gecko", "dims": (32, 8)} | changes
    return EncoderUnderTest(load=LoadSettings(reference=str(reference), **how), **arguments)


def by_hand(
    data: RetrievalData,
    encoder: EncoderUnderTest,
    dimension: int,
    texts: tuple[list[str], list[str]],
) -> dict[str, dict[str, float]]:
    """The measures of each query by brute force in NumPy and trec_eval."""
    model = encoder.load.load()
    queries, passages = (
        truncate_vectors(encode_texts(model, side, batch_size=encoder.load.batch_size), dimension)
        for side in texts
    )
    similarity = queries @ passages.T
    ranked = np.argsort(-similarity, axis=1, kind="stable")[:, :100]
    ids = data.corpus["id"].to_list()
    run = {
        query: {ids[column]: float(similarity[row, column]) for column in ranked[row]}
        for row, query in enumerate(data.queries["id"])
    }
    qrels: dict[str, dict[str, int]] = {}
    for query, passage, score in data.qrels.iter_rows():
        qrels.setdefault(query, {})[passage] = score
    measures = {"ndcg_cut.10", "recall.20"}
    return pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)


def score(table: pl.DataFrame, **where) -> float:
    return table.filter(**where)["score"].item()


def test_scores_equal_an_independent_computation(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = under_test(tiny_encoder)
    found = evaluate_encoder(encoder, [toy_data], cache_root=tmp_path)
    assert found.failures.is_empty()
    assert found.scores.schema == SCORES_SCHEMA
    assert found.per_query.schema == PER_QUERY_SCHEMA
    texts = (
        [f"task: search result | query: {text}" for text in toy_data.queries["text"]],
        [f"title: {row['title'] or 'none'} | text: {row['text']}"
         for row in toy_data.corpus.to_dicts()],
    )  # fmt: skip
    for dimension in encoder.dims:
        expected = by_hand(toy_data, encoder, dimension, texts)
        single = found.per_query.filter(dimension=dimension)
        assert single["query_id"].to_list() == sorted(expected)
        for row in single.iter_rows(named=True):
            assert row["score"] == pytest.approx(expected[row["query_id"]]["ndcg_cut_10"])
            assert len(row["top_ids"]) == 10
        for metric, name in (("ndcg_at_10", "ndcg_cut_10"), ("recall_at_20", "recall_20")):
            mean = np.mean([values[name] for values in expected.values()])
            assert score(found.scores, dimension=dimension, metric=metric) == pytest.approx(
                mean, abs=1e-5
            )


def test_each_text_is_embedded_once_for_all_dimensions(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path, counted: list[str]
) -> None:
    found = evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path)
    distinct = toy_data.corpus.height + toy_data.queries["text"].n_unique()
    assert found.encoded == len(counted) == len(set(counted)) == distinct


def test_a_second_run_embeds_nothing_and_loads_no_weights(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path)
    monkeypatch.setattr(encoder_settings, "load_encoder", lambda *_, **__: pytest.fail("loaded"))
    second = evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path)
    assert second.encoded == 0
    assert second.scores.equals(first.scores)
    assert second.per_query.equals(first.per_query)


def test_a_lost_file_of_single_scores_is_made_again(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path
) -> None:
    first = evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path)
    lost = next(path for path in tmp_path.rglob("per_query/**/*.parquet") if "d8" in str(path))
    lost.unlink()
    again = evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path)
    assert again.per_query.equals(first.per_query)
    assert again.encoded > 0


def test_changed_data_weights_or_templates_never_get_an_old_score(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path
) -> None:
    evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path)
    other_data = replace(toy_data, corpus=toy_data.corpus.with_columns(pl.col("text") + " engine"))
    assert evaluate_encoder(under_test(tiny_encoder), [other_data], cache_root=tmp_path).encoded
    for changed in (
        under_test(tiny_encoder, templates="none"),
        under_test(tiny_encoder, max_seq_length=4),
        under_test(tiny_encoder, dtype="bfloat16"),
    ):
        assert evaluate_encoder(changed, [toy_data], cache_root=tmp_path).encoded


def test_the_revision_follows_the_weights_and_not_the_place(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    def copy(name: str) -> Path:
        (tmp_path / name).mkdir()
        for path in tiny_encoder.iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
        return tmp_path / name

    original = under_test(tiny_encoder).revision()
    moved, trained = copy("moved"), copy("trained")
    (moved / "gecko.json").write_text('{"stages": []}')
    weights = trained / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert under_test(moved).revision() == original
    assert under_test(trained).revision() != original
    assert under_test("some-organisation/hub-model").revision() != original
    with pytest.raises(InputError, match="no such folder"):
        under_test(tmp_path / "nowhere").revision()


def test_a_failing_result_leaves_the_others_alone(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = under_test(tiny_encoder, dims=(64, 8))  # wider than the model
    found = evaluate_encoder(encoder, [toy_data], cache_root=tmp_path)
    assert found.scores["dimension"].unique().to_list() == [8]
    failure = found.failures.row(0, named=True)
    assert (failure["model"], failure["dimension"], failure["task"]) == ("tiny", 64, "toy")
    assert "from 1 to 32" in failure["error"]


def test_symmetric_tasks_get_the_query_template_on_both_sides(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path, counted: list[str]
) -> None:
    symmetric = replace(toy_data, task="semantic similarity", symmetric=True)
    evaluate_encoder(under_test(tiny_encoder), [symmetric], cache_root=tmp_path)
    assert all(text.startswith("task: semantic similarity | query: ") for text in counted)
    assert (
        "task: semantic similarity | query: River the river near the harbour was seen by 1 people"
        in counted
    )


def test_a_model_without_templates_gets_title_and_text_joined(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path, counted: list[str]
) -> None:
    evaluate_encoder(under_test(tiny_encoder, templates="none"), [toy_data], cache_root=tmp_path)
    expected = [f"{row['title'] or ''} {row['text']}".strip() for row in toy_data.corpus.to_dicts()]
    assert set(counted) == {*expected, *toy_data.queries["text"]}


@pytest.mark.parametrize(
    ("prompt", "prompt_type", "expected"),
    [
        (("fact checking", False), PromptType.query, "task: fact checking | query: T x"),
        (("fact checking", False), PromptType.document, "title: T | text: x"),
        (("a", True), PromptType.document, "task: a | query: T x"),
        (("semantic similarity", True), None, "task: semantic similarity | query: T x"),
        (("search result", False), None, "task: search result | query: T x"),
    ],
)
def test_templates_follow_the_prompt_and_its_type(prompt, prompt_type, expected: str) -> None:
    batch = {"text": ["T x"], "body": ["x"], "title": ["T"]}
    assert rendered(batch, TaskPrompt(*prompt), prompt_type, "gecko") == [expected]
    assert rendered(batch, TaskPrompt(*prompt), prompt_type, "none") == ["T x"]


def test_quantised_vectors_keep_their_direction_as_far_as_their_bits_go() -> None:
    vectors = truncate_vectors(np.random.default_rng(0).normal(size=(50, 64)), 64)
    assert quantised(vectors, "float32") is vectors
    int8, binary = (quantised(vectors, precision) for precision in ("int8", "binary"))
    assert ((int8 * vectors).sum(axis=1) > 0.999).all()
    assert set(np.unique(np.round(binary * 8, 5))) == {-1.0, 1.0}
    assert (np.sign(binary) == np.sign(vectors)).all()
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    norms = np.linalg.norm(np.rint(vectors / scale), axis=1, keepdims=True)
    assert np.allclose(int8 * norms, np.rint(vectors / scale), atol=1e-3)
    assert (quantised(np.zeros((1, 4), np.float32), "int8") == 0).all()


def test_precisions_are_models_of_their_own_from_the_same_vectors(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path, counted: list[str]
) -> None:
    encoder = under_test(tiny_encoder, precisions=("float32", "int8", "binary"))
    found = evaluate_encoder(encoder, [toy_data], cache_root=tmp_path, hybrid_constant=60)
    assert set(found.scores["model"]) == {"tiny", "tiny-int8", "tiny-binary", "hybrid"}
    assert len(counted) == len(set(counted))
    assert found.per_query.filter(model="hybrid")["dimension"].is_null().all()


def test_the_hybrid_is_the_reciprocal_rank_fusion_of_its_routes(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = under_test(tiny_encoder, dims=(32,))
    dense = evaluate_encoder(encoder, [toy_data], cache_root=tmp_path, hybrid_constant=60)
    lexical = evaluate_bm25([toy_data], cache_root=tmp_path)
    for query in toy_data.queries["id"]:
        routes = [
            dense.per_query.filter(model="tiny", query_id=query)["top_ids"].item().to_list(),
            lexical.per_query.filter(query_id=query)["top_ids"].item().to_list(),
        ]
        first = dense.per_query.filter(model="hybrid", query_id=query)["top_ids"].item()[0]
        scores = {
            passage: sum(1 / (61 + r.index(passage)) for r in routes if passage in r)
            for route in routes
            for passage in route
        }
        assert scores.get(first, 0) == max(scores.values())


def test_embed_once_keeps_the_order_and_forgets_on_request(tiny_encoder: Path) -> None:
    embed = EmbedOnce(under_test(tiny_encoder))
    first = embed(["river", "engine", "river"])
    assert (first[0] == first[2]).all()
    assert np.allclose(embed(["engine", "violin"])[0], first[1])
    assert embed.encoded == 3
    embed.forget()
    assert np.allclose(embed(["engine"])[0], first[1], atol=1e-6)
    assert embed.encoded == 4


def test_the_wrapper_is_an_encoder_to_mteb_with_a_name_of_its_own(tiny_encoder: Path) -> None:
    encoder = under_test(tiny_encoder)
    models = [
        GeckoEncoder(
            encoder,
            dimension=dim,
            revision="abc",
            embed=EmbedOnce(encoder),
            prompt=TaskPrompt("search result", False),
        )
        for dim in encoder.dims
    ]
    assert all(isinstance(model, mteb.EncoderProtocol) for model in models)
    assert [model.mteb_model_meta.name for model in models] == ["local/tiny-d32", "local/tiny-d8"]


def test_bm25_finds_shared_words_and_scores_every_query(
    toy_data: RetrievalData, tmp_path: Path
) -> None:
    foreign = pl.DataFrame({"id": ["q99"], "text": ["xyzzy qwerty"], "group": ["g9"]})
    judged = pl.DataFrame({"query_id": ["q99"], "passage_id": ["p00"], "score": [1]})
    data = replace(
        toy_data,
        queries=pl.concat([toy_data.queries, foreign]),
        qrels=pl.concat([toy_data.qrels, judged]),
    )
    found = evaluate_bm25([data], cache_root=tmp_path)
    assert found.per_query.height == 17
    single = dict(found.per_query.select("query_id", "score").iter_rows())
    assert single["q0"] == 1.0  # "river north": one passage has both words
    assert single["q99"] == 0.0
    assert found.per_query.filter(query_id="q99")["top_ids"].item().to_list() == []
    mean = np.mean(list(single.values()))
    assert score(found.scores, metric="ndcg_at_10") == pytest.approx(mean, abs=1e-5)
    assert found.scores["dimension"].is_null().all()
    assert evaluate_bm25([data], cache_root=tmp_path).per_query.equals(found.per_query)


def test_bm25_ranks_as_mining_does(toy_data: RetrievalData, tmp_path: Path) -> None:
    found = evaluate_bm25([toy_data], cache_root=tmp_path).per_query
    titled = [f"{row['title'] or ''} {row['text']}" for row in toy_data.corpus.to_dicts()]
    mined = LexicalIndex(titled).search(toy_data.queries["text"].to_list(), 10)
    ids = toy_data.corpus["id"].to_list()
    for query, rows, scores in zip(toy_data.queries["id"], mined.ids, mined.scores, strict=True):
        top = found.filter(query_id=query)["top_ids"].item().to_list()
        first = [ids[row] for row in rows[scores == scores[0]]]
        assert top[0] == max(first)  # of equal scores the higher id, as in trec_eval


def test_tables_of_several_models_become_one(
    toy_data: RetrievalData, tiny_encoder: Path, tmp_path: Path
) -> None:
    both = concat_scores(
        [
            evaluate_bm25([toy_data], cache_root=tmp_path),
            evaluate_encoder(under_test(tiny_encoder), [toy_data], cache_root=tmp_path),
        ]
    )
    assert both.scores["model"].unique().sort().to_list() == ["bm25", "tiny"]
    assert both.per_query.height == 3 * toy_data.queries.height


def test_a_task_can_be_given_to_mteb_by_anyone(toy_data: RetrievalData) -> None:
    task = toy_data.to_mteb()
    result = mteb.evaluate(
        Bm25Search(), task, cache=None, co2_tracker=False, show_progress_bar=False
    )
    assert result.task_results[0].get_score() == pytest.approx(
        np.mean([single["ndcg_cut_10"] for single in task.query_scores.values()]), abs=1e-5
    )


@pytest.mark.shared_data
def test_real_scores_equal_an_independent_computation(shared_data, tmp_path: Path) -> None:
    """Cranfield's judged passages with the packaged encoder, as mteb and as NumPy see them."""
    whole = read_retrieval_data(shared_data("eval_cranfield"), name="Cranfield").data
    queries = whole.queries.head(30)
    qrels = whole.qrels.filter(pl.col("query_id").is_in(queries["id"].implode()))
    corpus = whole.corpus.filter(pl.col("id").is_in(qrels["passage_id"].unique().implode()))
    data = RetrievalData("Cranfield30", corpus, queries, qrels)
    encoder = under_test("all-MiniLM-L6-v2", name="base", templates="none", dims=(384, 96),
                         max_seq_length=64, batch_size=32)  # fmt: skip
    found = evaluate_encoder(encoder, [data], cache_root=tmp_path)
    passages = [f"{row['title'] or ''} {row['text']}".strip() for row in corpus.to_dicts()]
    for dimension in encoder.dims:
        expected = by_hand(data, encoder, dimension, (queries["text"].to_list(), passages))
        single = found.per_query.filter(dimension=dimension)
        by_query = dict(single.select("query_id", "score").iter_rows())
        assert by_query == pytest.approx(
            {query: values["ndcg_cut_10"] for query, values in expected.items()}, abs=1e-6
        )
        assert score(found.scores, dimension=dimension, metric="ndcg_at_10") == pytest.approx(
            np.mean(list(by_query.values())), abs=1e-5
        )
    assert BM25 not in found.scores["model"].to_list()
