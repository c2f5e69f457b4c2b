"""Which calls of the teacher a run needs."""

from collections.abc import Sequence

from gecko_kedro.fret.settings import Ranker
from gecko_kedro.teacher.check import Call

_CALLS: dict[Ranker, Call] = {
    "query_likelihood": "query_log_likelihood",
    "relevance": "label_log_likelihood",
}


def ranker_calls(rankers: Sequence[Ranker]) -> list[Call]:
    """The calls behind ``rankers``; the retriever's own rank needs none."""
    return [_CALLS[ranker] for ranker in rankers if ranker in _CALLS]
