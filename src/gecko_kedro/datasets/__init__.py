"""Kedro dataset classes of this project."""

from gecko_kedro.datasets.encoder import EncoderDataset
from gecko_kedro.datasets.folder import WorkFolderDataset
from gecko_kedro.datasets.sharded import FinishedShardsDataset, ShardedParquetDataset
from gecko_kedro.datasets.table import TableDataset

__all__ = [
    "EncoderDataset",
    "FinishedShardsDataset",
    "ShardedParquetDataset",
    "TableDataset",
    "WorkFolderDataset",
]
