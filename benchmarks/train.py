"""Training side by side with sentence-transformers' trainer: the same loss, data and batches.

    python benchmarks/train.py --quick --out train.json       # batch 32, 2 measured steps each
    python benchmarks/train.py --steps 20 --threads 2
    python benchmarks/train.py --memory 4096                  # only peak memory of one large batch

MiniLM-L6, batches of 64 real pairs (a docstring's summary and its body, at most 128 tokens),
equation 3 with Matryoshka dimensions; for pairs without hard negatives it equals the library's own
loss with ``directions=("query_to_doc", "query_to_query")``, as the tests say. Each contender trains
the same batches in the same order, one warm-up step more than are measured. CPU seconds of the
process between two steps are compared, which stay much the same on a loaded machine: the least of
``--rounds``, in each of which every contender has its turn, in a process of its own. A ratio is the
peer's over ours, so larger is better: ``train_vs_st_fp32`` is against the library out of the box
(fused attention, dropout), ``train_vs_st_same_settings_fp32`` against it with our eager attention
and no dropout, ``gradient_caching_vs_plain`` is our plain step over the cached one. bfloat16 is
left out, with the reason, where nothing computes it in hardware.

``--memory`` trains one step of that many rows with gradient caching in a process of its own;
``memory_budget_vs_used`` is 6 GB over the most memory that was resident.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

DIMS = (256, 128, 64)
TOKENS, TEMPERATURE = 128, 0.05
MEMORY_BUDGET = 6e9  # bytes


def settings(steps: int, batch: int, threads: int, **changes):
    """Those of the default fine-tuning, without checkpoints in between."""
    from gecko_kedro.training.settings import TrainSettings

    values = {
        "max_steps": steps, "batch_size": batch, "learning_rate": 2e-5, "max_seq_length": TOKENS,
        "loss": {"temperature": TEMPERATURE, "matryoshka_dims": DIMS}, "threads": threads,
        "precision": "fp32", "checkpoint_steps": 10**6,
    }  # fmt: skip
    return TrainSettings.model_validate(values | changes)


def ours(examples, steps: int, batch: int, threads: int, **changes) -> list[float]:
    """CPU seconds at the end of each step."""
    from gecko_kedro.base import events
    from gecko_kedro.encoder import load_encoder
    from gecko_kedro.training import train_encoder

    ends: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        events.listening(lambda *_: ends.append(time.process_time())),
    ):
        train_encoder(
            load_encoder("all-MiniLM-L6-v2", for_training=True),
            examples,
            settings=settings(steps, batch, threads, **changes),
            loss="gecko",
            name="benchmark",
            checkpoints=Path(folder),
        )
    return ends


def theirs(
    examples,
    steps: int,
    batch: int,
    threads: int,
    *,
    eager_no_dropout: bool = False,
    bf16: bool = False,
) -> list[float]:
    """The same with SentenceTransformerTrainer and MultipleNegativesRankingLoss."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import (
        MatryoshkaLoss,
        MultipleNegativesRankingLoss,
    )
    from transformers import TrainerCallback

    from gecko_kedro.encoder.loading import resolve_reference
    from gecko_kedro.training.examples import render_examples
    from gecko_kedro.training.mixture import plan_batches

    torch.set_num_threads(threads)
    plan = plan_batches(examples, batch_size=batch, epochs=1, max_steps=steps, seed=7)
    rows = [int(row) for rows in plan.batches for row in rows]
    table = render_examples(examples)[rows].select(anchor="query", positive="positive")
    lean = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = SentenceTransformer(
        resolve_reference("all-MiniLM-L6-v2"),
        model_kwargs={"attn_implementation": "eager"} if eager_no_dropout else None,
        config_kwargs=lean if eager_no_dropout else None,
    )
    model.max_seq_length = TOKENS
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append(time.process_time())

    class InOrder(SentenceTransformerTrainer):
        def _get_train_sampler(self, *_, **__):
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def get_batch_sampler(self, dataset, batch_size, drop_last, **_):
            starts = range(0, len(dataset), batch_size)
            return [list(range(a, min(a + batch_size, len(dataset)))) for a in starts]

    stock = MultipleNegativesRankingLoss(
        model, scale=1 / TEMPERATURE, directions=("query_to_doc", "query_to_query")
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder, per_device_train_batch_size=batch, max_steps=steps,
            learning_rate=2e-5, warmup_steps=1, save_strategy="no", report_to="none",
            use_cpu=model.device.type == "cpu", bf16=bf16, disable_tqdm=True, logging_steps=1000,
        )  # fmt: skip
        InOrder(
            model=model, args=arguments, train_dataset=Dataset(table.to_arrow()),
            loss=MatryoshkaLoss(model, stock, [model.get_embedding_dimension(), *DIMS]),
            callbacks=[Clock()],
        ).train()  # fmt: skip
    return ends


