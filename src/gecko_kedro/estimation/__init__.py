"""What a run will cost: arithmetic on what was measured in small. Knows no Kedro and no model."""

from gecko_kedro.estimation.accelerator import accelerator_hours
from gecko_kedro.estimation.measured import (
    CallMeasure,
    CorpusMeasure,
    EncoderMeasure,
    SearchMeasure,
    TeacherMeasure,
    TrainingMeasure,
)
from gecko_kedro.estimation.sizes import RunSize, TrainingPlan, documents_with_seeds, run_size
from gecko_kedro.estimation.stages import Measures, StageCost, run_costs, total_cost
from gecko_kedro.estimation.table import cost_table

__all__ = [
    "CallMeasure", "CorpusMeasure", "EncoderMeasure", "Measures", "RunSize", "SearchMeasure",
    "StageCost", "TeacherMeasure", "TrainingMeasure", "TrainingPlan", "accelerator_hours",
    "cost_table", "documents_with_seeds", "run_costs", "run_size", "total_cost",
]  # fmt: skip
