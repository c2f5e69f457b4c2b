"""The type of an encoder: of use to a type checker alone, since its import costs seconds."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    Encoder: TypeAlias = SentenceTransformer
else:
    Encoder = Any
