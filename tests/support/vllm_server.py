"""A real vLLM server in a process of its own, which can be killed and started again."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

_SECONDS_TO_START = 400  # 30 to 50 on two idle cores


class VllmServer:
    """Serves the model in ``folder`` as ``tiny``, always on the same port."""

    def __init__(self, python: str, folder: Path, log: Path) -> None:
        self._python, self._folder, self._log = python, folder, log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Where the OpenAI API is."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Returns when the server answers."""
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        # Only vllm.LLM can do without a process for its engine.
        environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._python, "-m", "vllm.entrypoints.openai.api_server",
                    "--model", str(self._folder), "--served-model-name", "tiny",
                    "--host", "127.0.0.1", "--port", str(self.port),
                    "--dtype", "float32", "--enforce-eager", "--max-model-len", "8192",
                    "--max-num-seqs", "16", "--block-size", "32",
                    # vLLM 0.32 on a CPU dies of a seeded request whose prompt is cut into chunks:
                    # "CPU Generator does not use offset".
                    "--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192",
                    "--structured-outputs-config",
                    '{"backend": "xgrammar", "disable_any_whitespace": true}',
                ],
                env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"vLLM did not start:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.5)

    def kill(self) -> None:
        """SIGKILL to the server and to the processes that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False
