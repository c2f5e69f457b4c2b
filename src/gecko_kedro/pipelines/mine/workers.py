"""What the engine's workers do for mine."""

from collections.abc import Callable

import polars as pl

from gecko_kedro import encoder
from gecko_kedro.params import EncoderParams


class Embedder:
    """Holds the encoder ``reference``; gives rows of an id and two texts their ``vector``.

    render: makes the encoder's input of the two texts.
    """

    def __init__(
        self,
        reference: str,
        params: EncoderParams,
        max_seq_length: int,
        render: Callable[..., str],
    ) -> None:
        self._model = params.load(reference, max_seq_length=max_seq_length)
        self._batch_size, self._render = params.batch_size, render

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The id and ``vector``, an array of float32, L2-normalised."""
        texts = [self._render(*row[1:]) for row in rows.iter_rows()]
        vectors = encoder.encode_texts(self._model, texts, batch_size=self._batch_size)
        return rows.select(pl.first(), pl.Series("vector", vectors))
