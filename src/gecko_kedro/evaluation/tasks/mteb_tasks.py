"""Tasks as mteb has them: local data as instances of its classes, and its own by name."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from mteb import get_task
from mteb.abstasks import (
    AbsTaskClassification,
    AbsTaskClustering,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.aggregated_task import AbsTaskAggregate
from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.text.summarization import AbsTaskSummarization

from gecko_kedro.evaluation.tasks.keeping import keeping
from gecko_kedro.evaluation.tasks.task import Task

# Type of task: mteb's class, and its main score.
_CLASSES = {
    "STS": (AbsTaskSTS, "cosine_spearman"),
    "PairClassification": (AbsTaskPairClassification, "max_ap"),
    "Classification": (AbsTaskClassification, "accuracy"),
    "Clustering": (AbsTaskClustering, "v_measure"),
    "Summarization": (AbsTaskSummarization, "cosine_spearman"),
    "Retrieval": (AbsTaskRetrieval, "ndcg_at_10"),
    "Reranking": (AbsTaskRetrieval, "map_at_1000"),
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
    if by_sets:
        base = AbsTaskClusteringLegacy
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
    return known is None or not issubclass(known, AbsTaskClustering)


@cache
def _registered_class(name: str) -> type[Any] | None:
    """mteb's class for the task ``name``; None where it has none, or only a mean of others."""
    try:
        found = type(get_task(name))
    except KeyError:
        return None
    return None if issubclass(found, AbsTaskAggregate) else found
