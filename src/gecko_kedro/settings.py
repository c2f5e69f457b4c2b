"""Kedro's settings: hooks, and a config loader that lets the catalog read parameters."""

import os

from gecko_kedro.catalog import ProjectCatalog
from gecko_kedro.config import ParameterAwareConfigLoader
from gecko_kedro.hooks import (
    CheckHooks,
    EngineHooks,
    LedgerHooks,
    LockHooks,
    RemoteTeacherHooks,
    TrackingHooks,
)

# Before torch is imported: waiting threads sleep instead of spinning. On cores that something else
# uses too, spinning made a training step ten times as slow.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Called from the last to the first: the checks come before anything is written. The lock wraps all.
HOOKS = (
    TrackingHooks(),
    LedgerHooks(),
    EngineHooks(),
    RemoteTeacherHooks(),
    CheckHooks(),
    LockHooks(),
)

# Their hooks would start MLflow runs of their own, or send usage data.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow", "kedro_telemetry")

DATA_CATALOG_CLASS = ProjectCatalog
CONFIG_LOADER_CLASS = ParameterAwareConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},  # an override of one key keeps its neighbours
    "config_patterns": {"mlflow": ["mlflow*"]},
}
