"""Small pieces of the real work, timed: the same functions and settings as in the run itself."""

import io
import math
import tempfile
import time
import timeit
from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl

from gecko_kedro import corpus, encoder, fret, training
from gecko_kedro.base import events
from gecko_kedro.base.memory import Measuring, resident_memory
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.estimation import CorpusMeasure, EncoderMeasure, SearchMeasure, TrainingMeasure
from gecko_kedro.params import CorpusParams, Encoder
from gecko_kedro.retrieval import open_exact
from gecko_kedro.retrieval.settings import SearchSettings, VectorType
from gecko_kedro.retrieval.vector_table import VectorTable, narrowed
from gecko_kedro.training.job import Loss
from gecko_kedro.training.settings import EncoderTraining, TrainSettings

_SEARCHED, _SEARCHING = 16_384, 512  # vectors of the block and of the queries
_STEPS = 4  # of a training; a checkpoint is written after the second
_STATE_BYTES = 16  # of a weight in training: itself, its gradient, two moments


def measure_corpus(
    documents: pl.DataFrame, *, sample: int, params: CorpusParams
) -> tuple[CorpusMeasure, pl.DataFrame]:
    """``sample`` documents by the hash of their ids, made into passages as the run does it.

    The training passages of the sample come with the measure; of a corpus above
    ``heldout.max_passages`` only such as the run keeps.
    """
    drawn = corpus.cap(documents, limit=sample, seed=params.passages.seed, id_column="doc_id")
    with Measuring() as measured:
        made = corpus.make_passages(drawn, params.passages)
    # A sample may have none of the groups that are named.
    groups = sorted(corpus.heldout_groups(set(documents["group"]), params.heldout))
    update = {"groups": groups, "fraction": 0.0, "max_passages": None}
    passages, _ = corpus.split_heldout(made.rows, params.heldout.model_copy(update=update))
    measure = CorpusMeasure(
        documents=documents.height,
        sampled_documents=drawn.height,
        passages=made.rows.height,
        training_passages=passages.height,
        natural_pairs=corpus.collect_pairs(passages, kinds=params.pairs.kinds).rows.height,
        seconds=measured.seconds,
        passage_bytes=parquet_bytes(passages) / passages.height,
        passage_memory=passages.estimated_size() / passages.height,
        memory=measured.memory,
    )
    most = params.heldout.max_passages
    if most is None:
        return measure, passages
    limit = math.ceil(most * drawn.height / documents.height)
    return measure, corpus.cap(passages, limit=limit, seed=params.heldout.seed)


def measure_encoder(
    passages: pl.DataFrame, *, texts: int, load: LoadSettings, max_seq_length: int, seed: int
) -> EncoderMeasure:
    """Load the initial embedder and encode ``texts`` passages, and as many short texts."""
    import sentence_transformers  # noqa: F401  # takes seconds, but once in a run

    base = resident_memory()
    drawn = corpus.cap(passages, limit=texts, seed=seed)
    rendered = [encoder.render_passage(*row) for row in drawn.select("title", "text").iter_rows()]
    # As long as queries are: nothing has been written yet.
    short = [encoder.render_query("search result", _lead(text)) for text in drawn["text"]]
    with Measuring() as measured:
        started = time.perf_counter()
        model = load.load(max_seq_length=max_seq_length)
        encoder.encode_texts(model, rendered[:1], batch_size=1)  # what only a first call costs
        loading = time.perf_counter() - started
        seconds = [
            _seconds_of_encoding(model, batch, load.batch_size) for batch in (rendered, short)
        ]
    return EncoderMeasure(
        dimension=model.get_embedding_dimension(),
        weights=sum(weight.numel() for weight in model.parameters()),
        load_seconds=loading,
        passage_seconds=seconds[0] / len(rendered),
        query_seconds=seconds[1] / len(short),
        passage_tokens=_mean_tokens(model, rendered),
        query_tokens=_mean_tokens(model, short),
        memory=measured.memory,
        base_memory=base,
    )


