"""Training side by side with sentence-transformers' trainer: the same loss, data and batches.

    python benchmarks/train.py --quick --out train.json       # 3 measured steps each
    python benchmarks/train.py --steps 20 --threads 2
    python benchmarks/train.py --memory 4096                  # peak memory of one large batch

MiniLM-L6, batch 64 of real pairs (a docstring's summary and its body, at most 128 tokens), equation
3 with Matryoshka dimensions; for pairs without hard negatives it equals the library's own loss with
``directions=("query_to_doc", "query_to_query")``, as the tests say. Each contender trains the same
batches in the same order. CPU seconds of the process between the first logged step and the last are
compared, which stay much the same on a loaded machine; a ratio is the peer's over ours, so larger
is better. bfloat16 is left out, with the reason, where nothing computes it in hardware.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

DIMS = (256, 128, 64)
BATCH, TOKENS, TEMPERATURE = 64, 128, 0.05


def settings(steps: int, threads: int, **changes):
    """Those of the default fine-tuning, without checkpoints in between."""
    from gecko_kedro.training.settings import TrainSettings

    loss = {
        "temperature": TEMPERATURE, "matryoshka_dims": DIMS, "same_tower": True,
        "negatives": "own", "max_negatives": 1, "both_directions": False, "hardness": 0,
        "spread_out": 0, "distillation": 0, "teacher_temperature": 1,
        "masks": {"same_text": True, "known_positive": True, "same_label": True, "margin": None},
    }  # fmt: skip
    values = {
        "epochs": 1, "max_steps": steps, "batch_size": BATCH, "learning_rate": 2e-5,
        "warmup_ratio": 0.1, "max_seq_length": TOKENS, "loss": loss, "seed": 7,
        "tokens_per_pass": 2048, "gradient_caching": False, "compile": False, "threads": threads,
        "precision": "fp32", "checkpoint_steps": 10**6, "heldout_rows": 0,
        "evaluation_steps": 1000, "patience": None,
    }  # fmt: skip
    return TrainSettings.model_validate(values | changes)


def ours(examples, steps: int, threads: int, **changes) -> list[float]:
    """CPU seconds at the end of each step."""
    from gecko_kedro import events
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
            settings=settings(steps, threads, **changes),
            loss="gecko",
            name="benchmark",
            checkpoints=Path(folder),
        )
    return ends


def theirs(
    examples, steps: int, threads: int, *, eager_no_dropout: bool = False, bf16: bool = False
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
    plan = plan_batches(examples, batch_size=BATCH, epochs=1, max_steps=steps, seed=7)
    rows = [int(row) for batch in plan.batches for row in batch]
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
            output_dir=folder, per_device_train_batch_size=BATCH, max_steps=steps,
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


def compare(examples, steps: int, threads: int) -> dict[str, object]:
    """CPU seconds a step of each contender, and the ratios."""
    import torch

    from gecko_kedro.precision import fast_bf16

    half = fast_bf16("cuda" if torch.cuda.is_available() else "cpu")
    contenders: dict[str, Callable[[], list[float]]] = {
        "gecko": lambda: ours(examples, steps, threads),
        "gecko_gradcache": lambda: ours(examples, steps, threads, gradient_caching=True),
        "st_fp32": lambda: theirs(examples, steps, threads),
        "st_eager_no_dropout": lambda: theirs(examples, steps, threads, eager_no_dropout=True),
    }
    if half:
        contenders["gecko_bf16"] = lambda: ours(examples, steps, threads, precision="bf16")
        contenders["st_bf16"] = lambda: theirs(examples, steps, threads, bf16=True)
    seconds = {}
    for name, run in contenders.items():
        seconds[name] = per_step(run())
        print(f"{name:20} {seconds[name]:8.2f} CPU s a step, {BATCH / seconds[name]:6.2f} pairs/s")
    best = min(seconds["gecko"], seconds.get("gecko_bf16", float("inf")))
    ratios = {
        "train_vs_st_fp32": seconds["st_fp32"] / best,
        "train_vs_st_eager_no_dropout": seconds["st_eager_no_dropout"] / seconds["gecko"],
        "gradcache_vs_plain": seconds["gecko"] / seconds["gecko_gradcache"],
    }
    left_out = {}
    if half:
        ratios["train_vs_st_bf16"] = seconds["st_bf16"] / seconds["gecko_bf16"]
    else:
        left_out["train_vs_st_bf16"] = "no bfloat16 in hardware (AMX, AVX512-BF16 or a GPU)"
    return {"seconds_per_step": seconds, "ratios": ratios, "left_out": left_out}


def peak_memory(examples, batch: int, threads: int) -> dict[str, float]:
    """MiB at the peak of one step of ``batch`` rows with gradient caching."""
    import resource

    ours(examples, 1, threads, batch_size=batch, gradient_caching=True)
    return {"batch": batch, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 measured steps")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each contender")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=int, help="only the peak memory of a batch of this size")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    steps = 1 + (3 if arguments.quick else arguments.steps)
    from support.real_texts import real_texts

    from gecko_kedro.training import from_pairs

    pairs = arguments.memory or steps * BATCH
    examples = from_pairs(real_texts(pairs=pairs, passages=1).pairs).examples
    result: dict[str, object] = {"machine": platform.processor() or platform.machine()}
    if arguments.memory:
        result["memory"] = peak_memory(examples, arguments.memory, arguments.threads)
    else:
        result |= compare(examples, steps, arguments.threads)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()
