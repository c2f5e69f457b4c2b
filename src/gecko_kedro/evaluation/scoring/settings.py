"""What can be set about scoring encoders."""

from typing import Annotated, Literal

from pydantic import Field

from gecko_kedro.base.settings import Count, Settings

Precision = Literal["float32", "int8", "binary"]


class ScoreSettings(Settings):
    """At which dimensions and number formats, and whether BM25 is fused with the tuned model."""

    dimensions: Annotated[list[Count], Field(min_length=1)] = [384, 256, 128, 64]
    precisions: list[Precision] = ["float32", "int8", "binary"]
    hybrid_constant: Annotated[float, Field(ge=0.0)] | None = 60.0
