"""The Ray cluster: found by RAY_ADDRESS, or started on this machine; one place for both ends."""

import logging
import os
from importlib.util import find_spec
from typing import Any

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.engine.settings import RaySettings

logger = logging.getLogger(__name__)
_connections: list[str] = []  # made here: none or one


def connect(settings: RaySettings) -> None:
    """Connect this process to the cluster; nothing happens where it is connected to one already.

    Nothing of this process's environment is sent along: Ray writes what it is sent to its logs. A
    cluster on this machine inherits the environment, keys included; elsewhere keys are given to
    the machines themselves (docs/ray.md).
    """
    if find_spec("ray") is None:
        raise InputError(
            "engine.kind",
            expected="Ray to be installed",
            got=Words("no Ray"),
            fix="pip install 'gecko-kedro[ray]', or set engine.kind: local.",
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A worker with gpus: 0 sees no GPU; in Ray 2.60 it would see them all.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    # On this machine workers are the run, and not less urgent (nice 15) than all else on it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address}
    if not address:
        _refuse_too_small(settings)
        local = settings.local_cluster
        options = {
            "address": "local",
            "num_cpus": local.cpus,
            "num_gpus": local.gpus,
            "object_store_memory": local.object_store_mb * 2**20,
            "include_dashboard": False,
        }
    try:
        ray.init(**options, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"Ray cluster {address or 'on this machine'}",
            expected="a cluster that can be connected to, of the same Ray and Python",
            got=str(error),
            fix="Check RAY_ADDRESS and `ray status`; unset it for a cluster on this machine.",
        ) from error
    _connections.append(address or "local")
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    machines = len(ray.nodes())  # type: ignore[no-untyped-call]
    logger.info(
        "Ray %s: machines %d, CPUs %g, GPUs %g",
        ray.__version__, machines, there.get("CPU", 0), there.get("GPU", 0),
    )  # fmt: skip
    for role, pool in settings.pools():
        wanted = {"CPU": pool.actors * pool.cpus, "GPU": pool.actors * pool.gpus}
        if any(there.get(name, 0) < amount for name, amount in wanted.items()):
            logger.warning(
                "engine.ray.%s wants %g CPUs and %g GPUs: workers wait until the cluster has grown",
                role, wanted["CPU"], wanted["GPU"],
            )  # fmt: skip


def disconnect() -> None:
    """End the connection that ``connect`` made, and the cluster that it started; no other one."""
    if _connections:
        import ray

        _connections.clear()
        ray.shutdown()


def _refuse_too_small(settings: RaySettings) -> None:
    """On this machine nothing grows: workers that do not fit would be waited for for ever."""
    cpus = settings.local_cluster.cpus or os.cpu_count() or 1
    for role, pool in settings.pools():
        if pool.actors * pool.cpus > cpus:
            raise InputError(
                f"engine.ray.{role}",
                expected=f"actors x cpus of at most {cpus}, the CPUs of this machine's cluster",
                got=f"{pool.actors} x {pool.cpus:g}",
                fix="Lower one of them, or set RAY_ADDRESS to a larger cluster.",
            )
