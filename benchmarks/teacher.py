"""What sharing prefixes saves when a language model judges candidates, and what bfloat16 does.

    python benchmarks/teacher.py --quick --out teacher.json   # one round
    python benchmarks/teacher.py --rounds 3

A random Llama of 135M parameters (30 layers x 576, vocabulary 49,152) scores one candidate set:
20 passages of 120 tokens after a few-shot prefix of 400, and a query of 14 tokens after each.
"naive" feeds all 20 x 534 tokens in one batch, with logits for the query's rows only; "shared" is
the transformers backend with an empty cache. Relevance adds 4 tokens after each query, as where its
prompt goes on from that of query likelihood, and reads 4 labels at the end.

What is compared is CPU seconds of the process, medians over rounds. Larger is better in `ratios`:

* shared_prefix_fp32, shared_prefix_bf16: naive over shared; the count of tokens allows 3.47
* bf16_vs_fp32: float32 over bfloat16, both shared
* ql_vs_ql_and_rc: query likelihood alone over both rankers; at most 1, and 0.8 where both cost 1.25
  times as much as one
* embedded_ql_vs_transformers_fp32: the way of the default run, that is an adapted model with no
  few-shot prefix, over plain transformers in float32: 15 queries with 20 candidates each out of 110
  passages of 103 tokens. The backend reads a passage once for the queries that share it, and
  computes in bfloat16 where that is fast.

Those of bfloat16 are left out where the CPU emulates it.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

CANDIDATES, PREFIX, PASSAGE, QUERY, QUESTION = 20, 400, 120, 14, 4
VOCABULARY = 49_152
LABELS = (101, 102, 103, 104)


def build_model(dtype):
    """The random Llama."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).to(dtype).eval()


def candidate_set():
    """Requests of query likelihood, and those of relevance that go on from them."""
    import random

    from gecko_kedro.teacher.causal_lm import Request

    rng = random.Random(0)

    def tokens(count):
        return tuple(rng.randrange(VOCABULARY) for _ in range(count))

    prefix, query, question = tokens(PREFIX), tokens(QUERY), tokens(QUESTION)
    passages = [tokens(PASSAGE) for _ in range(CANDIDATES)]
    targets = tuple((token,) for token in query)
    likelihood = [Request((*prefix, *passage, *query[:-1]), targets) for passage in passages]
    relevance = [Request((*prefix, *passage, *query, *question), (LABELS,)) for passage in passages]
    return likelihood, relevance


def adapted_requests():
    """Query likelihood without a few-shot prefix; queries share some of their candidates."""
    import random

    from gecko_kedro.teacher.causal_lm import Request

    rng = random.Random(1)
    passages, queries = (
        [tuple(rng.randrange(VOCABULARY) for _ in range(tokens)) for _ in range(count)]
        for count, tokens in ((110, 103), (15, QUERY))
    )
    return [
        Request((*passage, *query[:-1]), tuple((token,) for token in query))
        for query in queries
        for passage in rng.sample(passages, CANDIDATES)
    ]


def naive(model, requests):
    """One batch, nothing shared."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([request.tokens for request in requests])
        logits = model(ids, use_cache=False, logits_to_keep=QUERY).logits.float()
        rows = torch.log_softmax(logits, dim=-1)
        wanted = torch.tensor([request.targets for request in requests])
        return rows.gather(2, wanted).sum(dim=(1, 2)).tolist()


def shared(model, *rankers):
    """The transformers backend, from an empty cache, one call a ranker."""
    from gecko_kedro.teacher.causal_lm import CausalLM

    lm = CausalLM(model, batch_tokens=4096, cache_tokens=16_384)
    scored = [lm.log_probabilities(requests) for requests in rankers]
    return [sum(row[0] for row in one) for one in scored[0]]


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the process, user and system."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(dtype, rounds: int) -> tuple[dict[str, float], float]:
    """Median CPU seconds of each way, and the largest difference of a log-likelihood."""
    model = build_model(dtype)
    likelihood, relevance = candidate_set()
    ways: dict[str, Callable[[], object]] = {
        "naive": lambda: naive(model, likelihood),
        "ql": lambda: shared(model, likelihood),
        "ql_and_rc": lambda: shared(model, likelihood, relevance),
    }
    naive(model, likelihood[:1])  # first use of the matrices
    difference = max(
        abs(one - other)
        for one, other in zip(
            naive(model, likelihood[:3]), shared(model, likelihood[:3]), strict=True
        )
    )
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        for name in names:
            spent[name].append(cpu_seconds(ways[name]))
    return {name: statistics.median(values) for name, values in spent.items()}, difference


def measure_adapted(rounds: int, fast) -> tuple[float, float]:
    """Median CPU seconds of plain transformers in float32, and of the backend in ``fast``."""
    import torch

    requests = adapted_requests()
    batches = [requests[n : n + CANDIDATES] for n in range(0, len(requests), CANDIDATES)]
    spent: list[list[float]] = [[], []]
    models = build_model(torch.float32), build_model(fast)
    for _ in range(rounds):
        spent[0].append(cpu_seconds(lambda: [naive(models[0], batch) for batch in batches]))
        spent[1].append(cpu_seconds(lambda: shared(models[1], requests)))
    plain, ours = map(statistics.median, spent)
    return plain, ours


def run(rounds: int, threads: int) -> dict[str, object]:
    """All measurements."""
    import torch
    import transformers

    from gecko_kedro.base.precision import cpu_has_fast_bf16

    torch.set_num_threads(threads)
    seconds, differences, ratios = {}, {}, {}
    dtypes = {"fp32": torch.float32}
    if cpu_has_fast_bf16():
        dtypes["bf16"] = torch.bfloat16
    for name, dtype in dtypes.items():
        seconds[name], differences[name] = measure(dtype, rounds)
        ratios[f"shared_prefix_{name}"] = seconds[name]["naive"] / seconds[name]["ql"]
    plain, ours = measure_adapted(rounds, fast=dtypes.get("bf16", torch.float32))
    seconds["adapted"] = {"plain": plain, "ours": ours}
    ratios["embedded_ql_vs_transformers_fp32"] = plain / ours
    ratios["ql_vs_ql_and_rc"] = seconds["fp32"]["ql"] / seconds["fp32"]["ql_and_rc"]
    if "bf16" in seconds:
        ratios["bf16_vs_fp32"] = seconds["fp32"]["ql"] / seconds["bf16"]["ql"]
    return {
        "ratios": ratios,
        "cpu_seconds": seconds,
        "largest_difference_in_nats": differences,
        "left_out": [] if "bf16" in seconds else ["bf16: this CPU has no fast bfloat16"],
        "rounds": rounds,
        "threads": threads,
        "machine": platform.processor() or platform.machine(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    options = parser.parse_args()
    wanted = {"OMP_NUM_THREADS": str(options.threads)}
    if os.environ.get("OMP_NUM_THREADS") != wanted["OMP_NUM_THREADS"]:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)
    result = run(1 if options.quick else options.rounds, options.threads)
    print(json.dumps(result["ratios"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
