import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.duplicates import exact_duplicates, near_duplicates, shingles
from gecko_kedro.corpus.passages import make_passages
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA, PASSAGE_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.corpus.settings import PassageSettings

SETTINGS = PassageSettings(
    min_words=4, max_words=30, overlap_words=5, near_duplicate_threshold=0.7, seed=3
)


def documents(texts: dict[str, str]) -> pl.DataFrame:
    rows = [(doc_id, None, None, text, doc_id) for doc_id, text in texts.items()]
    return pl.DataFrame(rows, schema=DOCUMENT_SCHEMA, orient="row")


def sentence(*numbers: int) -> str:
    return " ".join(f"word{n}" for n in numbers)


# Few different words, so that texts repeat each other wholly, nearly and not at all.
TEXTS = st.dictionaries(
    st.text("abc#", min_size=1, max_size=3),
    st.lists(st.sampled_from(["Tea. ", "milk ", "hot\n\n", "茶", "sugar "]), max_size=90).map(
        "".join
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(TEXTS)
def test_a_passage_is_its_document_between_the_offsets(texts: dict[str, str]) -> None:
    texts["long"] = sentence(*range(75))
    made = make_passages(documents(texts), SETTINGS)
    assert made.rows.schema == PASSAGE_SCHEMA
    for row in made.rows.iter_rows(named=True):
        assert texts[row["doc_id"]][row["start"] : row["end"]] == row["text"]
    assert made.rows["passage_id"].is_unique().all()


@settings(max_examples=40)
@given(TEXTS, st.randoms(use_true_random=False))
def test_what_stays_does_not_depend_on_the_order_of_the_documents(texts, random) -> None:
    texts["long"] = sentence(*range(75))
    shuffled = list(texts)
    random.shuffle(shuffled)
    one = make_passages(documents(texts), SETTINGS)
    other = make_passages(documents({doc_id: texts[doc_id] for doc_id in shuffled}), SETTINGS)
    assert one.rows.sort("passage_id").equals(other.rows.sort("passage_id"))
    assert one.counts == other.counts


@settings(max_examples=40)
@given(TEXTS)
def test_passages_of_passages_lose_nothing_more(texts: dict[str, str]) -> None:
    texts["long"] = sentence(*range(75))
    once = make_passages(documents(texts), SETTINGS).rows
    again = make_passages(
        once.select("title", "summary", "text", doc_id="passage_id", group="group").select(
            DOCUMENT_SCHEMA.names()
        ),
        SETTINGS,
    )
    assert again.rows["text"].to_list() == once["text"].to_list()


def test_every_row_is_a_passage_or_in_quarantine_with_its_reason() -> None:
    texts = {
        "b": sentence(*range(20)),
        "a": "  " + sentence(*range(20)).upper(),  # the lowest id stays
        "c": sentence(*range(19), 99),  # one of twenty words differs
        "d": "too short",
        "e": "",
        "f": sentence(*range(100, 140)),  # two passages
    }
    made = make_passages(documents(texts), SETTINGS)
    assert made.rows["passage_id"].to_list() == ["a", "f#0-239", "f#200-319"]
    assert made.quarantine.schema == QUARANTINE_SCHEMA
    assert made.quarantine.select("row_id", "reason", "detail").rows() == [
        ("d", "too_short", "2 words, fewer than 4"),
        ("e", "too_short", "0 words, fewer than 4"),
        ("b", "exact_duplicate", "same text as a"),
        ("c", "near_duplicate", "0.89 similar to a"),
    ]
    assert made.counts == {
        "documents": 6, "cut": 7, "passages": 3, "quarantined": 4,
        "exact_duplicate": 1, "near_duplicate": 1, "too_short": 2,
    }  # fmt: skip


def test_near_duplicates_stay_where_the_search_is_off() -> None:
    texts = {"a": sentence(*range(20)), "b": sentence(*range(19), 99)}
    made = make_passages(
        documents(texts), SETTINGS.model_copy(update={"near_duplicate_threshold": None})
    )
    assert made.rows.height == 2


def test_a_chinese_text_is_not_too_short() -> None:
    made = make_passages(documents({"a": "敏捷的棕色狐狸跳过了那只懒狗。"}), SETTINGS)
    assert made.rows["text"].to_list() == ["敏捷的棕色狐狸跳过了那只懒狗。"]


def test_one_passage_only_is_a_corpus() -> None:
    assert make_passages(documents({"a": sentence(*range(9))}), SETTINGS).rows.height == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_words": 0},
        {"min_words": 16},
        {"overlap_words": 15},
        {"overlap_words": -1},
        {"near_duplicate_threshold": 0.0},
        {"near_duplicate_threshold": 1.5},
    ],
)
def test_limits_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PassageSettings.model_validate(SETTINGS.model_dump() | wrong)


def test_no_passage_left_is_an_error_with_the_counts() -> None:
    with pytest.raises(InputError, match="'too_short': 1"):
        make_passages(documents({"a": "short"}), SETTINGS)


def test_near_duplicates_agree_with_the_exact_similarity_of_all_pairs() -> None:
    base = list(range(40))
    texts = {
        f"{n:03d}": sentence(*base[n % 7 :], *range(1000 + n, 1000 + n + n % 11)) for n in range(60)
    }
    found = near_duplicates(texts, threshold=0.8, seed=1)
    kept: list[str] = []
    for row_id in sorted(texts):
        own = shingles(texts[row_id])
        theirs = (shingles(texts[other]) for other in kept)
        if any(len(own & other) / len(own | other) >= 0.8 for other in theirs):
            assert row_id in found
        else:
            kept.append(row_id)
            assert row_id not in found
    assert 0 < len(kept) < len(texts)
    assert {other for other, _ in found.values()} <= set(kept)


@given(st.dictionaries(st.text("ab", max_size=4), st.sampled_from(["x y", "X  Y", "x\ny", "z"])))
def test_of_equal_texts_exactly_the_lowest_id_stays(texts: dict[str, str]) -> None:
    gone = exact_duplicates(texts)
    kept = texts.keys() - gone.keys()
    assert len({texts[row_id].lower().split().__repr__() for row_id in kept}) == len(kept)
    assert all(other < row_id and other in kept for row_id, other in gone.items())
