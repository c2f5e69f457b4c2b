"""Tasks of mteb that hand out what their score is the mean of, and read their labels at once."""

from functools import cache
from typing import Any

from datasets import Column, Dataset


class KeepsPredictions:
    """Mixed into a task of mteb: after a run it has what the task's score was computed from.

    mteb hands predictions to a method that writes them to a file, and each query's scores to
    ``task_specific_scores``. Here both stay in memory.
    """

    predictions: Any = None  # as mteb would write them, of the last subset and split
    gold: Any = None  # the rows that they belong to
    query_scores: dict[str, dict[str, float]] | None = None
    ranked: dict[str, dict[str, float]] | None = None

    def _save_task_predictions(
        self, predictions: Any, *_: Any, hf_split: str, hf_subset: str, **__: Any
    ) -> None:
        self.predictions = predictions
        data: Any = self.dataset  # type: ignore[attr-defined]
        of_subset = data.get(hf_subset, data)
        rows = of_subset[hf_split]
        # As mteb: the pairs of 2022 lie in one row, as lists.
        self.gold = (
            Dataset.from_dict(rows[0]) if isinstance(rows, Dataset) and len(rows) == 1 else rows
        )

    def task_specific_scores(
        self, scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str
    ) -> dict[str, float]:
        """Keep each query's scores and ranked passages; adds none to those of the task."""
        self.query_scores, self.ranked = scores, results
        own: dict[str, float] = super().task_specific_scores(  # type: ignore[misc]
            scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset
        )
        return own


class ReadsLabelsOnce:
    """Mixed into a classification task of mteb: the same rows and scores in far less time.

    mteb asks ``datasets`` for one label after another: ten times over the whole training split,
    and for each metric of each of ten classifiers over the whole test split.
    """

    def _undersample_data(self, dataset: Dataset, *which: Any) -> tuple[Any, list[int], list[int]]:
        sampled: tuple[Any, list[int], list[int]] = super()._undersample_data(  # type: ignore[misc]
            _InMemory(dataset), *which
        )
        return sampled

    def _calculate_scores(self, gold: Any, *predicted: Any) -> Any:
        labels = gold[:] if isinstance(gold, Column) else gold
        return super()._calculate_scores(labels, *predicted)  # type: ignore[misc]


class _InMemory:
    """Columns of a data set as lists."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.select = dataset.select

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, column: str) -> list[Any]:
        values: list[Any] = self.dataset[column][:]
        return values


@cache
def keeping(task_class: type[Any]) -> type[Any]:
    """``task_class`` whose instances keep their predictions."""
    return type(task_class.__name__, (KeepsPredictions, ReadsLabelsOnce, task_class), {})
