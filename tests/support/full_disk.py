"""A process for tests to run on a disk that is too small, then again on one that is not.

    python -m tests.support.full_disk KIND FOLDER [LARGEST_FILE]

Writes real files of KIND below FOLDER; with LARGEST_FILE no file may grow beyond so many bytes
(RLIMIT_FSIZE), which is what a machine has that lets nobody mount a small disk. Prints the
InputError that came and ends with 3, or prints what is there.
"""

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.shards import Shard, missing_pieces


def write_shards(folder: Path) -> object:
    """4 shards of 200 kB, those that are there left alone."""
    from gecko_kedro.datasets import ShardedParquetDataset

    vectors = np.random.default_rng(7).standard_normal((400, 512), dtype=np.float32)
    table = pl.DataFrame({"row": range(400), "vector": vectors})
    dataset = ShardedParquetDataset(path=str(folder / "shards"))
    for piece in missing_pieces(table, size=100, finished=dataset.finished()):
        print("made shard", piece.index)
        dataset.save(Shard(piece.index, piece.total, piece.rows))
    return dataset.load().equals(table)


def write_vectors(folder: Path) -> object:
    """What embedding writes: 4 shards of 200 kB in one file, those that are there left alone."""
    from gecko_kedro.datasets import VectorShardsDataset

    vectors = np.random.default_rng(7).standard_normal((400, 512), dtype=np.float32)
    table = pl.DataFrame({"row": range(400), "vector": vectors})
    dataset = VectorShardsDataset(path=str(folder / "vectors"), rows_per_shard=100)
    for piece in missing_pieces(table, size=100, finished=dataset.finished()):
        print("made shard", piece.index)
        dataset.save(Shard(piece.index, piece.total, piece.rows))
    return bool((dataset.load().matrix == vectors).all())


def write_table(folder: Path) -> object:
    """One Parquet table of 1.6 MB."""
    from gecko_kedro.datasets import TableDataset

    numbers = np.random.default_rng(7).standard_normal(200_000)
    dataset = TableDataset(filepath=str(folder / "table.parquet"))
    dataset.save(pl.DataFrame({"number": numbers}))
    return dataset.load()["number"].to_numpy().tobytes() == numbers.tobytes()


def write_plot(folder: Path) -> object:
    """A plot of 1 MB."""
    from plotly.graph_objects import Figure, Scatter

    from gecko_kedro.datasets import PlotDataset

    numbers = np.random.default_rng(7).standard_normal(100_000)
    dataset = PlotDataset(filepath=str(folder / "plot.json"))
    figure = Figure(Scatter(y=numbers))
    dataset.save(figure)
    wanted = json.loads(figure.to_json())
    return dataset.preview() == wanted == json.loads(dataset.load().to_json())


def write_store(folder: Path) -> object:
    """Replies, a transaction of 20 kB each; those that are there are not put again."""
    from gecko_kedro.teacher import ResponseStore

    with ResponseStore(folder / "responses.sqlite") as store:
        for n in range(60):
            key = n.to_bytes(32, "big")
            if not store.get([key]):
                store.put({key: str(n) * 20_000})
        return len(store)


def write_checkpoints(folder: Path) -> object:
    """A training of a tiny model with a checkpoint each second step, through the real trainer."""
    from gecko_kedro import training
    from tests.support.small_training import changed, examples

    made = training.train_encoder(
        MODEL[0], examples(12), settings=changed(epochs=4, checkpoint_steps=2), loss="gecko",
        name="finetune", checkpoints=folder,
    )  # fmt: skip
    print("resumed after", made.metrics["steps_resumed"])
    return made.metrics["steps"] == made.history["step"].max() == 8


MODEL: list[Any] = []  # made before the limit: it goes through the folder for temporary files


def main(kind: str, folder: Path, largest_file: int | None) -> int:
    """Do it; the exit code."""
    if kind == "checkpoints":
        from tests.support.tiny_encoder import tiny_encoder

        MODEL.append(tiny_encoder())
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # EFBIG instead of an end
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    kinds = {
        "shards": write_shards, "vectors": write_vectors, "table": write_table, "plot": write_plot,
        "store": write_store, "checkpoints": write_checkpoints,
    }  # fmt: skip
    try:
        print("whole:", kinds[kind](folder))
    except Exception as error:
        seen: BaseException | None = error
        while seen is not None and not isinstance(seen, InputError):
            seen = seen.__cause__
        if seen is None:
            raise
        print("InputError:", seen)
        return 3
    return 0


if __name__ == "__main__":
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else None
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), limit))
