"""Kedro dataset classes of this project; ``conf/base/catalog`` shows how each is declared."""

from gecko_kedro.datasets.files import (
    EncoderDataset,
    JsonDataset,
    PlotDataset,
    TextFileDataset,
    WorkFolderDataset,
)
from gecko_kedro.datasets.search_work import SearchWorkDataset
from gecko_kedro.datasets.sharded import ShardedParquetDataset
from gecko_kedro.datasets.sources import (
    CorpusDataset,
    EvaluationTasksDataset,
    OptionalTableDataset,
    QueryLogDataset,
    RetrievalDataDataset,
    TrainingSourcesDataset,
)
from gecko_kedro.datasets.table import TableDataset, TablesDataset
from gecko_kedro.datasets.teacher import AdaptedModelDataset, TeacherDataset
from gecko_kedro.datasets.vector_shards import FinishedShardsDataset, VectorShardsDataset

__all__ = [
    "AdaptedModelDataset", "CorpusDataset", "EncoderDataset", "EvaluationTasksDataset",
    "FinishedShardsDataset",
    "JsonDataset", "OptionalTableDataset", "PlotDataset", "QueryLogDataset", "RetrievalDataDataset",
    "SearchWorkDataset", "ShardedParquetDataset", "TableDataset", "TablesDataset", "TeacherDataset",
    "TextFileDataset", "TrainingSourcesDataset", "VectorShardsDataset", "WorkFolderDataset",
]  # fmt: skip
