"""Retrieval data as a task of mteb, which also hands out the score of each query."""

from typing import Any

from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.timing import TimingStack

from gecko_kedro.evaluation.tasks import RetrievalData

_KEPT_PASSAGES = 10


class LocalRetrieval(AbsTaskRetrieval):
    """A retrieval task held in memory; after a run ``per_query`` has its single scores.

    mteb keeps only means in its results, and its prediction files hold every ranked list at full
    length. The hook it calls with all scores gives exactly the numbers behind its mean.
    """

    data: RetrievalData

    k_values = (1, 3, 5, 10, 20, 100)  # mteb's own end at 1,000, ten times slower to rank
    per_query: list[dict[str, Any]] | None = None

    def load_data(
        self, num_proc: int | None = None, *, timer: TimingStack | None = None, **_: Any
    ) -> None:
        """Hand ``data`` over without a detour by files.

        mteb's own loader reads a folder through the cache of ``datasets`` in the user's home, which
        offline gave one folder's rows for another folder of the same name (datasets 5.2).
        """
        if self.data_loaded:
            return
        relevant: dict[str, dict[str, int]] = {}
        for query, passage, score in self.data.qrels.iter_rows():
            relevant.setdefault(query, {})[passage] = score
        titled = self.data.corpus["title"].fill_null("").to_list()  # mteb refuses null
        self.dataset = {
            "default": {
                "test": {
                    "corpus": Dataset.from_dict(
                        {**self.data.corpus.to_dict(as_series=False), "title": titled}
                    ),
                    "queries": Dataset.from_dict(
                        self.data.queries.select("id", "text").to_dict(as_series=False)
                    ),
                    "relevant_docs": relevant,
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True

    def task_specific_scores(
        self,
        scores: dict[str, dict[str, float]],
        qrels: Any,
        results: dict[str, dict[str, float]],
        hf_split: str,
        hf_subset: str,
    ) -> dict[str, float]:
        """Keep each query's nDCG@10 and ten best passages; adds no score of its own."""
        self.per_query = [
            {
                "query_id": query,
                "ndcg_at_10": values["ndcg_cut_10"],
                "top_ids": best(results[query]),
            }
            for query, values in sorted(scores.items())
        ]
        return {}


def best(ranked: dict[str, float]) -> list[str]:
    """The ten best passage ids; ties go to the higher id, as in trec_eval."""
    order = sorted(ranked.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return [passage for passage, _ in order[:_KEPT_PASSAGES]]


def local_task(data: RetrievalData) -> LocalRetrieval:
    """An instance of a task class of its own, as mteb reads the metadata from the class.

    The prompt holds the bare task name: for both sides where the task is symmetric. That is how
    the encoder's wrapper knows which template a passage gets.
    """
    sides = ("query", "document") if data.symmetric else ("query",)
    metadata = TaskMetadata(
        name=data.name,
        description=f"{data.queries.height} queries over {data.corpus.height} local passages",
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        dataset={"path": "in-memory", "revision": data.digest},
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        prompt=dict.fromkeys(sides, data.task),
    )
    task_class = type(data.name, (LocalRetrieval,), {"metadata": metadata, "data": data})
    task: LocalRetrieval = task_class()
    return task
