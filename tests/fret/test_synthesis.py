"""From replies to queries: parsing, rejects, filters, and the stop at too many rejects."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.fret import (
    FilterSettings,
    Prompts,
    Shares,
    WriteSettings,
    filter_queries,
    join_query_log,
    share_report,
    stop_above,
    synthesize_queries,
)
from gecko_kedro.fret.reply import REPLY_SCHEMA, Rejected, Reply, parse_reply
from gecko_kedro.fret.schemas import QUERY, empty_table, table
from gecko_kedro.fret.synthesis import check_reply
from gecko_kedro.teacher import Generation, Prompt, Refused

PROMPTS = Prompts.model_validate(
    yaml.safe_load(
        (Path(__file__).resolve().parents[2] / "conf" / "prompts" / "gecko.yml").read_text("utf-8")
    )
)
GOOD = '{"task": "Find an answer to the question", "query": "what is yeast"}'


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (GOOD, False),
        (f"```json\n{GOOD}\n```", False),
        (f"Sure! {GOOD} I hope this helps.", False),
        (f'{GOOD}\n\nPassage: more\nAnswer: {{"task": "x", "query": "another"}}', False),
        ('{"task": "Find an answer to the question", "query": "what is yeast", "why": 1}', False),
        ("{'task': 'Find an answer to the question', 'query': 'what is yeast'}", True),
        ('{"task": "Find an answer to the question", "query": "what is yeast"', True),
        ('{"task": "Find an answer to the question", "query": "what is yeast",}', True),
        (f"{GOOD[:-1]},}}\nPassage: next\nAnswer: {{}}", True),
    ],
)
def test_json_is_read_whatever_stands_around_it(text: str, repaired: bool) -> None:
    expected = Reply(task="Find an answer to the question", query="what is yeast")
    assert parse_reply(text) == (expected, repaired)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[1, 2]", "{}", '{"task": "t"}', '{"task": 1, "query": 2}', '{"task": null}'],
)
def test_what_has_no_task_and_query_is_unparsable(text: str) -> None:
    reply, _ = parse_reply(text)
    assert isinstance(reply, Rejected)
    assert reply.reason == "unparsable"


@given(st.text())
def test_no_reply_breaks_the_parser(text: str) -> None:
    for reply in (text, "{" + text, GOOD[:30] + text):
        parsed, _ = parse_reply(reply)
        assert isinstance(parsed, Reply | Rejected)


def test_a_query_without_end_is_too_long() -> None:
    reply, _ = parse_reply(json.dumps({"task": "t", "query": "word " * 2_000}))
    assert isinstance(reply, Rejected)
    assert reply.reason == "too_long"


LONG_PASSAGE = " ".join(f"word{n}" for n in range(60))


@pytest.mark.parametrize(
    ("query", "task", "reason"),
    [
        ("", "t", "empty"),
        ("?!", "t", "empty"),
        ("🙂", "t", "empty"),
        ("yeast", "", "empty"),
        ("what does this passage say", "t", "passage_reference"),
        ("according to the author, why", "t", "passage_reference"),
        (LONG_PASSAGE.upper(), "t", "copy"),
        (" ".join(LONG_PASSAGE.split()[5:30]), "t", "copy"),
    ],
)
def test_queries_that_teach_nothing_are_rejected(query: str, task: str, reason: str) -> None:
    checked = check_reply(Reply(task=task, query=query), passage=LONG_PASSAGE)
    assert isinstance(checked, Rejected)
    assert checked.reason == reason


@pytest.mark.parametrize(
    "query", ["split the text into words", "word7 word9", "מה זה שמרים", "ما هي الخميرة؟ 🙂"]
)
def test_good_queries_pass(query: str) -> None:
    reply = Reply(task="t", query=query)
    assert check_reply(reply, passage=LONG_PASSAGE) == reply


class Scripted:
    """Replies by passage and seed, so that what came from where can be seen."""

    identity = "scripted"

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        return [" ".join(text.split()[:max_tokens]) for text in texts]

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation | Refused]:
        replies: list[Generation | Refused] = []
        for prompt in prompts:
            if "forbidden" in prompt.fields["passage"]:
                replies.append(Refused("HTTP 400: content filter"))
                continue
            query = f"about {prompt.fields['passage']} {seed}"
            good = json.dumps({"task": "Find the answer", "query": query})
            replies.append(Generation("oops" if "bad" in query else good, 1, 1))
        return replies


def passages(*texts: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"passage_id": [f"p{n}" for n in range(len(texts))], "title": [None] * len(texts),
         "text": list(texts)},
        schema={"passage_id": pl.String, "title": pl.String, "text": pl.String},
    )  # fmt: skip


def synthesize(
    rows: pl.DataFrame, n: int = 2, *, max_passage_tokens: int | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    settings = WriteSettings(
        queries_per_passage=n, shares=Shares(), max_passage_tokens=max_passage_tokens,
        language=None, seed=5,
    )  # fmt: skip
    made = synthesize_queries(rows, teacher=Scripted(), prompts=PROMPTS, settings=settings)  # type: ignore[arg-type]
    return made.queries, made.quarantine, made.counts


def test_several_queries_of_a_passage_have_ids_and_seeds_of_their_own() -> None:
    queries, quarantine, counts = synthesize(passages("yeast", "bad", "towers"))
    assert queries.schema == QUERY
    assert quarantine.schema == QUARANTINE_SCHEMA
    assert queries["query_id"].to_list() == ["p0?0", "p0?1", "p2?0", "p2?1"]
    assert queries["query"].to_list() == [
        "about yeast 5", "about yeast 6", "about towers 5", "about towers 6",
    ]  # fmt: skip
    assert queries["task_name"].unique().to_list() == ["question answering"]
    assert quarantine["reason"].to_list() == ["unparsable"] * 2
    assert json.loads(quarantine["record"][0])["reply"] == "oops"
    assert counts == {
        "passages": 3, "cut_passages": 0, "replies": 6, "repaired": 0, "unparsable": 2,
        "queries": 4, "quarantined": 2,
    }  # fmt: skip


def test_a_passage_that_the_teacher_refuses_gets_no_query_and_is_set_aside() -> None:
    queries, quarantine, counts = synthesize(passages("yeast", "forbidden", "towers"), n=1)
    assert queries["passage_id"].to_list() == ["p0", "p2"]
    assert quarantine.select("row_id", "reason", "detail").rows() == [
        ("p1?0", "refused_by_endpoint", "HTTP 400: content filter")
    ]
    record = json.loads(quarantine["record"][0])
    assert record["text"] == "forbidden"
    assert "reply" not in record
    assert counts["refused_by_endpoint"] == counts["quarantined"] == 1


def test_shards_give_what_a_whole_run_gives() -> None:
    rows = passages(*"abcdefg")
    whole, _, _ = synthesize(rows)
    parts = [synthesize(rows[start : start + 3])[0] for start in (0, 3, 6)]
    assert pl.concat(parts).equals(whole)


def test_the_teacher_reads_the_beginning_of_a_long_passage_and_the_cut_ones_are_counted() -> None:
    queries, _, counts = synthesize(passages("yeast makes bread rise", "oil"), max_passage_tokens=2)
    assert queries["query"].to_list()[:2] == ["about yeast makes 5", "about yeast makes 6"]
    assert counts["cut_passages"] == 1


@pytest.mark.parametrize(
    ("query", "passage", "language", "reason"),
    [
        ("Wie geht der Teig auf, bevor er gebacken wird?", "en", "passage", "wrong_language"),
        ("Wie geht der Teig auf, bevor er gebacken wird?", "en", "en", "wrong_language"),
        ("Wie geht der Teig auf, bevor er gebacken wird?", "en", "de", None),
        ("Wie geht der Teig auf, bevor er gebacken wird?", "en", None, None),
        ("how does the dough of bread rise before it is baked", "en", "passage", None),
        ("numpy.linalg.solve", "en", "passage", None),  # nobody can tell
        ("Teig", "en", "passage", None),
        ("为什么面包会发酵膨胀", "en", "passage", "wrong_language"),
        ("ما هي الخميرة ولماذا ينتفخ العجين", "en", "passage", "wrong_language"),
    ],
)
def test_a_query_in_another_language_is_rejected_where_that_is_certain(
    query: str, passage: str, language: str | None, reason: str | None
) -> None:
    texts = {"en": "Yeast feeds on the sugars of the flour and gives off gas, so the dough swells."}
    checked = check_reply(Reply(task="t", query=query), passage=texts[passage], language=language)
    assert (checked.reason if isinstance(checked, Rejected) else None) == reason


def test_a_language_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match=r"synthesize\.write\.language"):
        check_reply(Reply(task="t", query="dough"), passage="Yeast", language="english")


def test_the_schema_of_a_reply_allows_what_the_parser_reads() -> None:
    assert set(REPLY_SCHEMA["properties"]) == set(json.loads(GOOD))
    assert REPLY_SCHEMA["additionalProperties"] is False


def test_no_passages_give_no_queries() -> None:
    queries, quarantine, counts = synthesize(passages())
    assert queries.is_empty()
    assert quarantine.is_empty()
    assert counts["replies"] == 0


def queries(*texts: str | None, seed_ids: Sequence[str | None] | None = None) -> pl.DataFrame:
    return table(
        [
            {"query_id": f"q{n}", "task": "t", "task_name": "search result", "query": text,
             "passage_id": seed_ids[n] if seed_ids else "p0", "origin": "synthetic"}
            for n, text in enumerate(texts)
        ],
        QUERY,
    )  # fmt: skip


LOOSE = FilterSettings(max_words=6, max_reject_rate=1.0, near_duplicate_threshold=None)


def filtered(
    rows: pl.DataFrame,
    *,
    rejected: pl.DataFrame | None = None,
    excluded_queries: Sequence[str] = (),
    **changes: object,
) -> tuple[list[str], dict[str, list[str]]]:
    kept, quarantine = filter_queries(
        rows, passages("yeast"), LOOSE.model_copy(update=changes), rejected=rejected,
        excluded_queries=excluded_queries,
    )  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for reason, row_id in quarantine.select("reason", "row_id").iter_rows():
        reasons.setdefault(reason, []).append(row_id)
    assert kept.height + quarantine.height >= rows.height
    return kept["query_id"].to_list(), reasons


def test_each_reason_of_the_filters() -> None:
    rows = queries(
        "what is yeast", "What is  yeast?", "a b c d e f g", "...", "other", "שלום עולם",
        seed_ids=["p0", "p0", "p0", "p0", "gone", None],
    )  # fmt: skip
    rows = pl.concat([rows, rows.head(1)])
    assert filtered(rows) == (
        ["q0", "q5"],
        {
            "duplicate_id": ["q0"],
            "unknown_passage": ["q4"],
            "empty": ["q3"],
            "too_long": ["q2"],
            "duplicate": ["q1"],
        },
    )


def test_queries_of_the_evaluation_are_kept_out_of_training() -> None:
    kept, reasons = filtered(queries("what is yeast", "other"), excluded_queries=["What is yeast?"])
    assert kept == ["q1"]
    assert reasons == {"evaluation_query": ["q0"]}


def test_near_duplicates_go_only_when_asked_for() -> None:
    long = "how does the gas that yeast produces make the dough of bread rise in the oven"
    rows = queries(long, long + " quickly")
    assert filtered(rows, max_words=50)[0] == ["q0", "q1"]
    kept, reasons = filtered(rows, max_words=50, near_duplicate_threshold=0.8)
    assert kept == ["q0"]
    assert reasons == {"near_duplicate": ["q1"]}


def test_too_many_rejects_stop_the_run_with_examples() -> None:
    rows = queries("one", "one", "one", "two")
    with pytest.raises(InputError, match=r"50\.0%.*duplicate \(q1: the same words as q0\)"):
        filtered(rows, max_reject_rate=0.4)
    assert filtered(rows, max_reject_rate=0.5)[0] == ["q0", "q3"]


def test_a_run_stops_early_only_once_there_are_enough_replies_to_tell() -> None:
    _, rejected, _ = synthesize(passages("bad", "bad", "bad"), n=1)
    where = "synthesize.write.max_reject_rate"
    stop_above(0.5, rejected, n_kept=1, at_least=5, where=where)
    with pytest.raises(InputError, match=r"write\.max_reject_rate.*75\.0%.*unparsable"):
        stop_above(0.5, rejected, n_kept=1, at_least=4, where=where)
    stop_above(0.5, empty_table(QUARANTINE_SCHEMA), n_kept=0, where=where)


def test_replies_rejected_before_count_too_and_join_the_quarantine() -> None:
    _, rejected, _ = synthesize(passages("bad", "bad"), n=1)
    with pytest.raises(InputError, match="unparsable"):
        filtered(queries("one"), rejected=rejected, max_reject_rate=0.5)
    settings = LOOSE.model_copy(update={"max_reject_rate": 0.7})
    kept, quarantine = filter_queries(
        queries("one"), passages("yeast"), settings, rejected=rejected
    )
    assert kept["query_id"].to_list() == ["q0"]
    assert quarantine["reason"].to_list() == ["unparsable"] * 2


def test_rows_of_a_query_log_pass_without_a_seed() -> None:
    log = pl.DataFrame({"query_id": ["1", "2"], "query": ["how to bake", "why bake"]})
    rows = join_query_log(queries("one"), log)
    assert filtered(rows) == (["q0", "log:1", "log:2"], {})


def test_nothing_in_gives_nothing_out() -> None:
    assert filtered(empty_table(QUERY), max_reject_rate=0.0) == ([], {})


def test_the_report_of_shares_says_what_was_wanted_and_what_came() -> None:
    shares = Shares(task={"keyword search": 1}, length={"keywords": 1, "short": 1})
    settings = WriteSettings(shares=shares, seed=1)
    rows = queries("yeast bread", "how does bread rise", "yeast, sugar", "gas makes bread rise.")
    report = share_report(rows, PROMPTS.synthesis.inventory, settings)
    assert report == {
        "wanted_task.keyword search": 1.0, "wanted_length.keywords": 1.0,
        "got_length.keywords": 0.5, "got_length.short": 0.25, "got_length.sentence": 0.25,
        "got_task.search result": 1.0, "followed_task": 1.0, "followed_length": 0.5,
    }  # fmt: skip
    assert share_report(empty_table(QUERY), PROMPTS.synthesis.inventory, settings) == {}
