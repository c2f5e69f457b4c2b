"""What the card and the report say, collected from tables, ledgers and parameters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import BaseModel

from gecko_kedro import evaluation, training
from gecko_kedro.evaluation.comparing.ablation import ABLATION_TABLE_SCHEMA
from gecko_kedro.evaluation.comparing.forgetting import SWEEP_SCHEMA
from gecko_kedro.params import Parameters, check_parameters

_LOSSES = {
    "pre-finetuning": "in-batch softmax, query to passage (equation 2)",
    "fine-tuning": "in-batch, own hard and same-tower negatives (equation 3), Matryoshka",
}
_SKIPPED = "skipped: there were no examples"


def comparison(tables: Mapping[str, pl.DataFrame]) -> evaluation.Comparison:
    """The comparison again, out of the tables that the catalog keeps."""
    return evaluation.Comparison(tables["results"], tables["fret"], tables["by_group"])


def other_pipelines(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a ReportContent that ``collect_facts`` has collected."""
    histories = {
        stage: pl.DataFrame(rows, schema=training.HISTORY_SCHEMA)
        for stage, rows in facts["training"].items()
    }
    return {
        "notes": [
            *_labels(facts["label_quality"]),
            *(f"{stage} was {_SKIPPED}." for stage, rows in histories.items() if rows.is_empty()),
            *_adaptation(facts["adaptation"]),
        ],
        "teacher": facts["label_audit"].get("teacher"),
        "audit": facts["label_audit"],
        "corpus_counts": facts["corpus"].get("counts", {}),
        "quarantine": facts["corpus"].get("quarantined", {}),
        "histories": histories,
        "forgetting": pl.DataFrame(facts["forgetting"], schema=SWEEP_SCHEMA),
        "ablations": pl.DataFrame(facts["ablations"], schema=ABLATION_TABLE_SCHEMA),
    }


def _labels(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Whether the labels rank better than the retriever alone, by the last label_quality run."""
    measured = [row for row in rows if row["measure"] == "ndcg_at_10"]
    if measured:
        retriever, *_, all_rankers = measured
        better = all_rankers["verdict"] == "better"
        yield (
            f"{'' if better else 'Warning: the labels are not shown to be worth training on. '}"
            f"On {all_rankers['queries']:,} queries {all_rankers['ranking']} has nDCG@10 "
            f"{all_rankers['mean']:.3f}, the retriever alone {retriever['mean']:.3f}: "
            f"{all_rankers['difference']:+.3f} "
            f"[{all_rankers['low']:+.3f}, {all_rankers['high']:+.3f}] (label_quality)."
        )


def _adaptation(facts: Mapping[str, Any]) -> list[str]:
    """What the teacher learned from, in a sentence."""
    if not facts:
        return []
    sets = ", ".join(f"{count:,} of {name}" for name, count in facts["pairs"].items())
    first, best = facts["first_heldout_loss"], facts["best_heldout_loss"]
    fell = (
        "" if best is None else f" On held-out pairs its loss fell from {first:.2f} to {best:.2f}."
    )
    return [f"The teacher learned how to ask from pairs of passage and query: {sets}.{fell}"]


def result_metrics(results: pl.DataFrame) -> dict[str, float]:
    """``heldout.gecko.256.ndcg_at_10`` and so on, for MLflow."""
    more = ("recall_at_20", "mrr_at_10", "difference", "low", "high")
    return {
        ".".join(str(part) for part in (row["task"], row["model"], row["dimension"], name) if part)
        .replace(" ", "_"): value
        for row in results.iter_rows(named=True)
        for name, value in ((row["metric"], row["score"]), *((n, row[n]) for n in more))
        if value is not None
    }  # fmt: skip


def node_costs(ledger: Mapping[str, Any]) -> list[evaluation.NodeCost]:
    """Seconds and memory of each node, and the teacher's calls and tokens where it was asked."""
    asked = {
        "synthesize": "synthesize.synthesize_queries",
        "relabel": "relabel.judge_candidates",
        "label_quality": "label_quality.judge_candidates",
    }
    teacher = {asked[stage]: usage for stage, usage in ledger.get("teacher", {}).items()}

    def total(node: str, ending: str) -> int | None:
        if node not in teacher:
            return None
        return round(float(sum(teacher[node][n] for n in teacher[node] if n.endswith(ending))))

    return [
        evaluation.NodeCost(
            node, cost["seconds"], cost["peak_mb"], total(node, "_calls"), total(node, "_tokens")
        )
        for node, cost in ledger.get("nodes", {}).items()
    ]


def model_facts(
    pretrain_examples: pl.DataFrame,
    finetune_examples: pl.DataFrame,
    audit: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> evaluation.ModelFacts:
    """The facts of the model card."""
    known = check_parameters(plain(parameters))
    counts = finetune_examples["dataset"].value_counts().sort("dataset")
    examples = {"pre-finetuning": pretrain_examples, "fine-tuning": finetune_examples}
    trained = any(not rows.is_empty() for rows in examples.values())
    return evaluation.ModelFacts(
        name="gecko encoder",
        base_model=known.encoder.load.reference,
        dims=known.evaluate.score.dimensions,
        max_seq_length=known.encoder.load.max_seq_length,
        teacher=audit.get("teacher", "not recorded: FRet was made elsewhere"),
        teacher_is_language_model=known.teacher.backend != "lexical",
        prompt_versions=audit.get("prompt_versions", {}),
        data={
            "corpus": known.corpus.source,
            "pre-finetuning: natural pairs": pretrain_examples.height,
            **{f"fine-tuning: {name}": count for name, count in counts.iter_rows()},
        },
        losses=_LOSSES
        | {"temperature of fine-tuning": str(known.finetune.train.loss.temperature)}
        | {stage: _SKIPPED for stage, rows in examples.items() if rows.is_empty()},
        licences=_licences(known),
        templates=known.encoder.train.templates if trained else "own",
    )


def _licences(known: Parameters) -> dict[str, str]:
    """What went in, and where its terms are found: nobody but the user can check them."""
    yours = "that of its texts: they are yours to check"
    found = {
        f"corpus {known.corpus.source}": yours,
        f"base model {known.encoder.load.reference}": "that of its own model card",
    }
    if known.queries.source:
        found["query log"] = yours
    sources = {one.name: one.data for one in (*known.pretrain.sources, *known.finetune.sources)}
    found |= {f"training set {name} ({data})": yours for name, data in sources.items()}
    if known.teacher.backend != "lexical":
        found["the teacher's replies"] = "its provider's terms on training with what it writes"
    return found


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain data."""
    return {
        name: value.model_dump() if isinstance(value, BaseModel) else value
        for name, value in parameters.items()
    }
