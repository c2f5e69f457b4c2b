"""Kedro dataset classes of this project."""

from gecko_kedro.datasets.corpus import CorpusDataset
from gecko_kedro.datasets.encoder import EncoderDataset
from gecko_kedro.datasets.folder import WorkFolderDataset
from gecko_kedro.datasets.python_docs import PythonDocsDataset
from gecko_kedro.datasets.query_log import QueryLogDataset
from gecko_kedro.datasets.retrieval_data import RetrievalDataDataset
from gecko_kedro.datasets.sharded import FinishedShardsDataset, ShardedParquetDataset
from gecko_kedro.datasets.table import TableDataset

__all__ = [
    "CorpusDataset",
    "EncoderDataset",
    "FinishedShardsDataset",
    "PythonDocsDataset",
    "QueryLogDataset",
    "RetrievalDataDataset",
    "ShardedParquetDataset",
    "TableDataset",
    "WorkFolderDataset",
]