def _seconds_of_encoding(
    model: Encoder, texts: Sequence[str], batch_size: encoder.BatchSize
) -> float:
    """The faster of two times: the first of a shape also compiles or allocates."""
    encode = partial(encoder.encode_texts, model, texts, batch_size=batch_size)
    return min(timeit.repeat(encode, number=1, repeat=2))


def _lead(text: str) -> str:
    return " ".join(text.split()[:10])


def _mean_tokens(model: Encoder, texts: Sequence[str]) -> float:
    lengths = [int(model.preprocess([text])["attention_mask"].sum()) for text in texts]
    return float(np.mean(lengths))


def measure_search(
    *, dimension: int, dtype: VectorType, settings: SearchSettings, seed: int
) -> SearchMeasure:
    """Search a block of random unit vectors, mapped from a file as the run's are.

    And make the candidate table of its queries.
    """
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((_SEARCHED, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:_SEARCHING]
    stored = narrowed(vectors, dtype)
    ids = pl.Series("passage_id", [f"passage {row}" for row in range(_SEARCHED)])
    with tempfile.NamedTemporaryFile() as file:
        stored.tofile(file)
        file.flush()
        mapped = np.memmap(file.name, dtype=stored.dtype, mode="r", shape=stored.shape)
        stored_as = VectorTable(ids, mapped, dtype).stored_as
        index = open_exact(mapped, device=settings.device, stored_as=stored_as)
        search = partial(index.search, k=settings.n_candidates, threads=settings.threads)
        search(queries[:64])  # a first touch
        with Measuring() as searching:
            found = search(queries)
    asked = pl.DataFrame({"query_id": ids[:_SEARCHING], "passage_id": ids[:_SEARCHING]})
    with Measuring() as listing:
        fret.candidates_with_seeds(
            asked,
            passage_ids=ids,
            ids=found.ids,
            scores=found.scores,
            seed_scores=np.ones(_SEARCHING),
        )
    return SearchMeasure(
        pair_seconds=searching.seconds / (_SEARCHED * _SEARCHING),
        query_seconds=listing.seconds / _SEARCHING,
        component_bytes=stored.itemsize,
    )


def measure_training(
    examples: pl.DataFrame,
    load: LoadSettings,
    encoder_training: EncoderTraining,
    *,
    settings: TrainSettings,
    loss: Loss,
) -> TrainingMeasure:
    """Four steps, each on all ``examples``, in a temporary folder; a checkpoint after the second.

    A row's share of a step does not depend on the batch: texts are embedded in passes of at most
    ``tokens_per_pass`` tokens. (The n x n scores of the loss are small against that.)
    """
    short = settings.model_copy(
        update={
            "epochs": _STEPS, "max_steps": _STEPS, "batch_size": examples.height,
            "checkpoint_steps": 2, "heldout_rows": 0,
        }
    )  # fmt: skip
    times: list[float] = []
    with (
        events.listening(lambda name, *_: times.append(time.perf_counter())),
        Measuring() as measured,
    ):
        model = load.load(for_training=True)
        how = encoder_training.options(model, settings=short)
        training.train_encoder(model, examples, loss=loss, name="calibration", **how)
    weights = sum(weight.numel() for weight in model.parameters())
    step = min(times[1] - times[0], times[3] - times[2])
    checkpoint = max(0.0, times[2] - times[1] - step)
    return TrainingMeasure(
        start_seconds=max(0.0, measured.seconds - _STEPS * step - 2 * checkpoint),
        row_seconds=step / examples.height,
        checkpoint_seconds=checkpoint,
        row_memory=max(0.0, measured.memory - _STATE_BYTES * weights) / examples.height,
        weights=weights,
    )


def parquet_bytes(table: pl.DataFrame) -> int:
    """What the rows of ``table`` take in a file of the project, beside what an empty one takes."""
    buffer, empty = io.BytesIO(), io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    table.clear().write_parquet(empty, compression="zstd")
    return buffer.tell() - empty.tell()
