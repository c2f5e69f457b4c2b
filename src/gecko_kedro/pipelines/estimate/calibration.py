"""Small pieces of the real work, timed: the same functions and settings as in the run itself."""

import io
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from gecko_kedro import corpus, encoder, fret, training
from gecko_kedro.base import events
from gecko_kedro.base.memory import Measuring, resident_memory
from gecko_kedro.estimation import (
    CorpusMeasure,
    EncoderMeasure,
    SearchMeasure,
    TrainingMeasure,
)
from gecko_kedro.params import CorpusParams, Encoder, EncoderParams, MineParams
from gecko_kedro.retrieval import open_exact
from gecko_kedro.retrieval.vector_table import VectorTable, narrowed
from gecko_kedro.training.settings import TrainSettings
from gecko_kedro.training.setup import Loss

_SEARCHED, _SEARCHING = 16_384, 512  # vectors of the block and of the queries
_STEPS = 4  # of a training; a checkpoint is written after the second
_STATE_BYTES = 16  # of a weight in training: itself, its gradient, two moments


def measure_corpus(
    documents: pl.DataFrame, *, sample: int, params: CorpusParams
) -> tuple[CorpusMeasure, pl.DataFrame]:
    """``sample`` documents by the hash of their ids, made into passages as the run does it.

    The training passages of the sample come with the measure; of a corpus above
    ``params.max_passages`` only such as the run keeps.
    """
    drawn = corpus.cap(documents, limit=sample, seed=params.seed, id_column="doc_id")
    with Measuring() as measured:
        made = corpus.make_passages(
            drawn,
            min_words=params.min_words,
            max_words=params.max_words,
            overlap_words=params.overlap_words,
            near_duplicate_threshold=params.near_duplicate_threshold,
            seed=params.seed,
        )
    heldout = corpus.heldout_groups(
        set(documents["group"]),  # a sample may have none of those that are named
        groups=params.heldout.groups,
        fraction=params.heldout.fraction,
        seed=params.seed,
    )
    passages, _ = corpus.split_heldout(
        made.passages, groups=sorted(heldout), fraction=0.0, seed=params.seed
    )
    measure = CorpusMeasure(
        documents=documents.height,
        sampled_documents=drawn.height,
        passages=made.passages.height,
        training_passages=passages.height,
        natural_pairs=corpus.collect_pairs(passages, kinds=params.pair_kinds).pairs.height,
        seconds=measured.seconds,
        passage_bytes=parquet_bytes(passages) / passages.height,
        passage_memory=passages.estimated_size() / passages.height,
        memory=measured.memory,
    )
    if params.max_passages is None:
        return measure, passages
    limit = math.ceil(params.max_passages * drawn.height / documents.height)
    return measure, corpus.cap(passages, limit=limit, seed=params.seed)


def measure_encoder(
    passages: pl.DataFrame, *, texts: int, params: EncoderParams, mine: MineParams, seed: int
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
        model = params.load(max_seq_length=mine.max_seq_length)
        encoder.encode_texts(model, rendered[:1], batch_size=1)  # what only a first call costs
        loading = time.perf_counter() - started
        seconds = [
            _seconds_of_encoding(model, batch, params.batch_size) for batch in (rendered, short)
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


def _seconds_of_encoding(model: Encoder, texts: Sequence[str], batch_size: int) -> float:
    """The faster of two times: the first of a shape also compiles or allocates."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        encoder.encode_texts(model, texts, batch_size=batch_size)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _lead(text: str) -> str:
    return " ".join(text.split()[:10])


def _mean_tokens(model: Encoder, texts: Sequence[str]) -> float:
    lengths = [int(model.preprocess([text])["attention_mask"].sum()) for text in texts]
    return float(np.mean(lengths))


def measure_search(*, dimension: int, params: MineParams, seed: int) -> SearchMeasure:
    """Search a block of random unit vectors, mapped from a file as the run's are.

    And make the candidate table of its queries.
    """
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((_SEARCHED, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:_SEARCHING]
    stored = narrowed(vectors, params.vectors_dtype)
    ids = pl.Series("passage_id", [f"passage {row}" for row in range(_SEARCHED)])
    with tempfile.NamedTemporaryFile() as file:
        stored.tofile(file)
        file.flush()
        mapped = np.memmap(file.name, dtype=stored.dtype, mode="r", shape=stored.shape)
        table = VectorTable(ids, mapped, params.vectors_dtype)
        index = open_exact(mapped, device=params.search_device, stored_as=table.stored_as)
        index.search(queries[:64], params.n_candidates, threads=params.threads)  # a first touch
        with Measuring() as searching:
            found = index.search(queries, params.n_candidates, threads=params.threads)
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
    *,
    settings: TrainSettings,
    loss: Loss,
    encoder_params: EncoderParams,
) -> TrainingMeasure:
    """Four steps, each on all ``examples``, in a temporary folder; a checkpoint after the second.

    A row's share of a step does not depend on the batch: texts are embedded in passes of at most
    ``tokens_per_pass`` tokens. (The n x n scores of the loss are small against that.)
    """
    short = settings.model_copy(
        update={
            "epochs": _STEPS, "max_steps": _STEPS, "batch_size": examples.height,
            "checkpoint_steps": 2,
            "heldout_rows": 0, "average_share": 0.0,
        }
    )  # fmt: skip
    times: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        events.listening(lambda name, *_: times.append(time.perf_counter())),
        Measuring() as measured,
    ):
        model = encoder_params.load(for_training=True)
        training.train_encoder(
            model,
            examples,
            settings=short,
            loss=loss,
            name="calibration",
            checkpoints=Path(folder),
            templates=encoder_params.trained_templates(model),
            lora=encoder_params.lora,
        )
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
