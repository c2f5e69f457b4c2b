"""Where real vLLM can be had, and how it is made small enough for two cores.

``make test-vllm`` makes the environment ``.venv-vllm``. ``test_teacher`` runs in it;
``test_server`` runs in the project's own and starts the server of the other one.
"""

import importlib.util
import os

# One process instead of three, no compiler on first use, a small cache, no telemetry.
SMALL = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
if importlib.util.find_spec("vllm") is not None or "GECKO_VLLM_PYTHON" in os.environ:
    for name, value in SMALL.items():
        os.environ.setdefault(name, value)
