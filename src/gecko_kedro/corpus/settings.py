"""What can be set about passages, their split, their natural pairs and what must not be seen."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Seed, Settings, Share

PairKind = Literal["summary_body", "title_body", "name_body", "lead_body"]
PairKinds = Annotated[list[PairKind], Field(min_length=1)]
PYTHON_DOCS = "python-docs"  # the source that is the installed packages' docstrings
Similarity = Annotated[float, Field(gt=0.0, le=1.0)]


class PythonDocsSettings(Settings):
    """The embedded corpus: docstrings of the installed packages."""

    include: list[str] | None = None
    exclude: list[str] = ["gecko_kedro"]
    stdlib: bool = True
    workers: Count = Field(2, json_schema_extra=EXECUTION)


class PassageSettings(Settings):
    """How documents are cut; lengths in words."""

    min_words: Count = 20
    max_words: Count = 200
    overlap_words: Annotated[int, Field(ge=0)] = 0
    near_duplicate_threshold: Similarity | None = 0.8
    seed: Seed = 7

    @model_validator(mode="after")
    def _lengths_fit(self) -> "PassageSettings":
        most = self.max_words // 2
        if self.min_words > most:
            raise ValueError(f"min_words must be at most half of max_words, {most}")
        if self.overlap_words >= most:
            raise ValueError(f"overlap_words must be less than half of max_words, {most}")
        return self


class HeldoutSettings(Settings):
    """What training never sees, so that evaluation can, and how much it sees of the rest."""

    groups: list[str] = ["sklearn", "networkx", "sqlalchemy", "pandas", "matplotlib", "stdlib"]
    fraction: Share = 0.1
    max_passages: Limit = 6000
    seed: Seed = 7


class PairSettings(Settings):
    """Which natural pairs are made, of the passages to train on and of those held out."""

    kinds: PairKinds = ["summary_body", "title_body", "lead_body"]
    heldout_kinds: PairKinds = ["summary_body", "title_body", "lead_body"]


class OverlapSettings(Settings):
    """What counts as an overlap; None switches a test off."""

    ngram_words: Annotated[int, Field(ge=4)] | None = 13
    near_duplicate_threshold: Similarity | None = 0.8  # Jaccard similarity of 3-word shingles
    embedding_threshold: Similarity | None = None  # cosine similarity
    seed: Seed = 7


class DecontaminateSettings(Settings):
    """What training must not see of the evaluation."""

    remove: bool | Literal["queries"] = True
    overlap: OverlapSettings = OverlapSettings()
