"""Local data as tasks of mteb, which also hand out what their score is the mean of."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from datasets import Column, Dataset, DatasetDict
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

from gecko_kedro.evaluation.tasks.registered import RegisteredTask
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.rows import RowTask

LocalData = RetrievalData | RowTask
Task = LocalData | RegisteredTask
_CLASSES = {
    "STS": AbsTaskSTS,
    "PairClassification": AbsTaskPairClassification,
    "Classification": AbsTaskClassification,
    "Clustering": AbsTaskClustering,
    "Summarization": AbsTaskSummarization,
    "Retrieval": AbsTaskRetrieval,
    "Reranking": AbsTaskRetrieval,
}
MAIN_SCORES = {
    "STS": "cosine_spearman",
    "PairClassification": "max_ap",
    "Classification": "accuracy",
    "Clustering": "v_measure",
    "Summarization": "cosine_spearman",
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
}
# mteb clusters 4 % of a set (AbsTaskClustering), which is meant for sets of tens of thousands: of a
# smaller one it would leave fewer than 1,000 texts, so all of them are taken.
_LARGE_CLUSTERING = 25_000


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


def mteb_task(task: Task) -> Any:
    """A new instance of a task that keeps its predictions, ready for ``mteb.evaluate``."""
    if isinstance(task, RegisteredTask):
        found = get_task(task.name, **task.selection())
        if isinstance(found, AbsTaskAggregate):
            return found
        keeping = _keeping(type(found))()
        keeping.__dict__.update(found.__dict__)  # its subsets and splits
        return keeping
    return retrieval_task(task) if isinstance(task, RetrievalData) else row_task(task)


def retrieval_task(data: RetrievalData) -> Any:
    """Retrieval, or reranking of the judged passages, out of memory.

    mteb's own loader reads a folder through the cache of ``datasets`` in the user's home, which
    offline gave one folder's rows for another folder of the same name (datasets 5.2).
    """
    relevant: dict[str, dict[str, int]] = {}
    for query, passage, score in data.qrels.iter_rows():
        relevant.setdefault(query, {})[passage] = score
    titled = data.corpus["title"].fill_null("").to_list()  # mteb refuses null
    corpus = {**data.corpus.to_dict(as_series=False), "title": titled}
    queries = data.queries.select("id", "text").to_dict(as_series=False)
    dataset = {
        "default": {
            "test": {
                "corpus": Dataset.from_dict(corpus),
                "queries": Dataset.from_dict(queries),
                "relevant_docs": relevant,
                "top_ranked": {q: list(p) for q, p in relevant.items()} if data.reranking else None,
            }
        }
    }
    # mteb's own cut-offs end at 1,000, ten times slower to rank; only reranking's score needs it.
    more = {} if data.reranking else {"k_values": (1, 3, 5, 10, 20, 100)}
    return _local(data, dataset, f"{data.size}, local", more)


def row_task(data: RowTask) -> Any:
    """A task of one table out of memory."""
    columns = data.rows.to_dict(as_series=False)
    if data.type == "Classification":
        labels = {name: row for row, name in enumerate(sorted(set(columns["label"])))}
        parts = {}
        for split in ("train", "test"):
            rows = data.rows.filter(split=split)
            parts[split] = Dataset.from_dict(
                {"text": rows["text"].to_list(), "label": [labels[name] for name in rows["label"]]}
            )
        dataset = DatasetDict(parts)
    elif data.type == "Clustering" and _by_sets(data):
        sets = data.rows.group_by("set", maintain_order=True).agg("text", "label")
        dataset = _test(sentences=sets["text"].to_list(), labels=sets["label"].to_list())
    elif data.type == "Clustering":
        dataset = _test(sentences=columns["text"], labels=columns["label"])
    elif data.type == "PairClassification":
        dataset = _test(sentence1=columns["sentence1"], sentence2=columns["sentence2"],
                        labels=columns["label"])  # fmt: skip
    else:
        dataset = _test(**columns)
    return _local(data, dataset, f"{data.size}, local", _row_settings(data))


def _row_settings(data: RowTask) -> dict[str, Any]:
    if data.type == "Clustering" and not data.sets:
        small = data.rows.height < _LARGE_CLUSTERING
        return {"max_fraction_of_documents_to_embed": 1.0} if small else {}
    bounds = {"STS": "score", "Summarization": "relevance"}
    if data.type not in bounds:
        return {}
    scores = data.rows[bounds[data.type]]
    values = scores.explode() if data.type == "Summarization" else scores
    return {"min_score": values.min(), "max_score": values.max()}


def _local(data: LocalData, dataset: Any, description: str, settings: Mapping[str, Any]) -> Any:
    """An instance of a class of its own, as mteb reads metadata and settings from the class.

    Where mteb has a task of that name and type its class is the base, so that its settings hold;
    ``settings`` are for the others.
    """
    by_sets = isinstance(data, RowTask) and _by_sets(data)
    base = AbsTaskClusteringLegacy if by_sets else _CLASSES[data.type]
    known = registered_class(data.name)
    if known is not None and known.metadata.type == data.type and issubclass(known, base):
        always = {"max_fraction_of_documents_to_embed"} & set(settings)
        base, settings = known, {name: settings[name] for name in always}
    main = MAIN_SCORES[data.type] if base is not known else known.metadata.main_score

    def load_data(self: Any, num_proc: int | None = None, **_: Any) -> None:
        self.dataset, self.data_loaded = dataset, True

    metadata = TaskMetadata(
        name=data.name, description=description, type=data.type, category="t2t",
        modalities=["text"], dataset={"path": "in-memory", "revision": data.digest},
        eval_splits=["test"], eval_langs=["eng-Latn"], main_score=main,
    )  # fmt: skip
    members = {"metadata": metadata, "load_data": load_data, **settings}
    return type(data.name, (_keeping(base),), members)()


def _by_sets(data: RowTask) -> bool:
    """Whether each set is clustered on its own; mteb's newer tasks pour the sets together."""
    known = registered_class(data.name)
    return data.sets and not (known is not None and issubclass(known, AbsTaskClustering))


@cache
def registered_class(name: str) -> type[Any] | None:
    """mteb's class for the task ``name``; None where it has none, or only a mean of others."""
    try:
        found = type(get_task(name))
    except KeyError:
        return None
    return None if issubclass(found, AbsTaskAggregate) else found


@cache
def _keeping(task_class: type[Any]) -> type[Any]:
    return type(task_class.__name__, (KeepsPredictions, ReadsLabelsOnce, task_class), {})


def _test(**columns: list[Any]) -> DatasetDict:
    return DatasetDict({"test": Dataset.from_dict(columns)})
