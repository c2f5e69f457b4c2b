"""Encoding side by side with SentenceTransformer.encode, in one process with the same threads.

    python benchmarks/encode.py --quick --out encode.json     # 256 passages
    python benchmarks/encode.py --texts 4000 --threads 2

Real passages of mixed length (docstrings) with MiniLM-L6 and the same batch size. Every round each
contender encodes all texts once; the median of CPU seconds is compared, which stays much the same
on a loaded machine. A ratio is the peer's over ours, so larger is better. ``encode_vs_st_fp32`` is
against the library's defaults, ``encode_vs_st_same_dtype`` against it with our weights' dtype.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

BATCH = 32


def compare(texts: list[str], rounds: int, threads: int) -> dict[str, object]:
    """CPU seconds of each contender, the ratios, and how close the vectors are."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from gecko_kedro.encoder import encode_texts, load_encoder
    from gecko_kedro.encoder.loading import resolve_reference

    torch.set_num_threads(threads)
    model = load_encoder("all-MiniLM-L6-v2")
    folder = resolve_reference("all-MiniLM-L6-v2")
    peers = {"st_fp32": SentenceTransformer(folder)}
    if model.dtype != torch.float32:
        half = {"dtype": model.dtype}
        peers["st_same_dtype"] = SentenceTransformer(folder, model_kwargs=half)
    contenders = {"gecko": lambda: encode_texts(model, texts, batch_size=BATCH)}
    for name, peer in peers.items():
        contenders[name] = lambda peer=peer: peer.encode(texts, batch_size=BATCH)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    vectors = {}
    for encoder in (model, *peers.values()):
        encoder.encode(texts[:BATCH])  # warm up
    for _ in range(rounds):
        for name, encode in contenders.items():
            started = time.process_time()
            vectors[name] = encode()
            seconds[name].append(time.process_time() - started)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    same = middle.get("st_same_dtype", middle["st_fp32"])
    cosines = (vectors["gecko"] * vectors["st_fp32"]).sum(axis=1)
    return {
        "dtype": str(model.dtype).removeprefix("torch."),
        "texts_per_cpu_second": {name: len(texts) / value for name, value in middle.items()},
        "lowest_cosine_to_fp32": float(np.min(cosines)),
        "ratios": {
            "encode_vs_st_fp32": middle["st_fp32"] / middle["gecko"],
            "encode_vs_st_same_dtype": same / middle["gecko"],
        },
    }


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="256 passages, 2 rounds")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    texts, rounds = (256, 2) if arguments.quick else (arguments.texts, arguments.rounds)
    from support.real_texts import real_texts

    passages = real_texts(pairs=1, passages=texts).passages
    result = {"machine": platform.processor() or platform.machine(), "threads": arguments.threads}
    result |= compare(passages, rounds, arguments.threads)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()
