"""LLM(P_QG, p_seed) -> (t, q): queries and their tasks from seed passages (section 3.1)."""

import json
import logging
import re
from collections import Counter
from dataclasses import dataclass

import polars as pl

from gecko_kedro.base.text import normalise
from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row, quarantine_table
from gecko_kedro.fret.echoes import Echoes
from gecko_kedro.fret.language import wrong_language
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.reply import REFUSED, Rejected, Reply, parse_reply
from gecko_kedro.fret.schemas import QUERY, require_columns, table
from gecko_kedro.fret.settings import WriteSettings
from gecko_kedro.fret.tasks import short_task_name
from gecko_kedro.fret.truncation import cut_passages
from gecko_kedro.teacher.protocol import Generation, Prompt, Refused, Teacher

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


@dataclass(frozen=True)
class SynthesisResult:
    """Queries (QUERY), rejected replies (QUARANTINE_SCHEMA) and counts.

    ``counts`` has ``passages``, ``cut_passages`` (shown to the teacher without their end),
    ``replies``, ``queries``, ``repaired`` (JSON that had to be mended), ``quarantined`` and one
    entry for each reason.
    """

    queries: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


def synthesize_queries(
    passages: pl.DataFrame,
    *,
    teacher: Teacher,
    prompts: Prompts,
    settings: WriteSettings = WriteSettings(),
) -> SynthesisResult:
    """``queries_per_passage`` (task, query) for each passage, in the order of the passages.

    The n-th query of a passage is drawn with ``seed + n`` and has the id ``<passage_id>?<n>``: it
    depends on its own passage alone, so that shards give what a whole run would. ``shares`` are
    the wanted kinds of task, lengths and difficulties (``controls.Inventory.draw``). The teacher
    reads at most ``max_passage_tokens`` of a passage (None: all of it).

    A reply that cannot be used is a quarantine row, with one of the reasons unparsable, empty,
    too_long, passage_reference, copy, example_echo, instruction_echo, repetition (``Echoes``) and,
    with ``language``, wrong_language; so is a prompt that the teacher refused
    (refused_by_endpoint).
    """
    require_columns(passages, ["passage_id", "title", "text"], where="synthesize_queries, passages")
    prompts.synthesis.inventory.check(settings.shares)
    queries_per_passage, language = settings.queries_per_passage, settings.language
    echoes = Echoes(prompts.synthesis)
    rows = passages.select("passage_id", "title", "text").rows(named=True)
    shown = cut_passages(passages, teacher, settings.max_passage_tokens)
    replies = [
        teacher.generate(
            [_prompt(row, prompts, settings, n) for row, _ in shown],
            temperature=settings.temperature, top_p=settings.top_p, seed=settings.seed + n,
        )
        for n in range(queries_per_passage)
    ]  # fmt: skip
    counts: Counter[str] = Counter(
        passages=len(rows), cut_passages=sum(cut for _, cut in shown),
        replies=len(rows) * queries_per_passage, repaired=0,
    )  # fmt: skip
    queries: list[dict[str, str]] = []
    rejected: list[QuarantineRow] = []
    for row, own_replies in zip(rows, zip(*replies, strict=True), strict=True):
        for n, answer in enumerate(own_replies):
            query_id = _query_id(row["passage_id"], n)
            reply, repaired = _read(answer, passage=row["text"], language=language)
            if isinstance(reply, Reply):
                reply = echoes(reply, row["text"]) or reply
            counts["repaired"] += repaired
            if isinstance(reply, Reply):
                queries.append(_query_row(query_id, reply, row["passage_id"]))
            else:
                counts[reply.reason] += 1
                rejected.append(_quarantined(query_id, reply, answer, row))
    counts["queries"], counts["quarantined"] = len(queries), len(rejected)
    _warn(counts)
    return SynthesisResult(table(queries, QUERY), quarantine_table(rejected), dict(counts))


