"""MTEB tasks, intervals, comparison tables, plots and the report.

mteb and torch are imported only by what runs a model, so this import stays cheap.
"""

from gecko_kedro.evaluation.bootstrap import Interval, paired_bootstrap
from gecko_kedro.evaluation.comparison import Comparison, compare, headline
from gecko_kedro.evaluation.heldout import heldout_from_pairs
from gecko_kedro.evaluation.model_card import ModelFacts, model_card
from gecko_kedro.evaluation.moved import moved_queries
from gecko_kedro.evaluation.mteb_runner import (
    EncoderUnderTest,
    ScoreTable,
    concat_scores,
    evaluate_bm25,
    evaluate_encoder,
)
from gecko_kedro.evaluation.plots import (
    dimension_curve,
    group_differences,
    loss_curves,
    plot_training,
)
from gecko_kedro.evaluation.readers import read_retrieval_data
from gecko_kedro.evaluation.report import LabelAudit, NodeCost, ReportContent, write_report
from gecko_kedro.evaluation.tables import as_text
from gecko_kedro.evaluation.task_tables import TaskTables, from_tables, to_tables
from gecko_kedro.evaluation.tasks import (
    CheckedData,
    RetrievalData,
    quarantined_of,
    require_tasks,
    to_mteb_task,
)

__all__ = [
    "CheckedData",
    "Comparison",
    "EncoderUnderTest",
    "Interval",
    "LabelAudit",
    "ModelFacts",
    "NodeCost",
    "ReportContent",
    "RetrievalData",
    "ScoreTable",
    "TaskTables",
    "as_text",
    "compare",
    "concat_scores",
    "dimension_curve",
    "evaluate_bm25",
    "evaluate_encoder",
    "from_tables",
    "group_differences",
    "headline",
    "heldout_from_pairs",
    "loss_curves",
    "model_card",
    "moved_queries",
    "paired_bootstrap",
    "plot_training",
    "quarantined_of",
    "read_retrieval_data",
    "require_tasks",
    "to_mteb_task",
    "to_tables",
    "write_report",
]
