"""Which datasets stand between the stages, and by what name.

The pipelines' tables use bare names. ``stage`` gives what stays inside a stage that stage's name
(``relabel.rankings``), so that Kedro-Viz folds it away with the stage. What is listed here keeps a
name of its own. ``name@reading`` is Kedro's transcoding: several files or formats that belong
together are one dataset to the reader of the flowchart.
"""

# Made by one stage for others to read, or for the user to take away.
HANDED_OVER = {
    "passages": "passages",  # its readings are in the tables: passages@table, passages@scan
    "queries": "queries@table",
    "natural_pairs": "natural_pairs@table",
    "candidates": "candidates",
    "fret": "fret",
    "label_audit": "label_audit@facts",
    "pretrained_encoder": "pretrained_encoder@model",
    "gecko_encoder": "gecko_encoder@model",
    "exported_encoder": "exported_encoder",
    "guarded_encoder": "guarded_encoder",
    "report": "report",
    "run_estimate": "run_estimate",
}

# Made inside one stage and read by others as a reading of what that stage hands over: the report
# reads pretrain_history as pretrained_encoder@pretrain_history. The same node or a later one makes
# what is handed over, so Kedro's order of the nodes holds.
BESIDE = {
    "corpus_metrics": "passages",
    "passage_overlaps": "passages",
    "heldout_pairs": "natural_pairs",
    # For label_quality, which needs none of them where people have judged.
    "pairs_to_check": "natural_pairs",
    "passages_to_check": "passages",
    "query_overlaps": "queries",
    "queries_quarantine": "queries",
    "adapted_model": "queries",
    "adaptation_metrics": "queries",
    "judgement_shards": "label_audit",
    "pretrain_examples": "pretrained_encoder",
    "pretrain_overlaps": "pretrained_encoder",
    "pretrain_history": "pretrained_encoder",
    "source_examples": "gecko_encoder",
    "finetune_examples": "gecko_encoder",
    "finetune_overlaps": "gecko_encoder",
    "finetune_history": "gecko_encoder",
    # Of pipelines beside the road, for the report; absent where they have not run.
    "forgetting_table": "side_findings",
    "ablation_table": "side_findings",
    "label_quality_table": "side_findings",
}

# What comes from outside.
RAW = {
    "documents": "documents",
    "query_log": "query_log",
    "pretrain_sources": "training_sets@pretrain",
    "adapt_sources": "training_sets@adapt",
    "finetune_sources": "training_sets@finetune",
    "candidate_passages": "training_sets@candidate_passages",
    "evaluation_data": "evaluation_tasks@own",
    "evaluation_tasks": "evaluation_tasks@listed",
    "unseen_tasks": "evaluation_tasks@unseen",
    "general_tasks": "evaluation_tasks@general",
    "parity_tasks": "evaluation_tasks@parity",
    "judged_data": "judged_data",
}

# What a node is told, and where it works: no data that flow, so Kedro-Viz shows these with the
# parameters. The folders keep what a killed run goes on from; nothing is made from them.
TOLD = {
    "prompts": "files",
    "teacher_to_adapt": "work",
    "synthesize_teacher": "work",
    "relabel_teacher": "work",
    "label_quality_teacher": "work",
    "estimate_teacher": "work",
    "published_scores": "files",
    "run_ledger": "work",
    "checkpoints": "work",
    "adaptation_checkpoints": "work",
    "seed_retriever_checkpoints": "work",
    "search_graph": "work",
    "search_work": "work",
    "evaluation_cache": "work",
    "ablation_store": "work",
    "finished_query_shards": "work",
    "finished_passage_vector_shards": "work",
    "finished_query_vector_shards": "work",
    "finished_judgement_shards": "work",
}

# Bare name -> name, for who does not make it.
ELSEWHERE = {
    **HANDED_OVER,
    **{name: f"{base}@{name}" for name, base in BESIDE.items()},
    **RAW,
    **{name: f"params:{block}.{name}" for name, block in TOLD.items()},
}
