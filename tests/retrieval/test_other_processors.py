"""The extension on emulated processors: one that has nothing beyond SSE4, one with AVX2 alone."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "csrc" / "tests" / "check_wheel.py"


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64",
    reason="emulates one x86-64 Linux on another",
)
@pytest.mark.parametrize(
    ("processor", "levels"),
    [("Nehalem", "scalar numpy"), ("Haswell", "avx2 scalar numpy")],
)
def test_the_extension_runs_on_an_older_processor(processor, levels):
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no qemu-x86_64 (Debian: qemu-user)")
        pytest.skip("no qemu-x86_64 (Debian: qemu-user)")
    # Without OPENBLAS_CORETYPE, which would have NumPy's library take this machine for another.
    environment = {name: os.environ[name] for name in os.environ if name != "OPENBLAS_CORETYPE"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [emulator, "-cpu", processor, sys.executable, str(CHECK)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == levels
