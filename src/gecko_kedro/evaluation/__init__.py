"""Tasks, their scores, comparisons with intervals, and what a person reads of them: four rooms.

mteb and torch are imported only by what runs a model, so this import stays cheap.
"""

from gecko_kedro.evaluation.comparing.bootstrap import Interval, paired_bootstrap
from gecko_kedro.evaluation.comparing.comparison import Comparison, compare
from gecko_kedro.evaluation.comparing.forgetting import choose_weight, sweep_table
from gecko_kedro.evaluation.comparing.published import parity_table, require_parity
from gecko_kedro.evaluation.comparing.verdicts import category_table, headline
from gecko_kedro.evaluation.reporting.model_card import ModelFacts, model_card
from gecko_kedro.evaluation.reporting.moved import moved_queries
from gecko_kedro.evaluation.reporting.plots import (
    dimension_curve,
    forgetting_curve,
    group_differences,
    plot_training,
)
from gecko_kedro.evaluation.reporting.report import NodeCost, ReportContent, write_report
from gecko_kedro.evaluation.reporting.terminal import as_text, parity_text
from gecko_kedro.evaluation.scoring.score_table import ScoreTable, concat_scores
from gecko_kedro.evaluation.scoring.scoring_run import evaluate_bm25, evaluate_encoder
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.heldout import heldout_from_pairs
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, RetrievalData
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.tables import from_tables, query_groups, to_tables
from gecko_kedro.evaluation.tasks.task import (
    ReadTasks,
    Task,
    evaluation_texts,
    require_tasks,
    texts_of,
)

__all__ = [
    "CheckedData", "Comparison", "EncoderUnderTest", "Interval", "ModelFacts", "NodeCost",
    "ReadTasks", "ReportContent", "RetrievalData", "ScoreTable", "Task", "as_text",
    "category_table", "choose_weight", "compare", "concat_scores", "dimension_curve",
    "evaluate_bm25", "evaluate_encoder", "evaluation_texts", "forgetting_curve", "from_tables",
    "group_differences", "headline", "heldout_from_pairs", "model_card", "moved_queries",
    "paired_bootstrap", "parity_table", "parity_text", "plot_training", "query_groups",
    "read_retrieval_data", "read_tasks", "require_parity", "require_tasks", "sweep_table",
    "texts_of", "to_tables", "write_report",
]  # fmt: skip
