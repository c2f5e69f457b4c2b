"""What the engine's workers do for mine."""

from collections.abc import Callable
from functools import partial

import polars as pl

from gecko_kedro import encoder
from gecko_kedro.encoder.settings import LoadSettings


class Embedder:
    """Holds the encoder ``reference``; gives rows of an id and two texts their ``vector``.

    render: makes the encoder's input of the two texts, in the templates that the encoder knows: a
    retriever that is used as it is has never read Gecko's.
    """

    def __init__(
        self, reference: str, load: LoadSettings, max_seq_length: int, render: Callable[..., str]
    ) -> None:
        self._model = load.load(reference, max_seq_length=max_seq_length)
        self._batch_size = load.batch_size
        self._render = partial(render, templates=encoder.own_templates(self._model.prompts))

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The id and ``vector``, an array of float32, L2-normalised."""
        texts = [self._render(*row[1:]) for row in rows.iter_rows()]
        vectors = encoder.encode_texts(self._model, texts, batch_size=self._batch_size)
        return rows.select(pl.first(), pl.Series("vector", vectors))
