"""Old names of parameters, from before each had the name of the node that reads it."""

# Block -> the block inside it -> the names that have moved there.
_MOVED = {
    "corpus": {
        "passages": "min_words max_words overlap_words near_duplicate_threshold",
        "heldout": "max_passages",
    },
    "queries": {
        "join": "max_queries use task_name",
    },
    "synthesize": {
        "sample": "n_seeds",
        "write": "queries_per_passage temperature top_p shares max_passage_tokens language "
        "shard_size",
        "filter": "near_duplicate_threshold",
    },
    "mine": {
        "search": "n_candidates lexical_candidates route_constant threads",
        "embed": "max_seq_length vectors_dtype",
        "route": "exact_max_pairs min_recall recall_queries",
    },
    "relabel": {
        "fuse": "relevance_score",
        "judge": "max_query_tokens max_passage_tokens queries_at_once shard_size",
        "choose": "positive negative percent_of_positive",
    },
    "label_quality": {
        "select": "max_queries max_passages",
        "compare": "fold resamples",
    },
    "encoder": {
        "load": "reference device dtype batch_size max_seq_length trust_remote_code attention "
        "bidirectional width",
    },
    "pretrain": {
        "select": "max_pairs",
    },
    "finetune": {
        "mix": "rates",
    },
    "evaluate": {
        "select": "max_passages max_queries",
        "score": "dimensions precisions hybrid_constant",
        "compare": "resamples",
        "show": "moved_queries",
    },
    "guard": {
        "sweep": "weights choose_fraction seed",
        "choose": "weight",
    },
    "ablate": {
        "run": "seeds max_rows max_steps tasks",
    },
    "parity": {
        "load": "max_seq_length dtype device batch_size",
        "compare": "published tolerance_by_type tolerance_by_task",
    },
}
RENAMED: dict[str, str] = {
    f"{block}.{name}": f"{block}.{inner}.{name}"
    for block, inners in _MOVED.items()
    for inner, names in inners.items()
    for name in names.split()
} | {
    "encoder.templates": "encoder.train.templates; of the seed retriever mine.encoder.templates",
    "encoder.lora": "encoder.train.lora; of the seed retriever mine.encoder.lora",
    "corpus.seed": "corpus.passages.seed and corpus.heldout.seed",
    "corpus.pair_kinds": "corpus.pairs.kinds",
    "corpus.heldout.pair_kinds": "corpus.pairs.heldout_kinds",
    "synthesize.pilot": "a pipeline: kedro run --pipelines estimate",
    "synthesize.max_query_words": "synthesize.filter.max_words",
    "synthesize.max_reject_rate": "synthesize.write.max_reject_rate, of the teacher's replies, and "
    "synthesize.filter.max_reject_rate, of all queries",
    "synthesize.seed": "synthesize.sample.seed, synthesize.write.seed and synthesize.filter.seed",
    "mine.popularity.pool": "mine.search.popularity_pool",
    "mine.search_shard_size": "mine.search.shard_size",
    "mine.embed_shard_size": "mine.embed.shard_size",
    "relabel.fusion": "relabel.fuse.method",
    "relabel.fusion_k": "relabel.fuse.k",
    "relabel.ranker_weights": "relabel.fuse.weights",
    "relabel.audit_rows": "relabel.audit.rows",
    "relabel.seed": "relabel.choose.seed and relabel.audit.seed",
    "label_quality.seed": "label_quality.select.seed and label_quality.compare.seed",
    "finetune.mined_negatives": "finetune.mine",
    "evaluate.seed": "evaluate.select.seed and evaluate.compare.seed",
    "parity.model": "parity.load.reference",
}
