"""A model under test: where it is, how its inputs are written, and what identifies its vectors."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gecko_kedro.base.digests import files_sha256
from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.encoder.formatting import GECKO, TEMPLATES
from gecko_kedro.encoder.loading import resolve_reference
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.scoring.settings import Precision

TemplatesName = Literal["gecko", "concatenated", "own", "none"]
_WHAT_MAKES_A_VECTOR = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")
_NOT_PART_OF_IT = frozenset({"gecko.json"})  # the training record: other words, same vectors


@dataclass(frozen=True)
class EncoderUnderTest:
    """A model and how its inputs are written; one result for each of ``dims``.

    ``templates``: ``"gecko"`` for models trained with the templates, ``"concatenated"`` for those
    of an ablation, ``"own"`` for the prompts that a model brings (mteb's rules: by task, type and
    side), ``"none"`` for none. ``precisions``: how the vectors are kept, each a result of its own.
    """

    name: str
    load: LoadSettings
    templates: TemplatesName
    dims: tuple[int, ...]
    precisions: tuple[Precision, ...] = ("float32",)

    def revision(self) -> str:
        """Twelve hex digits over all that decides a vector: weights, configuration, templates.

        Two models never share one, so that mteb's cache cannot mistake one for the other. A hub id
        counts by its name: mteb's cache does not notice when the hub changes it.
        """
        written = TEMPLATES.get(self.templates, GECKO).model_dump()
        how = [self.templates, written, self.load.max_seq_length, self.resolved_dtype()]
        start = json.dumps(how).encode()
        source = Path(resolve_reference(self.load.reference))
        if not source.is_dir():
            return hashlib.sha256(start + self.load.reference.encode()).hexdigest()[:12]
        files = {path for pattern in _WHAT_MAKES_A_VECTOR for path in source.rglob(pattern)}
        counted = [path for path in sorted(files) if path.name not in _NOT_PART_OF_IT]
        return files_sha256(counted, source, start)[:12]

    def resolved_dtype(self) -> str:
        """The number format of the weights: what ``auto`` comes to on this device."""
        if self.load.dtype != "auto":
            return self.load.dtype
        from sentence_transformers.util import get_device_name

        place = get_device_name() if self.load.device == "auto" else self.load.device
        return "bfloat16" if fast_bf16(place) else "float32"
