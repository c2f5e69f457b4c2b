"""Kedro hooks: the guard before a run, the ledger of its costs, and MLflow."""

from gecko_kedro.hooks.guard import GuardHooks
from gecko_kedro.hooks.ledger import LedgerHooks
from gecko_kedro.hooks.summary import SummaryHooks
from gecko_kedro.hooks.tracking import TrackingHooks

__all__ = ["GuardHooks", "LedgerHooks", "SummaryHooks", "TrackingHooks"]
