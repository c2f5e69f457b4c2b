"""From the tokens of a batch to its loss, with or without gradient caching."""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import fields
from itertools import chain
from typing import Any, cast

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin, RandContext
from torch import Tensor, nn

from gecko_kedro.base.memory import give_back_free_memory
from gecko_kedro.training.losses.embedded import Rows, gather_batch, whole_batch_gradient
from gecko_kedro.training.losses.objective import Objective
from gecko_kedro.training.passes import Features, Passes, plan_passes
from gecko_kedro.training.ranks import world_size

_PASSES_BETWEEN_TRIMS = 32


class BatchLoss(CachedLossMixin, nn.Module):
    """Embeds the columns of a batch in passes of like length and applies ``objective``.

    With ``cached`` the batch is embedded twice, for the same gradient with the activations of one
    pass alive at a time (GradCache, Gao et al. 2021, arXiv 2101.06983); dropout is replayed. The
    machinery is that of sentence-transformers' cached losses.

    Under DDP a process gets its slice of the batch, and the loss is that of the whole batch: the
    vectors of the others are gathered, see ``embedded.gather_batch``.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        *,
        tokens_per_pass: int | None = None,
        cached: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.tokens_per_pass = tokens_per_pass
        self.cached = cached
        self.mini_batch_size = 2**62  # a pass is embedded as it is
        self._embedded = 0  # passes so far

    def forward(
        self, sentence_features: Iterable[Features], labels: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Columns queries, positives and maybe negatives; ``labels`` holds the fields of Rows.

        Without ``labels`` no text occurs twice and each column of negatives has one for each row.
        """
        columns = list(sentence_features)
        passes = plan_passes(self.model, columns, tokens_per_pass=self.tokens_per_pass)
        device = next(self.model.parameters()).device
        rows = _rows(passes.sizes, labels, device)
        if self.cached and torch.is_grad_enabled():
            planned: Any = (passes, rows)  # the parent only hands it to calculate_loss
            return self.forward_cached(passes.features, planned)
        vectors = [self.model(features)["sentence_embedding"] for features in passes.features]
        return self._of_whole_batch(_negatives_by_row(passes.columns(vectors)), rows)

    def _of_whole_batch(self, columns: list[Tensor], rows: Rows) -> Tensor:
        if world_size() == 1:
            return self.objective(columns, rows)
        return whole_batch_gradient(self.objective(*gather_batch(columns, rows)))

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Any = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss of the embedded passes; with ``with_backward`` their gradients too."""
        passes, rows = cast("tuple[Passes, Rows]", labels)
        columns = _negatives_by_row(passes.columns(list(chain.from_iterable(reps))))
        if not with_backward:
            return self._of_whole_batch(columns, rows)
        leaves = [column.detach().requires_grad_() for column in columns]
        processes = world_size()
        whole = (leaves, rows) if processes == 1 else gather_batch(leaves, rows)
        total = torch.zeros((), device=leaves[0].device)
        for loss in self.objective.at_each_dimension(*whole):
            loss.backward()  # type: ignore[no-untyped-call]  # one dimension's graph at a time
            total = total + loss.detach()
        gradients = [torch.zeros_like(x) if x.grad is None else x.grad * processes for x in leaves]
        torch.autograd.backward(columns, gradients)
        return total

    def embed_minibatch(  # noqa: PLR0917  # the parent's signature
        self,
        sentence_feature: Features,
        begin: int,
        end: int,
        with_grad: bool,
        copy_random_state: bool,
        random_state: RandContext | None = None,
    ) -> tuple[Tensor, RandContext | None]:
        """As the parent, but a pass keeps its padding: few shapes save much memory on a CPU."""
        self._embedded += 1
        if self._embedded % _PASSES_BETWEEN_TRIMS == 0:  # one step may have hundreds of them
            give_back_free_memory()
        features = dict(sentence_feature)
        replayed = nullcontext() if random_state is None else random_state
        state = RandContext(*features.values()) if copy_random_state else random_state
        with replayed, torch.set_grad_enabled(with_grad):
            return self.model(features)["sentence_embedding"], state


def _rows(sizes: list[int], labels: dict[str, Tensor] | None, device: torch.device) -> Rows:
    if labels is None:
        n = sizes[0]
        labels = vars(Rows.distinct(n, [len(sizes) - 2] * n))
    return Rows(**{field.name: labels[field.name].to(device) for field in fields(Rows)})


def _negatives_by_row(columns: list[Tensor]) -> list[Tensor]:
    """Several columns of negatives as one, those of a row behind each other."""
    if len(columns) <= 3:
        return columns
    return [*columns[:2], torch.stack(columns[2:], dim=1).flatten(0, 1)]
