"""On Ray: killed workers, a killed driver, and keys. Nothing is lost, doubled or told."""

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
import yaml
from aiohttp import web

from gecko_kedro import encoder
from gecko_kedro.datasets import VectorShardsDataset
from gecko_kedro.engine import Engine, LocalEngine
from gecko_kedro.pipelines.mine.workers import Embedder
from gecko_kedro.retrieval import Index, SlicedIndex
from gecko_kedro.teacher import Prompt, TeacherSettings, build_teacher
from tests.conftest import PROJECT
from tests.e2e.conftest import environment
from tests.e2e.test_http import asked
from tests.support import labelling
from tests.support.clusters import BASE, Killing, engine_settings, small_cluster
from tests.support.faulty_embedding import SHARD_SIZE, parameters
from tests.support.http_server import ServerState, serving
from tests.support.observing import Observe
from tests.support.tiny_encoder import tiny_encoder

pytestmark = [pytest.mark.faults, pytest.mark.ray]
N_TEXTS = 60
TEXTS = [f"lamp {n} burns oil " + "and the wick is short " * (n % 7) for n in range(N_TEXTS)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Engine]:
    with small_cluster() as engine:
        yield engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An encoder and passages."""
    tiny_encoder().save(str(tmp_path / "model"))
    labelling.write_passages(tmp_path, TEXTS)
    return tmp_path


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the clusters of further processes keep their logs; Ray's sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="gecko-ray-", ignore_cleanup_errors=True) as place:
        monkeypatch.setenv("RAY_TMPDIR", place)
        yield Path(place)


def dead(grave: Path) -> str:
    """The process that was killed; it is gone."""
    process = int(grave.read_text("utf-8"))
    assert not psutil.pid_exists(process)
    return f"process {process}"


def test_a_worker_killed_in_mid_embedding_is_replaced(
    cluster: Engine, folder: Path, observe: Observe
) -> None:
    params, settings = parameters(folder)
    embedder = partial(
        Embedder, params.reference, params, settings.max_seq_length, encoder.render_passage
    )
    rows = pl.scan_parquet(folder / "passages.parquet").select("passage_id", "title", "text")

    def shards(engine: Engine) -> dict[int, pl.DataFrame]:
        found = list(engine.map(embedder, rows, size=SHARD_SIZE, finished=(), role="encoder"))
        assert Counter(shard.index for shard in found) == Counter(range(12))
        return {shard.index: shard.table for shard in found}

    calm = shards(LocalEngine())
    disturbed = shards(Killing(cluster, folder / "grave"))
    assert dead(folder / "grave")
    assert all(disturbed[index].equals(table) for index, table in calm.items())
    observe("Ray: a worker killed with SIGKILL in mid-embedding",
            "the run ends; the same 12 shards, bit for bit, each once")  # fmt: skip


def test_a_worker_killed_in_mid_search_is_replaced(
    cluster: Engine, tmp_path: Path, observe: Observe
) -> None:
    generator = np.random.default_rng(3)
    vectors, queries = (generator.normal(size=(rows, 24)).astype(np.float32) for rows in (5000, 30))
    expected = Index(vectors).search(queries, 10)
    index = SlicedIndex(vectors, engine=Killing(cluster, tmp_path / "grave"), threads=1)
    found = [index.search(queries[start : start + 10], 10) for start in (0, 10, 20)]
    assert dead(tmp_path / "grave")
    assert np.concatenate([part.ids for part in found]).tobytes() == expected.ids.tobytes()
    assert np.concatenate([part.scores for part in found]).tobytes() == expected.scores.tobytes()
    observe("Ray: a worker killed with SIGKILL in mid-search",
            "the run ends; the same candidates and scores, bit for bit")  # fmt: skip


def test_a_worker_killed_in_mid_labelling_is_replaced(
    cluster: Engine, tmp_path: Path, observe: Observe
) -> None:
    content = yaml.safe_load((BASE / "parameters/teacher.yml").read_text("utf-8"))["teacher"]
    settings = TeacherSettings.model_validate(content)
    prompts = [Prompt(text, {"passage": text, "query": "short wick"}) for text in TEXTS]

    def labels(name: str, engine: Engine) -> list[Any]:
        teacher = build_teacher(settings, texts=TEXTS, store=tmp_path / name, engine=engine)
        found = [
            teacher.label_log_likelihood(prompts, [" 0", " 1", " 2"]),
            teacher.query_log_likelihood(prompts, ["oil lamp"] * N_TEXTS),
        ]
        used = teacher.usage.total()
        teacher.close()
        return [found, used.calls, used.prompt_tokens, used.completion_tokens]

    calm = labels("calm", LocalEngine())
    disturbed = labels("disturbed", Killing(cluster, tmp_path / "grave"))
    assert dead(tmp_path / "grave")
    assert disturbed == calm
    assert calm[1] == 2 * N_TEXTS
    observe("Ray: a worker killed with SIGKILL in mid-labelling",
            "the run ends; the same labels, each stored and counted once")  # fmt: skip


def run(module: str, *arguments: str, code: int = 0) -> None:
    process = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=PROJECT, env=environment(), text=True,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert process.returncode == code, process.stderr


def nothing_left_running(ray_folder: Path) -> bool:
    """The cluster that a killed driver had started ends by itself."""
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(ray_folder) in " ".join(process.info["cmdline"] or [])
    ]
    return not psutil.wait_procs(left, timeout=60)[1]


def test_a_killed_driver_goes_on_from_the_finished_shards(
    folder: Path, ray_folder: Path, observe: Observe
) -> None:
    vectors = folder / "vectors"
    run("tests.support.faulty_embedding", str(folder), "ray", "3", code=-signal.SIGKILL)
    made = {file: file.stat().st_mtime_ns for file in vectors.glob("shard-*.parquet")}
    assert len(made) == 3
    assert nothing_left_running(ray_folder)
    run("tests.support.faulty_embedding", str(folder), "ray")
    assert {file: file.stat().st_mtime_ns for file in made} == made
    vectors.rename(folder / "disturbed")
    run("tests.support.faulty_embedding", str(folder), "local")
    calm, disturbed = (
        VectorShardsDataset(path=str(folder / name)).load() for name in ("vectors", "disturbed")
    )
    assert len(disturbed) == N_TEXTS
    assert disturbed.ids.equals(calm.ids)
    assert disturbed.matrix.tobytes() == calm.matrix.tobytes()
    observe("Ray: the driver killed with SIGKILL after 3 of 12 shards",
            "its cluster ends; a re-run makes the other 9; the same vectors, all bits")  # fmt: skip


def test_a_driver_killed_in_mid_labelling_pays_again_only_for_what_was_in_flight(
    tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch, observe: Observe
) -> None:
    """The workers read the key from their environment; Ray's logs must not have it."""
    monkeypatch.setenv(labelling.KEY, "canary-5d1c90")
    texts = TEXTS[:20]
    calls = len(texts) * (1 + 2 * labelling.N_CANDIDATES)
    with serving(key="canary-5d1c90", latency_s=0.005) as server:
        for name in ("calm", "killed"):
            labelling.write_passages(tmp_path / name, texts)
        run("tests.support.labelling", str(tmp_path / "calm"), server.url, "local")
        wanted = asked(server)
        assert wanted.total() == calls

        arguments = ["tests.support.labelling", str(tmp_path / "killed"), server.url, "ray"]
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=PROJECT, env=environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        seen = 0

        async def kill(state: ServerState, request: web.Request, body: Any) -> None:
            nonlocal seen
            seen += "max_tokens" in body
            if seen == calls // 2:
                process.kill()

        server.always = kill
        assert process.wait(timeout=300) == -signal.SIGKILL
        server.always = None
        assert nothing_left_running(ray_folder)
        run(*arguments)
        paid = asked(server)
    teacher = engine_settings("ray").ray.teacher
    again = paid.total() - wanted.total()
    assert set(paid) == set(wanted)
    assert again <= teacher.actors * teacher.calls_at_once
    for table in ("queries", "rankings", "fret"):
        calm, killed = (tmp_path / name / f"{table}.parquet" for name in ("calm", "killed"))
        assert calm.read_bytes() == killed.read_bytes(), table
    logs = [file for file in ray_folder.rglob("*") if file.is_file()]
    assert any(file.name == "raylet.out" for file in logs)
    assert not [file for file in logs if b"canary" in file.read_bytes()]
    observe(
        "Ray: the driver killed with SIGKILL in mid-labelling, with an API key",
        f"a re-run ends with the same FRet bytes; at most the {teacher.actors} x "
        f"{teacher.calls_at_once} calls in flight are paid for twice; the key is in nothing that "
        "Ray wrote",
    )
