"""Kedro dataset classes of this project."""

from gecko_kedro.datasets.corpus import CorpusDataset
from gecko_kedro.datasets.encoder import EncoderDataset
from gecko_kedro.datasets.evaluation_tasks import EvaluationTasksDataset
from gecko_kedro.datasets.finished import FinishedShardsDataset
from gecko_kedro.datasets.folder import WorkFolderDataset
from gecko_kedro.datasets.json_file import JsonDataset
from gecko_kedro.datasets.optional_table import OptionalTableDataset
from gecko_kedro.datasets.plot import PlotDataset
from gecko_kedro.datasets.python_docs import PythonDocsDataset
from gecko_kedro.datasets.query_log import QueryLogDataset
from gecko_kedro.datasets.retrieval_data import RetrievalDataDataset
from gecko_kedro.datasets.search_work import SearchWorkDataset
from gecko_kedro.datasets.sharded import ShardedParquetDataset
from gecko_kedro.datasets.table import TableDataset, TableScanDataset
from gecko_kedro.datasets.tables import TablesDataset
from gecko_kedro.datasets.teacher import TeacherDataset
from gecko_kedro.datasets.text_file import TextFileDataset
from gecko_kedro.datasets.training_sources import TrainingSourcesDataset
from gecko_kedro.datasets.vector_shards import VectorShardsDataset

__all__ = [
    "CorpusDataset",
    "EncoderDataset",
    "EvaluationTasksDataset",
    "FinishedShardsDataset",
    "JsonDataset",
    "OptionalTableDataset",
    "PlotDataset",
    "PythonDocsDataset",
    "QueryLogDataset",
    "RetrievalDataDataset",
    "SearchWorkDataset",
    "ShardedParquetDataset",
    "TableDataset",
    "TableScanDataset",
    "TablesDataset",
    "TeacherDataset",
    "TextFileDataset",
    "TrainingSourcesDataset",
    "VectorShardsDataset",
    "WorkFolderDataset",
]
