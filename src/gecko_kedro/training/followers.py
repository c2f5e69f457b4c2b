"""torchrun: one process runs the pipelines, the others train along with it.

    torchrun --nproc-per-node 8 -m gecko_kedro --pipelines finetune

The first process runs Kedro: it alone holds the lock, reads and writes datasets, tracks and prints.
Whenever it comes to ``train_encoder`` the others get the model, the examples and the settings from
it and take part. Checkpoints go to a folder that all processes must see.
"""

import io
import json
import logging
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import torch
import torch.distributed as dist

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.training import ranks
from gecko_kedro.training.job import Job

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(days=30)  # a follower waits as long as the other stages take
_END = b""
_control: Any = None  # the group of the messages; training has the default one


@contextmanager
def leading() -> Iterator[bool]:
    """True for the process that is to run the pipelines; the others serve it first, then False.

    If the first process ends in an error the launcher stops the others: nobody waits for them.
    """
    launched = all(name in os.environ for name in _VARIABLES)  # by torchrun or accelerate launch
    if not launched or int(os.environ["WORLD_SIZE"]) < 2:
        yield True
        return
    global _control  # noqa: PLW0603  # one process group a process, as torch has it
    # accelerate hands on what the trainer's own argument is called.
    warnings.filterwarnings("ignore", message="`broadcast_buffers`", category=FutureWarning)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    _control = dist.new_group(backend="gloo", timeout=_PATIENCE)
    if ranks.is_main():
        yield True
        ranks.send(_END, group=_control)
    else:
        _serve()
        yield False
    ranks.leave()
    _control = None


def call_followers(model: Encoder, examples: pl.DataFrame, job: Job) -> None:
    """Send the other processes what is to be trained; nothing for one process."""
    if _control is None:
        return
    if ranks.is_main():
        ranks.send(_packed(model, examples, job), group=_control)


def _serve() -> None:
    """Take part in one training after another, until the first process is done."""
    from gecko_kedro.training.trainer import train_encoder

    logging.getLogger().setLevel(logging.ERROR)  # each line once
    logging.getLogger("gecko_kedro").setLevel(logging.ERROR)
    while message := ranks.send(_END, group=_control):
        with tempfile.TemporaryDirectory() as folder:
            model, examples, job = _unpacked(message, Path(folder))
            try:
                train_encoder(model, examples, **dict(job))
            except InputError:  # the first process has it too, and tells it
                continue


def _packed(model: Encoder, examples: pl.DataFrame, job: Job) -> bytes:
    """The model's folder, the examples as Parquet and the rest as JSON in one archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, create_model_card=False)
        for file in sorted(Path(folder).rglob("*")):
            archive.write(file, f"model/{file.relative_to(folder).as_posix()}")
        table = io.BytesIO()
        examples.write_parquet(table)
        archive.writestr("examples.parquet", table.getvalue())
        config = getattr(model.transformers_model, "config", None)
        how = {
            "device": model.device.type,
            "attention": getattr(config, "_attn_implementation", None),
            "trust_remote_code": bool(getattr(model, "trust_remote_code", False)),
        }
        archive.writestr("load.json", json.dumps(how))
        there = {"checkpoints": job.checkpoints.absolute()}
        archive.writestr("job.json", job.model_copy(update=there).model_dump_json())
    return content.getvalue()


def _unpacked(message: bytes, folder: Path) -> tuple[Encoder, pl.DataFrame, Job]:
    with zipfile.ZipFile(io.BytesIO(message)) as archive:
        archive.extractall(folder)
        how = json.loads(archive.read("load.json"))
        job = Job.model_validate_json(archive.read("job.json"))
        examples = pl.read_parquet(io.BytesIO(archive.read("examples.parquet")))
    if how["device"] == "cuda":
        how["device"] += f":{os.environ['LOCAL_RANK']}"
    model = load_encoder(str(folder / "model"), for_training=True, dtype="float32", **how)
    return model, examples, job
