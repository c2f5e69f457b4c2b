"""Tasks as mteb has them: local data as instances of its classes, and its own by name.

All hand out what their score is the mean of, and read their labels at once.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from datasets import Column, Dataset
from mteb import abstasks, get_task
from mteb.abstasks.aggregated_task import AbsTaskAggregate
from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.text.summarization import AbsTaskSummarization

from gecko_kedro.evaluation.tasks.task import Task

# Type of task: mteb's class, and its main score.
_CLASSES = {
    "STS": (abstasks.AbsTaskSTS, "cosine_spearman"),
    "PairClassification": (abstasks.AbsTaskPairClassification, "max_ap"),
    "Classification": (abstasks.AbsTaskClassification, "accuracy"),
    "Clustering": (abstasks.AbsTaskClustering, "v_measure"),
    "Summarization": (AbsTaskSummarization, "cosine_spearman"),
    "Retrieval": (abstasks.AbsTaskRetrieval, "ndcg_at_10"),
    "Reranking": (abstasks.AbsTaskRetrieval, "map_at_1000"),
}


def registered_task(name: str, selection: Mapping[str, Any]) -> Any:
    """mteb's task ``name``; one that is a mean of other tasks keeps no predictions."""
    found = get_task(name, **selection)
    if isinstance(found, AbsTaskAggregate):
        return found
    task = keeping(type(found))()
    task.__dict__.update(found.__dict__)  # its subsets and splits
    return task


def local_task(
    task: Task, dataset: Any, settings: Mapping[str, Any], *, by_sets: bool = False
) -> Any:
    """An instance of a class of its own, as mteb reads metadata and settings from the class.

    Where mteb has a task of that name and type its class is the base, so that its settings hold;
    ``settings`` are for the others. ``by_sets``: clustering that is scored set by set.
    """
    base, main = _CLASSES[task.type]
    base = AbsTaskClusteringLegacy if by_sets else base
    known = _registered_class(task.name)
    if known is not None and known.metadata.type == task.type and issubclass(known, base):
        always = {"max_fraction_of_documents_to_embed"} & set(settings)
        base, main = known, known.metadata.main_score
        settings = {name: settings[name] for name in always}

    def load_data(self: Any, num_proc: int | None = None, **_: Any) -> None:
        self.dataset, self.data_loaded = dataset, True

    metadata = TaskMetadata(
        name=task.name, description=f"{task.size}, local", type=task.type, category="t2t",
        modalities=["text"], dataset={"path": "in-memory", "revision": task.digest},
        eval_splits=["test"], eval_langs=["eng-Latn"], main_score=main,
    )  # fmt: skip
    members = {"metadata": metadata, "load_data": load_data, **settings}
    return type(task.name, (keeping(base),), members)()


def clusters_by_sets(name: str) -> bool:
    """Whether sets are clustered one by one; mteb's newer task of that name pours them together."""
    known = _registered_class(name)
    return known is None or not issubclass(known, abstasks.AbsTaskClustering)


@cache
def _registered_class(name: str) -> type[Any] | None:
    """mteb's class for the task ``name``; None where it has none, or only a mean of others."""
    try:
        found = type(get_task(name))
    except KeyError:
        return None
    return None if issubclass(found, AbsTaskAggregate) else found


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
        rows = data.get(hf_subset, data)[hf_split]
        in_one_row = isinstance(rows, Dataset) and len(rows) == 1  # as the pairs of 2022, in lists
        self.gold = Dataset.from_dict(rows[0]) if in_one_row else rows

    def task_specific_scores(
        self, scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str
    ) -> dict[str, float]:
        """Keep each query's scores and ranked passages; adds none to those of the task."""
        self.query_scores, self.ranked = scores, results
        return super().task_specific_scores(  # type: ignore[misc, no-any-return]
            scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset
        )


class ReadsLabelsOnce:
    """Mixed into a classification task of mteb: the same rows and scores in far less time.

    mteb asks ``datasets`` for one label after another: ten times over the whole training split,
    and for each metric of each of ten classifiers over the whole test split.
    """

    def _undersample_data(self, dataset: Dataset, *which: Any) -> Any:
        return super()._undersample_data(_InMemory(dataset), *which)  # type: ignore[misc]

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

    def __getitem__(self, column: str) -> Any:
        return self.dataset[column][:]


@cache
def keeping(task_class: type[Any]) -> type[Any]:
    """``task_class`` whose instances keep their predictions."""
    return type(task_class.__name__, (KeepsPredictions, ReadsLabelsOnce, task_class), {})
