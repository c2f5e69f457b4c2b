"""MTEB tasks, intervals, comparison tables, plots and the report.

mteb and torch are imported only by what runs a model, so this import stays cheap.
"""

from gecko_kedro.evaluation.comparing.bootstrap import Interval, paired_bootstrap
from gecko_kedro.evaluation.comparing.comparison import Comparison, compare
from gecko_kedro.evaluation.comparing.forgetting import (
    SweepPoint,
    choose_weight,
    forgetting_curve,
    mark_chosen,
    sweep_of,
    sweep_table,
    task_groups,
)
from gecko_kedro.evaluation.comparing.moved import moved_queries
from gecko_kedro.evaluation.comparing.published import parity_table, parity_text, require_parity
from gecko_kedro.evaluation.comparing.verdicts import category_table, headline
from gecko_kedro.evaluation.reporting.model_card import ModelFacts, model_card
from gecko_kedro.evaluation.reporting.plots import (
    dimension_curve,
    group_differences,
    loss_curves,
    plot_training,
)
from gecko_kedro.evaluation.reporting.report import (
    LabelAudit,
    NodeCost,
    ReportContent,
    write_report,
)
from gecko_kedro.evaluation.reporting.terminal import as_text
from gecko_kedro.evaluation.scoring.scoring_run import (
    ScoreTable,
    Task,
    concat_scores,
    evaluate_bm25,
    evaluate_encoder,
)
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.heldout import heldout_from_pairs
from gecko_kedro.evaluation.tasks.reading import ReadTasks, read_task, read_tasks
from gecko_kedro.evaluation.tasks.retrieval import (
    CheckedData,
    RetrievalData,
    quarantined_of,
    require_tasks,
    to_mteb_task,
)
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.tables import TaskTables, from_tables, to_tables
from gecko_kedro.evaluation.tasks.texts import evaluation_texts, texts_of

__all__ = [
    "CheckedData",
    "Comparison",
    "EncoderUnderTest",
    "Interval",
    "LabelAudit",
    "ModelFacts",
    "NodeCost",
    "ReadTasks",
    "ReportContent",
    "RetrievalData",
    "ScoreTable",
    "SweepPoint",
    "Task",
    "TaskTables",
    "as_text",
    "category_table",
    "choose_weight",
    "compare",
    "concat_scores",
    "dimension_curve",
    "evaluate_bm25",
    "evaluate_encoder",
    "evaluation_texts",
    "forgetting_curve",
    "from_tables",
    "group_differences",
    "headline",
    "heldout_from_pairs",
    "loss_curves",
    "mark_chosen",
    "model_card",
    "moved_queries",
    "paired_bootstrap",
    "parity_table",
    "parity_text",
    "plot_training",
    "quarantined_of",
    "read_retrieval_data",
    "read_task",
    "read_tasks",
    "require_parity",
    "require_tasks",
    "sweep_of",
    "sweep_table",
    "task_groups",
    "texts_of",
    "to_mteb_task",
    "to_tables",
    "write_report",
]
