"""A process for tests to kill: the real node that embeds passages, on its real datasets.

    python -m tests.support.faulty_embedding FOLDER ENGINE [SHARDS]

FOLDER has ``passages.parquet`` and an encoder in ``model``. With SHARDS the process is killed with
SIGKILL as soon as it has saved so many.
"""

import os
import signal
import sys
from pathlib import Path

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from gecko_kedro.base.shards import Shard
from gecko_kedro.datasets import FinishedShardsDataset, TableDataset, VectorShardsDataset
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.pipelines.mine import nodes
from gecko_kedro.retrieval import EmbedSettings
from tests.support.clusters import engine_settings

SHARD_SIZE = 5


class Doomed(VectorShardsDataset):
    """Kills its process after ``left`` saved shards."""

    left = -1

    def save(self, data: Shard) -> None:
        super().save(data)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def parameters(folder: Path) -> tuple[LoadSettings, EmbedSettings]:
    """The encoder of ``folder``, and small shards."""
    load = LoadSettings(reference=str(folder / "model"), device="cpu", dtype="float32")
    return load, EmbedSettings(max_seq_length=32, shard_size=SHARD_SIZE)


def embed(folder: Path, engine: str, shards: int) -> None:
    """Make the missing shards."""
    load, settings = parameters(folder)
    output = Doomed(path=str(folder / "vectors"), rows_per_shard=SHARD_SIZE)
    output.left = shards
    memory = {
        "model": str(folder / "model"),
        "params:encoder.load": load,
        "params:engine": engine_settings(engine, actors=1),
        "params:mine.embed": settings,
    }
    catalog = DataCatalog(
        {
            "passages": TableDataset(filepath=str(folder / "passages.parquet"), scan=True),
            "finished": FinishedShardsDataset(
                path=str(folder / "vectors"), of="vectors", vectors=True
            ),
            "vectors": output,
            **{name: MemoryDataset(value) for name, value in memory.items()},
        }
    )
    inputs = ["model", "passages", "finished"]
    inputs += ["params:encoder.load", "params:engine", "params:mine.embed"]
    SequentialRunner().run(Pipeline([Node(nodes.embed_passages, inputs, "vectors")]), catalog)


if __name__ == "__main__":
    embed(Path(sys.argv[1]), sys.argv[2], int([*sys.argv, "-1"][3]))
