"""The HTTP teacher against the ideal: requests in flight against a server that takes 200 ms.

    python benchmarks/http_teacher.py --quick --out http_teacher.json

The server is another process on this machine. It waits, then answers: it stands for the latency of
a real one and holds no model. The ideal is (requests / in flight) x 200 ms. What is measured is the
way of a run: StoredTeacher with its SQLite store, a commit for each reply. The clock is the wall's,
so a loaded machine makes it worse: the best of the rounds counts, and a bare aiohttp client beside
it, which stores nothing and retries nothing, shows what the machine allows.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

LATENCY_S = 0.2
CONCURRENCY = 32
PROMPT_WORDS = 700  # about what the few-shot prompts have


def serve(port_sent: multiprocessing.Queue) -> None:
    """Answer every request after ``LATENCY_S``."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(LATENCY_S)
        usage = {"prompt_tokens": PROMPT_WORDS, "completion_tokens": 20}
        text = '{"task": "Given a query, find a passage.", "query": "what waits"}'
        message = {"role": "assistant", "content": text}
        return web.json_response({"choices": [{"message": message}], "usage": usage})

    async def run() -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        port_sent.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def settings(port: int):
    """Those of conf/base, for this server."""
    from gecko_kedro.teacher.http.settings import HttpSettings

    file = Path(__file__).resolve().parents[1] / "conf" / "base" / "parameters/teacher.yml"
    values = yaml.safe_load(file.read_text("utf-8"))["teacher"]["http"]
    ours = {
        "base_url": f"http://127.0.0.1:{port}/v1", "model": "waits", "dialect": "openai",
        "concurrency": CONCURRENCY,
    }  # fmt: skip
    return HttpSettings.model_validate(values | ours)


def measure(port: int, requests: int, seed: int) -> tuple[float, float]:
    """Wall and CPU seconds of ``requests`` calls of generate."""
    from gecko_kedro.teacher import Prompt, ResponseStore, StoredTeacher
    from gecko_kedro.teacher.http.teacher import HttpTeacher

    prompts = [Prompt(f"{n} " + "word " * PROMPT_WORDS, {}, "1") for n in range(requests)]
    with tempfile.TemporaryDirectory() as folder:
        store = ResponseStore(Path(folder) / "s.sqlite")
        teacher = StoredTeacher(HttpTeacher(settings(port)), store, batch_size=10_000)
        wall, cpu = time.perf_counter(), time.process_time()
        replies = teacher.generate(prompts, temperature=0.7, top_p=1.0, seed=seed)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        teacher.close()
    if len(replies) != requests:
        raise RuntimeError("a reply is missing")
    return wall, cpu


async def bare(port: int, requests: int) -> float:
    """Wall seconds of the same requests by aiohttp alone."""
    body = {"messages": [{"role": "user", "content": "word " * PROMPT_WORDS}]}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(session: aiohttp.ClientSession) -> None:
        async with slots, session.post(url, json=body) as response:
            await response.json()

    started = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one(session) for _ in range(requests)))
    return time.perf_counter() - started


def run(requests: int, rounds: int) -> dict[str, object]:
    """The whole benchmark."""
    context = multiprocessing.get_context("spawn")
    port_sent = context.Queue()
    server = context.Process(target=serve, args=(port_sent,), daemon=True)
    server.start()
    try:
        port = port_sent.get(timeout=60)
        measured, alone = [], []
        for seed in range(rounds):
            alone.append(asyncio.run(bare(port, requests)))
            measured.append(measure(port, requests, seed))
    finally:
        server.terminate()
        server.join()
    ideal = requests / CONCURRENCY * LATENCY_S
    wall = min(wall for wall, _ in measured)
    return {
        "requests": requests, "concurrency": CONCURRENCY, "latency_s": LATENCY_S,
        "rounds": rounds, "ideal_s": ideal, "wall_s": [round(wall, 3) for wall, _ in measured],
        "bare_wall_s": [round(wall, 3) for wall in alone],
        "cpu_s": [round(cpu, 3) for _, cpu in measured],
        "requests_per_s": round(requests / wall, 1),
        "ratios": {
            "http_32_concurrent_vs_ideal": round(ideal / wall, 3),
            "http_32_concurrent_vs_bare_aiohttp": round(min(alone) / wall, 3),
        },
    }  # fmt: skip


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="640 requests, 3 rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3200)
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    options = parser.parse_args()
    requests, rounds = (640, 3) if options.quick else (options.requests, options.rounds)
    result = run(requests, rounds)
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
