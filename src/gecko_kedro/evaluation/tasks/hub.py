"""The model hub, where it may be out of reach: asked once, and not retried for each data set."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

logger = logging.getLogger(__name__)
_SECONDS = 10.0
# What fails when a data set cannot be fetched: no network, HF_HUB_OFFLINE, a gated set.
_UNREACHABLE = (
    "Couldn't reach", "OfflineMode", "Cannot send a request", "offline mode", "ConnectionError",
    "Max retries exceeded", "LocalEntryNotFoundError", "Connection refused", "Name or service",
)  # fmt: skip


def unreachable(error: str) -> bool:
    """Whether a task failed only because its data could not be fetched."""
    return any(sign in error for sign in _UNREACHABLE)


@cache
def hub_answers() -> bool:
    """Whether the hub gives any answer; tried once in a process, without a retry."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_SECONDS)
    except Exception as error:  # of whichever HTTP library the hub's client has
        logger.warning("The hub %s cannot be reached: %s", constants.ENDPOINT, error)
        return False
    return True


@contextmanager
def without_retries() -> Iterator[None]:
    """In the block, data of a hub that does not answer come from its cache on this disk, or fail.

    Its client would retry for half a minute for each set.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not hub_answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
