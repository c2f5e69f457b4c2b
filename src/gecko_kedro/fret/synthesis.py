"""LLM(P_QG, p_seed) -> (t, q): queries and their tasks from seed passages (section 3.1)."""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row, quarantine_table
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.schemas import QUERY, require_columns, table
from gecko_kedro.fret.tasks import short_task_name
from gecko_kedro.teacher.protocol import Teacher

logger = logging.getLogger(__name__)

# "in this passage", "according to the text": a query that cannot stand alone.
_PASSAGE_REFERENCE = re.compile(
    r"\b(?:this|the above|the given|the following) "
    r"(?:passage|text|paragraph|excerpt|snippet|document|article)\b"
    r"|\bthe (?:passage|excerpt)\b"
    r"|\b(?:according to|mentioned in|described in|stated in) (?:the|this) "
    r"(?:text|article|author|document|above)\b",
    re.IGNORECASE,
)
_COPY_SIMILARITY = 90.0  # of query and whole passage, 0 to 100
_COPIED_WORDS = 20  # a verbatim run of this many words teaches string matching, nothing else


class Reply(BaseModel):
    """What the teacher is asked for. Further keys are ignored: they do no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    task: str = Field(max_length=1_000)
    query: str = Field(max_length=4_000)


@dataclass(frozen=True)
class Rejected:
    """Why a reply cannot be used."""

    reason: str
    detail: str


@dataclass(frozen=True)
class SynthesisResult:
    """Queries (QUERY), rejected replies (QUARANTINE_SCHEMA) and counts.

    ``counts`` has ``replies``, ``queries``, ``repaired`` (JSON that had to be mended),
    ``quarantined`` and one entry for each reason.
    """

    queries: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


def synthesize_queries(
    passages: pl.DataFrame,
    *,
    teacher: Teacher,
    prompts: Prompts,
    queries_per_passage: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> SynthesisResult:
    """``queries_per_passage`` (task, query) for each passage, in the order of the passages.

    The n-th query of a passage is drawn with ``seed + n`` and has the id ``<passage_id>?<n>``: it
    depends on its own passage alone, so that shards give what a whole run would. A reply that
    cannot be used is a quarantine row, with one of the reasons unparsable, empty, too_long,
    passage_reference and copy.
    """
    require_columns(passages, ["passage_id", "title", "text"], where="synthesize_queries, passages")
    rows = passages.select("passage_id", "title", "text").rows(named=True)
    rendered = [prompts.synthesis.render(row["text"], row["title"]) for row in rows]
    queries: list[dict[str, str]] = []
    rejected: list[QuarantineRow] = []
    counts: Counter[str] = Counter(replies=len(rows) * queries_per_passage, repaired=0)
    replies = [
        teacher.generate(rendered, temperature=temperature, top_p=top_p, seed=seed + n)
        for n in range(queries_per_passage)
    ]
    for row, own_replies in zip(rows, zip(*replies, strict=True), strict=True):
        for n, generation in enumerate(own_replies):
            query_id = f"{row['passage_id']}?{n}"
            reply, repaired = parse_reply(generation.text)
            counts["repaired"] += repaired
            if isinstance(reply, Reply):
                reply = check_reply(reply, passage=row["text"])
            if isinstance(reply, Reply):
                queries.append(
                    {
                        "query_id": query_id,
                        "task": reply.task,
                        "task_name": short_task_name(reply.task),
                        "query": reply.query,
                        "passage_id": row["passage_id"],
                        "origin": "synthetic",
                    }
                )
                continue
            counts[reply.reason] += 1
            record = {"reply": generation.text, **row}
            rejected.append(
                quarantine_row(
                    "synthesize_queries", query_id, reason=reply.reason, detail=reply.detail,
                    record=record,
                )
            )  # fmt: skip
    counts["queries"], counts["quarantined"] = len(queries), len(rejected)
    if counts["repaired"]:
        logger.warning(
            "synthesize_queries: the JSON of %d of %d replies had to be mended",
            counts["repaired"], counts["replies"],
        )  # fmt: skip
    return SynthesisResult(table(queries, QUERY), quarantine_table(rejected), dict(counts))


def parse_reply(text: str) -> tuple[Reply | Rejected, bool]:
    """The reply in ``text``, and whether its JSON had to be repaired.

    The first JSON object counts, whatever stands around it (a code fence, a remark, the next
    example that a base model goes on to write).
    """
    for candidate, repaired in _json_values(text):
        if not isinstance(candidate, dict):
            continue
        try:
            return Reply.model_validate(candidate), repaired
        except ValidationError as error:
            problem = error.errors()[0]
            too_long = problem["type"] == "string_too_long"
            where = ".".join(map(str, problem["loc"]))
            return (
                Rejected("too_long" if too_long else "unparsable", f"{where}: {problem['msg']}"),
                repaired,
            )
    return Rejected("unparsable", "no JSON object with task and query"), False


def check_reply(reply: Reply, *, passage: str) -> Reply | Rejected:
    """The reply itself where its query can be learned from, else the reason why not."""
    if not any(character.isalnum() for character in reply.query):
        return Rejected("empty", "the query has no letter and no digit")
    if not reply.task:
        return Rejected("empty", "the task is empty")
    reference = _PASSAGE_REFERENCE.search(reply.query)
    if reference:
        return Rejected("passage_reference", f"{reference.group()!r} means nothing to a searcher")
    detail = _copied(reply.query, passage)
    return Rejected("copy", detail) if detail else reply


def _copied(query: str, passage: str) -> str | None:
    from rapidfuzz import fuzz

    similarity = fuzz.ratio(query.casefold(), passage.casefold())
    if similarity >= _COPY_SIMILARITY:
        return f"similarity to the passage {similarity:.0f} of 100"
    plain_query = query.casefold().split()
    plain_passage = f" {' '.join(passage.casefold().split())} "
    for start in range(len(plain_query) - _COPIED_WORDS + 1):
        run = " ".join(plain_query[start : start + _COPIED_WORDS])
        if f" {run} " in plain_passage:
            return f"{_COPIED_WORDS} words in a row are the passage's"
    return None


def _json_values(text: str) -> Iterator[tuple[object, bool]]:
    """The first JSON object as it stands, else as json_repair mends it."""
    start = text.find("{")
    if start < 0:
        return
    try:
        yield json.JSONDecoder().raw_decode(text[start:])[0], False
    except (json.JSONDecodeError, RecursionError):
        import json_repair

        # Only up to the first line break after a closing brace: what follows is another reply.
        end = re.search(r"\}\s*(?:\n|$)", text[start:])
        yield json_repair.loads(text[start : start + end.end()] if end else text[start:]), True
