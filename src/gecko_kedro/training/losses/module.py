"""Gecko's fine-tuning loss as a module that any sentence-transformers trainer takes."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from torch import Tensor

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.training.losses.batch import BatchLoss
from gecko_kedro.training.losses.gecko import GeckoObjective
from gecko_kedro.training.losses.objective import Objective
from gecko_kedro.training.passes import Features


class GeckoLoss(BatchLoss):
    """Equation 3 of Gecko (arXiv 2403.20327) at each of ``matryoshka_dims``, added up.

    For rows (anchor, positive) or (anchor, positive, negative, ...), like
    MultipleNegativesRankingLoss; the columns' names do not matter, and a label column is not read.
    Each anchor is set against the positives and anchors of the other rows and its own negatives.
    Rows that share a text are each other's false negatives: use BatchSamplers.NO_DUPLICATES.

    matryoshka_dims: sizes that vectors are cut to; None for the model's own width alone.
    same_tower, negatives, hardness: see ``GeckoObjective``.
    tokens_per_pass: padded tokens that are embedded at once; None embeds whole columns.
    cached: gradient caching, for a batch of any size in the memory of one pass.
    Raises InputError for a size that the model does not have.
    """

    def __init__(
        self,
        model: Encoder,
        temperature: float = 0.05,
        matryoshka_dims: Sequence[int] | None = None,
        *,
        same_tower: bool = True,
        negatives: Literal["own", "all", "none"] = "own",
        hardness: float = 0.0,
        tokens_per_pass: int | None = None,
        cached: bool = False,
    ) -> None:
        width = model.get_embedding_dimension() or 0
        dimensions = tuple(matryoshka_dims or (width,))
        if any(not 1 <= dimension <= width for dimension in dimensions):
            raise InputError(
                "GeckoLoss, matryoshka_dims",
                expected=f"sizes from 1 to {width}, the model's width",
                got=list(dimensions),
                fix="Leave out the larger ones.",
            )
        config: dict[str, Any] = {
            "temperature": temperature,
            "same_tower": same_tower,
            "negatives": negatives,
            "hardness": hardness,
        }
        contrastive = GeckoObjective(**config)
        passes: dict[str, Any] = {"tokens_per_pass": tokens_per_pass, "cached": cached}
        super().__init__(model, Objective(contrastive, dimensions, temperature), **passes)
        self._config = {**config, "matryoshka_dims": list(dimensions), **passes}

    def forward(self, sentence_features: Iterable[Features], labels: object = None) -> Tensor:
        """A scalar; ``labels`` are not read."""
        return super().forward(sentence_features)

    def get_config_dict(self) -> dict[str, Any]:
        """The arguments, for the model card."""
        return self._config

    @property
    def citation(self) -> str:
        """BibTeX, for the model card."""
        return """
@misc{lee2024gecko,
    title={Gecko: Versatile Text Embeddings Distilled from Large Language Models},
    author={Jinhyuk Lee and Zhuyun Dai and Xiaoqi Ren and others},
    year={2024},
    eprint={2403.20327},
    archivePrefix={arXiv},
    primaryClass={cs.CL}
}
"""
