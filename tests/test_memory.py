"""glibc's allocator is told to keep memory, and told to be as before."""

import platform
import resource

import pytest
import torch

from gecko_kedro.memory import give_back_free_memory, memory_kept, resident_memory

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything"
)
_FLOATS = 16 << 20
_PAGES = 4 * _FLOATS // resource.getpagesize()


def new_pages(tensors: int = 4) -> int:
    """How many pages the system hands out for some tensors, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.ones(_FLOATS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_memory_is_kept_within_the_block_and_given_back_after_it() -> None:
    assert new_pages() >= 4 * _PAGES
    with memory_kept():
        # A hole is a little too small for an aligned tensor of its size until holes have merged.
        assert min(new_pages() for _ in range(8)) < _PAGES // 4
        held = resident_memory()
    assert resident_memory() < held - 2 * _FLOATS  # bytes: half of one tensor at least
    assert new_pages() >= 4 * _PAGES


def test_free_memory_can_be_given_back_within_the_block() -> None:
    with memory_kept():
        new_pages(1)
        held = resident_memory()
        give_back_free_memory()
        assert resident_memory() < held - 2 * _FLOATS
