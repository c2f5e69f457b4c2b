"""What a row of an ablation trains on: the nodes of the road once more, with its parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from gecko_kedro import training
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.corpus.splits import cap
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.settings import AblationRow, AblationSettings
from gecko_kedro.params import FinetuneParams, RelabelParams, RowParams, row_parameters
from gecko_kedro.pipelines.finetune.nodes import collect_source_examples, mix_finetune_examples
from gecko_kedro.pipelines.relabel.nodes import choose_examples, fuse_rankings


@dataclass(frozen=True)
class Material:
    """What the road has made so far, as its datasets are called."""

    queries: pl.DataFrame
    passages: pl.DataFrame
    candidates: pl.DataFrame
    judgement_shards: pl.DataFrame
    natural_pairs: pl.DataFrame
    candidate_passages: pl.DataFrame | None
    source_examples: pl.DataFrame

    def cut(self, max_rows: int | None) -> "Material":
        """At most ``max_rows`` queries by the hash of their ids, all sets at the same share."""
        if max_rows is None or max_rows >= self.queries.height:
            return self
        share = max_rows / self.queries.height
        pairs = round(share * self.natural_pairs.height)
        return replace(
            self,
            queries=cap(self.queries, limit=max_rows, seed=0, id_column="query_id"),
            natural_pairs=cap(self.natural_pairs, limit=pairs, seed=0, id_column="pair_id"),
            source_examples=_share_of_each(self.source_examples, share),
        )


@dataclass
class Mixtures:
    """The training mixture of one row after another; what neighbours share is made once.

    ``base`` is the configured finetune: sources that a row reads as it does are taken as they are.
    ``clean`` takes the rows out that evaluation would find again.
    """

    material: Material
    base: FinetuneParams
    load: LoadSettings
    clean: Callable[[pl.DataFrame], pl.DataFrame]
    _last: dict[str, tuple[object, pl.DataFrame]] = field(default_factory=dict)

    def examples(self, known: RowParams) -> pl.DataFrame:
        """EXAMPLE_SCHEMA of one training, by the nodes of relabel and finetune."""
        made, sources, mix = self.material, known.finetune.sources, known.finetune.mix
        fret = self._kept("fret", known.relabel, lambda: row_fret(made, known.relabel))
        others = made.source_examples
        if sources != self.base.sources:
            others = self._kept("sources", sources, lambda: self._read_anew(sources))
        examples, _ = mix_finetune_examples(
            fret, made.natural_pairs, made.candidate_passages, others, sources, mix
        )
        return self.clean(examples)

    def _kept(self, what: str, params: object, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The table of the row before, where it was made under the same parameters."""
        if what not in self._last or self._last[what][0] != params:
            self._last[what] = (params, make())
        return self._last[what][1]

    def _read_anew(self, sources: list[training.SourceSettings]) -> pl.DataFrame:
        """Sources that a row reads in another way; drawn and cut as the configured ones are."""
        seed = self.base.mix.seed
        read = {source.name: training.read_source(source, seed=seed) for source in sources}
        examples, _ = collect_source_examples(read, sources, self.load, self.base.mine)
        share = self.material.source_examples.height / max(1, examples.height)
        return _share_of_each(examples, min(1.0, share))


def row_fret(material: Material, params: RelabelParams) -> pl.DataFrame:
    """FRet (FRET) from the stored judgements, as relabel makes it under ``params``."""
    asked = material.candidates.join(material.queries, on="query_id", how="semi")
    rankings = fuse_rankings(asked, material.judgement_shards, params.rankers, params.fuse)
    refused = QUARANTINE_SCHEMA.to_frame()  # what has no ranking is set aside in any case
    fret, _ = choose_examples(rankings, material.queries, material.passages, refused, params.choose)
    return fret


def seeded(
    name: str,
    row: AblationRow,
    seed: int,
    *,
    relabel: RelabelParams,
    finetune: FinetuneParams,
    settings: AblationSettings,
) -> RowParams:
    """The parameters of one training: those of the row, with ``seed`` wherever something is drawn.

    FRet itself depends on a seed only where negatives are sampled.
    """
    known = row_parameters(name, row, relabel, finetune)
    drawn = {"seed": seed}
    steps = {} if settings.max_steps is None else {"max_steps": settings.max_steps}
    train = known.finetune.train.model_copy(update=drawn | steps)
    mix, choose = known.finetune.mix.model_copy(update=drawn), known.relabel.choose
    if choose.negative == "sampled":
        choose = choose.model_copy(update=drawn)
    return RowParams(
        relabel=known.relabel.model_copy(update={"choose": choose}),
        finetune=known.finetune.model_copy(update={"train": train, "mix": mix}),
    )


def without_material(
    rows: Mapping[str, AblationRow], material: Material, finetune: FinetuneParams
) -> dict[str, str]:
    """Row to reason, where there is nothing that the row could be trained on."""
    converters = {source.converter for source in finetune.sources}
    no_seeds = material.queries["passage_id"].is_null().all()
    reasons = {}
    for name, row in rows.items():
        if row.requires is not None and row.requires not in converters:
            reasons[name] = f"finetune.sources has no set with the converter {row.requires}"
        elif no_seeds and _is_about_seeds(row):
            reasons[name] = "no query has a seed passage: all are of a query log"
    return {name: f"left out: {reason}" for name, reason in reasons.items()}


def unequal_queries(rows: Mapping[str, AblationRow], material: Material) -> dict[str, str]:
    """Row to what makes it no fair comparison: fewer queries than its reference."""
    missing = material.queries["passage_id"].null_count()
    note = f"without {missing} of {material.queries.height} queries, which have no seed passage"
    return {name: note for name, row in rows.items() if missing and _is_about_seeds(row)}


def _is_about_seeds(row: AblationRow) -> bool:
    return bool(row.overrides.get("relabel.choose.positive") == "seed")


def _share_of_each(examples: pl.DataFrame, share: float) -> pl.DataFrame:
    parts = examples.partition_by("dataset", maintain_order=True)
    cut = [cap(part, limit=round(share * part.height), seed=0, id_column="query") for part in parts]
    return pl.concat([examples.clear(), *cut])
