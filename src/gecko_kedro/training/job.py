"""One training: all that shapes it but the model and the examples, and where it is kept."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from gecko_kedro.encoder.formatting import Templates
from gecko_kedro.training.settings import LoraSettings, TrainSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Loss = Literal["in_batch", "gecko"]
EQUATIONS = {"in_batch": 2, "gecko": 3}


@dataclass(frozen=True)
class Job:
    """The arguments of ``train_encoder`` behind the first two."""

    settings: TrainSettings
    loss: Loss
    name: str
    checkpoints: Path
    templates: Templates
    lora: LoraSettings | None

    def folder(self, model: "SentenceTransformer", data_digest: str, *, processes: int) -> Path:
        """Where its checkpoints go: named after a digest of everything that shapes the result."""
        shaping: list[Any] = [self.settings.that_shape_the_result(), self.loss, data_digest]
        shaping += [self.templates.model_dump(), self.adapters()]
        shaping += [processes] if processes > 1 else []
        digest = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode())
        for name, weights in model.state_dict().items():
            digest.update(name.encode())
            digest.update(weights.detach().cpu().numpy().tobytes())
        return self.checkpoints / self.name / digest.hexdigest()[:16]

    def record(self) -> dict[str, Any]:
        """The settings, as the model's record of stages has them."""
        settings = self.settings.model_dump(mode="json")
        return {"equation": EQUATIONS[self.loss], **settings, "lora": self.adapters()}

    def adapters(self) -> dict[str, Any] | None:
        """Those that are trained, as JSON values."""
        return None if self.lora is None else self.lora.model_dump(mode="json")


def digest_of(examples: pl.DataFrame) -> str:
    """SHA-256 of the rows."""
    digest = hashlib.sha256()
    for row in examples.iter_rows():
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
