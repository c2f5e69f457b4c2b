"""Kedro hooks: lock and checks before a run, its engine, a word with the teacher, costs, MLflow."""

from gecko_kedro.hooks.checks import CheckHooks
from gecko_kedro.hooks.engine import EngineHooks
from gecko_kedro.hooks.ledger import LedgerHooks
from gecko_kedro.hooks.lock import LockHooks
from gecko_kedro.hooks.remote import RemoteTeacherHooks
from gecko_kedro.hooks.tracking import TrackingHooks

__all__ = [
    "CheckHooks", "EngineHooks", "LedgerHooks", "LockHooks", "RemoteTeacherHooks", "TrackingHooks",
]  # fmt: skip
