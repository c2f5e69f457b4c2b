"""Which model: where its files are, and which weights they hold."""

from pathlib import Path

from gecko_kedro.base.digests import files_sha256
from gecko_kedro.base.errors import InputError, Words

_CONTENT = ("config.json", "*.safetensors", "pytorch_model*.bin")


def local_folder(name: str) -> str:
    """``name`` with ``~`` expanded if it is a folder; InputError if it can only be a path."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(
            f"teacher.model.name {name}",
            expected="a folder with a model, or a hub id",
            got=Words("no such folder"),
            fix="Correct the path.",
        )
    return name


def unloadable(name: str, error: Exception) -> InputError:
    """What is said where a model cannot be opened."""
    first = str(error).strip().splitlines()[:1]
    return InputError(
        f"teacher.model.name {name}",
        expected="a causal language model: a folder that save_pretrained wrote, or a hub id that "
        "can be reached",
        got=f"{type(error).__name__}: {' '.join(first)}",
        fix="Without a network, download the model elsewhere and give its folder. A gated model "
        "needs a token: run hf auth login, or set HF_TOKEN.",
    )


def model_revision(source: str, commit: str | None) -> str:
    """The commit of a hub model, or a hash over configuration and weights of a local folder.

    Replies of other weights are never taken for those of a teacher with another revision. A hash of
    everything takes about as long as reading the weights: a second a gigabyte.
    """
    folder = Path(source)
    if not folder.is_dir():
        return commit or "unknown"
    files = sorted(path for pattern in _CONTENT for path in folder.glob(pattern))
    return f"sha256 {files_sha256(files, folder)[:16]}"
