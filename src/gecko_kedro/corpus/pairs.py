"""Natural (query, passage) pairs: what a corpus itself says belongs together."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.text import normalise
from gecko_kedro.corpus.chunking import first_sentence
from gecko_kedro.corpus.quarantine import Checked, count_reasons, quarantine_row, quarantine_table
from gecko_kedro.corpus.schemas import PAIR_SCHEMA
from gecko_kedro.corpus.settings import PairKind
from gecko_kedro.corpus.texts import count_words

logger = logging.getLogger(__name__)

PAIR_KINDS: tuple[PairKind, ...] = get_args(PairKind)

# Table 9 of the paper names five tasks. A summary, a title, a name and an opening sentence all
# look for the document that they belong to, which it calls "search result"; "question answering"
# is for questions, of which natural pairs have none.
_TASK = "search result"

_LEAD_WORDS = (4, 60)
_REST_WORDS = 20
# Shorter queries, such as most titles, are bound to occur in a text about them.
_VERBATIM_WORDS = 5
_DOTTED_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
# Borders inside an identifier: fooBar, HTTPServer, and underscores and dots.
_NAME_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[._]+")


def collect_pairs(passages: pl.DataFrame, *, kinds: Sequence[str]) -> Checked:
    """Natural pairs (PAIR_SCHEMA) of each kind, in the order of ``kinds``, then of ``passages``.

    * ``summary_body``: the summary line finds the text.
    * ``title_body``: the title finds the text; not for a title that is a dotted name.
    * ``name_body``: the words of a dotted name ("json.JSONDecoder" -> "json json decoder") find
      the text.
    * ``lead_body``: the first sentence (4 to 60 words) finds the rest (at least 20 words), where
      there is neither title nor summary.

    Summary, title and lead belong to the beginning of a document, so only passages that start at
    offset 0 give pairs. Set aside: ``query_in_text``, a query of five words or more that occurs
    word for word in its text and would teach string matching; ``duplicate_query``, among all
    kinds; ``duplicate_text``, within a kind. Both would be false negatives in a batch. The first
    stays; ``base.text`` says what is the same.
    """
    unknown = [kind for kind in kinds if kind not in PAIR_KINDS]
    if unknown or not kinds:
        raise InputError(
            "pairs.kinds",
            expected=f"one or more of {', '.join(PAIR_KINDS)}",
            got=unknown or Words("no kind"),
            fix="Correct the parameter.",
        )
    rows, aside = [], []
    queries: set[str] = set()
    for kind in dict.fromkeys(kinds):
        texts: set[str] = set()
        for passage in passages.filter(start=0).iter_rows(named=True):
            found = _candidate(kind, passage)
            if found is None:
                continue
            pair_id = f"{kind}:{passage['passage_id']}"
            query, text = map(normalise, found)
            if reason := _reason(query, text, queries, texts):
                record = {"kind": kind, "query": found[0], "text": found[1]}
                aside.append(
                    quarantine_row("pairs", pair_id, reason=reason, detail=query, record=record)
                )
                continue
            queries.add(query)
            texts.add(text)
            of_passage = (passage["passage_id"], found[1], _unit(passage))
            rows.append((pair_id, kind, _TASK, found[0], *of_passage))
    of_kind = Counter(row[1] for row in rows)
    counts = {"pairs": len(rows)} | {kind: of_kind[kind] for kind in kinds} | count_reasons(aside)
    logger.info("Natural pairs: %s", counts)
    pairs = pl.DataFrame(rows, schema=PAIR_SCHEMA, orient="row")
    return Checked(pairs, quarantine_table(aside), counts)


def name_words(name: str) -> str:
    """The words of a name: ``"sklearn.PCA.fit_transform"`` -> "sklearn pca fit transform"."""
    return " ".join(_NAME_BORDER.sub(" ", name).split()).lower()


def is_dotted_name(title: str) -> bool:
    """Whether ``title`` is a qualified name such as ``json.decoder``, not words."""
    return _DOTTED_NAME.fullmatch(title) is not None


def _unit(passage: Mapping[str, Any]) -> str:
    """What an interval resamples: the sub-package of a dotted name, else the passage's group.

    Whole packages would be a handful, too few for a bootstrap.
    """
    title = passage["title"]
    if title and is_dotted_name(title):
        return ".".join(title.split(".")[:2])
    return str(passage["group"])


def _candidate(kind: str, passage: dict[str, Any]) -> tuple[str, str] | None:
    """Query and text."""
    title, summary, text = passage["title"], passage["summary"], passage["text"]
    if kind == "summary_body":
        return (summary, text) if summary else None
    if kind == "lead_body":
        return _lead(text) if not title and not summary else None
    if not title or (kind == "name_body") != is_dotted_name(title):
        return None
    return name_words(title) if kind == "name_body" else title, text


def _lead(text: str) -> tuple[str, str] | None:
    lead, rest = first_sentence(text)
    fewest, most = _LEAD_WORDS
    if not fewest <= count_words(lead) <= most or count_words(rest) < _REST_WORDS:
        return None
    return " ".join(lead.split()), rest


def _reason(query: str, text: str, queries: set[str], texts: set[str]) -> str | None:
    if query in queries:
        return "duplicate_query"
    if text in texts:
        return "duplicate_text"
    if query in text and count_words(query) >= _VERBATIM_WORDS:
        return "query_in_text"
    return None