def per_step(ends: list[float]) -> float:
    """CPU seconds of a step, without the first, which warms up."""
    return (ends[-1] - ends[0]) / (len(ends) - 1)


CONTENDERS: dict[str, Callable[..., list[float]]] = {
    "gecko": ours,
    "st": theirs,
    "st_same_settings": partial(theirs, eager_no_dropout=True),
    "gecko_gradient_caching": partial(ours, gradient_caching=True),
    "gecko_bf16": partial(ours, precision="bf16"),
    "st_bf16": partial(theirs, bf16=True),
}


def in_own_process(option: str, value: object, *more: object) -> Any:
    """What this script prints with a hidden option: nothing is left over from what ran before."""
    command = [sys.executable, __file__, option, *map(str, (value, *more))]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def compare(steps: int, batch: int, threads: int, rounds: int) -> dict[str, object]:
    """CPU seconds a step of each contender, the least of some rounds, and the ratios."""
    import torch

    from gecko_kedro.base.precision import fast_bf16

    half = fast_bf16("cuda" if torch.cuda.is_available() else "cpu")
    size = ("--steps", steps, "--batch", batch, "--threads", threads)
    seconds = {name: float("inf") for name in CONTENDERS if half or not name.endswith("bf16")}
    for _ in range(rounds):  # in turn, since other work on the machine comes and goes
        for name, least in list(seconds.items()):
            seconds[name] = min(least, in_own_process("--contender", name, *size))
    for name, least in seconds.items():
        print(f"{name:24} {least:8.2f} CPU s a step, {batch / least:6.2f} pairs/s")
    best = min(seconds["gecko"], seconds.get("gecko_bf16", float("inf")))
    ratios = {
        "train_vs_st_fp32": seconds["st"] / best,
        "train_vs_st_same_settings_fp32": seconds["st_same_settings"] / seconds["gecko"],
        "gradient_caching_vs_plain": seconds["gecko"] / seconds["gecko_gradient_caching"],
    }
    left_out = {}
    if half:
        ratios["train_vs_st_bf16"] = seconds["st_bf16"] / seconds["gecko_bf16"]
    else:
        left_out["train_vs_st_bf16"] = "no bfloat16 in hardware (AMX, AVX512-BF16 or a GPU)"
    return {"cpu_seconds_per_step": seconds, "ratios": ratios, "left_out": left_out}


def one_step(batch: int, threads: int) -> dict[str, float]:
    """One step of ``batch`` rows with gradient caching in this process, and its peak memory."""
    examples = distinct_pairs(batch)
    before = peak_bytes()
    ours(examples, 1, batch, threads, gradient_caching=True)
    return {"rows": examples.height, "bytes_before": before, "bytes": peak_bytes()}


def peak_bytes() -> int:
    """The most memory that was resident in this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory(batch: int, threads: int) -> dict[str, object]:
    """Peak memory of a batch, measured in a fresh process."""
    used = in_own_process("--one-step", batch, "--threads", threads)
    return {"memory": used, "ratios": {"memory_budget_vs_used": MEMORY_BUDGET / used["bytes"]}}


def pairs(rows: int, **which):
    """Real pairs as training examples."""
    from support.real_texts import real_texts

    from gecko_kedro.training import from_pairs

    return from_pairs(real_texts(pairs=rows, passages=1, **which).pairs).rows


def distinct_pairs(rows: int):
    """Pairs that share no text, so that they fit into one batch."""
    from support.real_texts import MANY_PACKAGES

    examples = pairs(rows + rows // 4, packages=MANY_PACKAGES)
    for column in ("query", "positive"):
        examples = examples.unique(column, keep="first", maintain_order=True)
    if examples.height < rows:
        raise SystemExit(f"only {examples.height} distinct pairs are installed here")
    return examples.head(rows)


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="batch 32, 2 measured steps")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each contender")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each contender")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=int, help="only the peak memory of a batch of this size")
    parser.add_argument("--one-step", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.one_step:
        print(json.dumps(one_step(arguments.one_step, arguments.threads)))
        return
    if arguments.contender:
        steps, batch = 1 + arguments.steps, arguments.batch
        train = CONTENDERS[arguments.contender]
        print(json.dumps(per_step(train(pairs(steps * batch), steps, batch, arguments.threads))))
        return
    steps, batch = (2, 32) if arguments.quick else (arguments.steps, arguments.batch)
    result: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "threads": arguments.threads,
    }
    if arguments.memory:
        result |= memory(arguments.memory, arguments.threads)
    else:
        result |= {"batch": batch, "measured_steps": steps}
        result |= compare(steps, batch, arguments.threads, arguments.rounds)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()
