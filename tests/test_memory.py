"""glibc's allocator is told to keep memory, and to give it back."""

import json
import platform
import subprocess
import sys

import pytest

# In a process of its own: what other tests left in the heap decides which holes are filled.
SCRIPT = """
import json, resource, torch
from gecko_kedro.base.memory import memory_kept, resident_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = min(new_pages() for _ in range(3))
with memory_kept():
    within = min(new_pages() for _ in range(12))
    held = resident_memory()
print(json.dumps([before, within, held, resident_memory()]))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything"
)
def test_memory_is_kept_within_the_block_and_given_back_after_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    before, within, held, left = json.loads(done.stdout)
    assert before > 0
    assert within < before / 2
    assert left < held - (32 << 20)  # half of one tensor at least
