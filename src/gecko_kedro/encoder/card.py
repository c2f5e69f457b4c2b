"""The README of a saved encoder."""

from typing import TYPE_CHECKING

from gecko_kedro.encoder.record import Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, gecko-kedro]
---

# A text encoder trained with gecko_kedro

{width} dimensions, at most {tokens} tokens, cosine similarity.{smaller}

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/of/this/folder")
queries = model.encode(["how are ties broken"], prompt_name="query")
passages = model.encode(["Ties: the lower id first."], prompt_name="document")
```

## Prompts

The text of a query or passage goes behind its prompt; a passage that has a title says it in place
of `none`.

| prompt_name | prompt |
|---|---|
{prompts}

## How it was made

{stages}

All settings and the digests of the data are in `gecko.json`.
"""


def model_card(model: "SentenceTransformer", stages: list[Stage]) -> str:
    """Markdown: size, use, prompts and training stages, without a word of the training texts."""
    prompts = "\n".join(
        f"| {name} | `{prompt.replace('|', chr(92) + '|')}` |"
        for name, prompt in model.prompts.items()
        if prompt
    )
    losses = [stage["settings"]["loss"] for stage in stages if "loss" in stage["settings"]]
    dims = losses[-1].get("matryoshka_dims", []) if losses else []  # a merge has no loss
    smaller = (
        f" Also trained for {', '.join(map(str, dims))} dimensions: give `truncate_dim`."
        if dims
        else ""
    )
    return _CARD.format(
        width=model.get_embedding_dimension(),
        tokens=model.max_seq_length,
        smaller=smaller,
        prompts=prompts,
        stages="\n".join(_stage_line(stage) for stage in stages) or "Nothing is recorded.",
    )


def _stage_line(stage: Stage) -> str:
    told = {
        name: value
        for name, value in stage.items()
        if name not in ("name", "settings", "data_digests")
    }
    shown = ", ".join(f"{name} {value}" for name, value in told.items())
    return f"- **{stage['name']}**" + (f": {shown}" if shown else "")
