"""The tables of the corpus room: column names and types, in order.

Passages travel between functions as polars DataFrames with exactly these columns. A column is
nullable only where the comment says so.
"""

import polars as pl

DOCUMENT_SCHEMA = pl.Schema(
    {
        "doc_id": pl.String,  # unique
        "title": pl.String,  # nullable
        "summary": pl.String,  # nullable: one line, NOT part of text
        "text": pl.String,
        "group": pl.String,  # unit of the held-out split: the package, else the doc_id
    }
)

PASSAGE_SCHEMA = pl.Schema(
    {
        "passage_id": pl.String,  # unique
        **DOCUMENT_SCHEMA,  # where doc_id is not unique
        "start": pl.Int64,  # character offsets: document.text[start:end] == text
        "end": pl.Int64,
    }
)

PAIR_SCHEMA = pl.Schema(
    {
        "pair_id": pl.String,  # unique
        "kind": pl.String,  # one of pairs.PAIR_KINDS
        "task": pl.String,  # short task name, as in the paper's Table 9
        "query": pl.String,
        "passage_id": pl.String,
        "text": pl.String,  # the positive's text
        "group": pl.String,  # unit of an interval: the sub-package of a dotted name, else as above
    }
)

QUARANTINE_SCHEMA = pl.Schema(
    {
        "where": pl.String,  # file, line or row
        "row_id": pl.String,
        "reason": pl.String,  # snake_case; what the counts are keyed by
        "detail": pl.String,
        "record": pl.String,  # JSON of the whole row, each string cut to 2,000 characters
    }
)

# What is evaluated on: the texts that training must not see.
EVALUATION_TEXT_SCHEMA = pl.Schema(
    {
        "task": pl.String,
        "side": pl.String,  # query, which texts of pairs and classes are too, or passage
        "text_id": pl.String,  # what and where in the task: "query 12", "row 7, sentence2"
        "text": pl.String,
    }
)

# A training row that overlaps with an evaluation text, and with which.
OVERLAP_SCHEMA = pl.Schema(
    {
        "where": pl.String,  # what the row is part of: passages, queries, pretrain, finetune
        "row_id": pl.String,
        "column": pl.String,  # the first one that overlaps
        "reason": pl.String,  # one of overlap.REASONS
        "similarity": pl.Float64,  # 1 for equal; share of n-grams, Jaccard or cosine
        "task": pl.String,  # of the evaluation text
        "text_id": pl.String,
        "evaluation_text": pl.String,
        "removed": pl.Boolean,  # false: trained on all the same, as decontaminate.remove says
        "record": pl.String,  # JSON of the training row, each string cut to 2,000 characters
    }
)

QUERY_LOG_SCHEMA = pl.Schema({"query_id": pl.String, "query": pl.String})
