"""Which engine, and how large; conf/base/parameters/engine.yml says more about each.

All of it says how results are made, not which: no part of a fingerprint.
"""

from typing import Literal

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Settings


class PoolSettings(Settings):
    """Workers of one role, and what each of them gets."""

    actors: Count = Field(1, description="workers at once")
    cpus: float = Field(1, gt=0, description="CPUs of one worker, which are its threads too")
    gpus: float = Field(0, ge=0, description="GPUs of one worker; 0.5 shares one between two")


class TeacherPoolSettings(PoolSettings):
    """Workers that hold a teacher."""

    calls_at_once: Count = Field(
        256, description="calls that a worker gets together, and that are asked again if it dies"
    )


class LocalClusterSettings(Settings):
    """The cluster that is started on this machine where RAY_ADDRESS names none."""

    cpus: Limit = Field(None, description="null for all cores")
    gpus: int | None = Field(None, ge=0, description="null for all GPUs")
    object_store_mb: int = Field(1000, ge=80, description="shared memory for what workers are sent")


class RaySettings(Settings):
    """Ray: the roles, and the cluster of a machine of its own."""

    local_cluster: LocalClusterSettings = LocalClusterSettings()
    encoder: PoolSettings = PoolSettings()
    search: PoolSettings = PoolSettings()
    teacher: TeacherPoolSettings = TeacherPoolSettings()

    def pools(self) -> list[tuple[str, PoolSettings]]:
        """Each role with its workers."""
        return [("encoder", self.encoder), ("search", self.search), ("teacher", self.teacher)]


class EngineSettings(Settings):
    """The engine and its settings."""

    kind: Literal["local", "ray"] = Field("local", json_schema_extra=EXECUTION)
    ray: RaySettings = Field(RaySettings(), json_schema_extra=EXECUTION)
