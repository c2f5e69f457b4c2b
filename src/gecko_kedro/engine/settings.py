"""Which engine, and how large; the values are in the parameter files.

All of it says how results are made, not which: no part of a fingerprint.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_EXECUTION: dict[str, Any] = {"execution_only": True}


class PoolSettings(BaseModel):
    """Workers of one role, and what each of them gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actors: int = Field(ge=1, description="workers at once")
    cpus: float = Field(gt=0, description="CPUs of one worker; its threads are their whole number")
    gpus: float = Field(ge=0, description="GPUs of one worker; 0.5 shares one between two")


class TeacherPoolSettings(PoolSettings):
    """Workers that hold a teacher."""

    calls_at_once: int = Field(
        ge=1, description="calls that a worker gets together, and that are asked again if it dies"
    )


class LocalClusterSettings(BaseModel):
    """The cluster that is started on this machine where RAY_ADDRESS names none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: int | None = Field(ge=1, description="null for all cores")
    gpus: int | None = Field(ge=0, description="null for all GPUs")
    object_store_mb: int = Field(ge=80, description="shared memory for what workers are sent")


class RaySettings(BaseModel):
    """Ray: the roles, and the cluster of a machine of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    local_cluster: LocalClusterSettings
    encoder: PoolSettings
    search: PoolSettings
    teacher: TeacherPoolSettings


class EngineSettings(BaseModel):
    """The engine and its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "ray"] = Field(json_schema_extra=_EXECUTION)
    ray: RaySettings = Field(json_schema_extra=_EXECUTION)
