"""Write an encoder so that there is the whole folder or none, and plain libraries can load it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from gecko_kedro.base.files import atomic_path
from gecko_kedro.encoder.loading import quiet_loading
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.encoder.record import RECORD_FILE, Stage, stages_of

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


def save_encoder(
    model: Encoder, folder: str | Path, *, prompts: Mapping[str, str] | None = None
) -> None:
    """Write ``model`` in the sentence-transformers layout, with safetensors, into ``folder``.

    Beside the model's own files there are ``gecko.json`` (its training stages, see ``record``) and
    a short ``README.md`` made from the stages. ``prompts`` replace the model's; they make
    ``SentenceTransformer(folder).encode(texts, prompt_name="query")`` work. A model already there
    is replaced whole. A full disk or a missing permission raises InputError.
    """
    if prompts is not None:
        model.prompts = dict(prompts)
    with atomic_path(Path(folder)) as staging:
        staging.mkdir()
        with quiet_loading():
            model.save_pretrained(str(staging), create_model_card=False)
        stages = stages_of(model)
        record = json.dumps({"stages": stages}, indent=2, ensure_ascii=False)
        (staging / RECORD_FILE).write_text(record + "\n", encoding="utf-8")
        (staging / "README.md").write_text(model_card(model, stages), encoding="utf-8")


def export_encoder(source: str | Path, folder: str | Path, *, card: str) -> None:
    """Copy the encoder in the folder ``source`` to ``folder``, as it is, with ``card`` as README.

    Whole or not at all, as ``save_encoder``.
    """
    with atomic_path(Path(folder)) as staging:
        shutil.copytree(source, staging)
        (staging / "README.md").write_text(card, encoding="utf-8")


def model_card(model: Encoder, stages: list[Stage]) -> str:
    """Markdown: size, use, prompts and training stages, without a word of the training texts."""
    prompts = "\n".join(
        f"| {name} | `{prompt.replace('|', chr(92) + '|')}` |"
        for name, prompt in model.prompts.items()
        if prompt
    )
    losses = [stage["settings"]["loss"] for stage in stages if "loss" in stage["settings"]]
    dims = losses[-1].get("matryoshka_dims", []) if losses else []  # a merge has no loss
    smaller = f" Also trained for {', '.join(map(str, dims))} dimensions: give `truncate_dim`."
    return _CARD.format(
        width=model.get_embedding_dimension(),
        tokens=model.max_seq_length,
        smaller=smaller if dims else "",
        prompts=prompts,
        stages="\n".join(map(_stage_line, stages)) or "Nothing is recorded.",
    )


def _stage_line(stage: Stage) -> str:
    told = [
        f"{name} {value}"
        for name, value in stage.items()
        if name not in ("name", "settings", "data_digests")
    ]
    return f"- **{stage['name']}**" + (f": {', '.join(told)}" if told else "")