def reject_reason(text: str) -> str | None:
    """Why a reply in these words is rejected; None where that would depend on its passage."""
    if not text.strip():
        return "empty"
    reply, _ = _read(Generation(text, 0, 0), passage="", language=None)
    return None if isinstance(reply, Reply) else reply.reason


def rejected_texts(quarantine: pl.DataFrame) -> set[str]:
    """The replies in rows of ``SynthesisResult.quarantine``, as far as they are kept there."""
    records = (json.loads(record) for record in quarantine["record"])
    return {record["reply"] for record in records if "reply" in record}


def _read(
    answer: Generation | Refused, *, passage: str, language: str | None
) -> tuple[Reply | Rejected, bool]:
    """The checked reply, and whether its JSON had to be mended."""
    if isinstance(answer, Refused):
        return Rejected(REFUSED, answer.words), False
    reply, repaired = parse_reply(answer.text)
    if isinstance(reply, Reply):
        reply = check_reply(reply, passage=passage, language=language)
    return reply, repaired


def _query_id(passage_id: str, n: int) -> str:
    return f"{passage_id}?{n}"


def _prompt(
    row: tuple[str, str | None, str], prompts: Prompts, settings: WriteSettings, n: int
) -> Prompt:
    passage_id, title, text = row
    query_id, inventory = _query_id(passage_id, n), prompts.synthesis.inventory
    wanted = inventory.draw(query_id, settings.shares, seed=settings.seed)
    return prompts.synthesis.render(text, title, wanted)


def _query_row(query_id: str, reply: Reply, passage_id: str) -> dict[str, str]:
    return {
        "query_id": query_id,
        "task": reply.task,
        "task_name": short_task_name(reply.task),
        "query": reply.query,
        "passage_id": passage_id,
        "origin": "synthetic",
    }


def _quarantined(
    query_id: str, reply: Rejected, answer: Generation | Refused, passage: dict[str, str]
) -> QuarantineRow:
    said = {} if isinstance(answer, Refused) else {"reply": answer.text}
    return quarantine_row(
        "synthesize_queries", query_id, reason=reply.reason, detail=reply.detail,
        record=said | passage,
    )  # fmt: skip


def _warn(counts: Counter[str]) -> None:
    if counts["repaired"]:
        logger.warning(
            "synthesize_queries: the JSON of %d of %d replies had to be mended",
            counts["repaired"], counts["replies"],
        )  # fmt: skip
    if counts["cut_passages"]:
        logger.warning(
            "synthesize_queries: %d of %d passages are longer than max_passage_tokens: the teacher "
            "read their beginning", counts["cut_passages"], counts["passages"],
        )  # fmt: skip


def check_reply(reply: Reply, *, passage: str, language: str | None = None) -> Reply | Rejected:
    """The reply itself where its query can be learned from, else the reason why not."""
    if not any(character.isalnum() for character in reply.query):
        return Rejected("empty", "the query has no letter and no digit")
    if not reply.task:
        return Rejected("empty", "the task is empty")
    reference = _PASSAGE_REFERENCE.search(reply.query)
    if reference:
        return Rejected("passage_reference", f"{reference.group()!r} means nothing to a searcher")
    if detail := _copied(reply.query, passage):
        return Rejected("copy", detail)
    if language is not None and (detail := wrong_language(reply.query, passage, language=language)):
        return Rejected("wrong_language", detail)
    return reply


def _copied(query: str, passage: str) -> str | None:
    from rapidfuzz import fuzz

    query, passage = normalise(query), normalise(passage)
    similarity = fuzz.ratio(query, passage)
    if similarity >= _COPY_SIMILARITY:
        return f"similarity to the passage {similarity:.0f} of 100"
    words = query.split()
    for start in range(len(words) - _COPIED_WORDS + 1):
        run = " ".join(words[start : start + _COPIED_WORDS])
        if f" {run} " in f" {passage} ":
            return f"{_COPIED_WORDS} words in a row are the passage's"
    return None
