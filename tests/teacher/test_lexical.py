"""The lexical stand-in: the three calls, against slow and plain formulas."""

import json
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import LexicalSettings, LexicalTeacher, Prompt
from gecko_kedro.teacher.forms import FORMS
from gecko_kedro.teacher.words import terms

KNOBS = {
    "mu": 50.0,
    "title_weight": 2.0,
    "lead_words": 5,
    "lead_weight": 3.0,
    "coverage_share": 0.4,
    "phrase_share": 0.3,
    "lead_share": 0.3,
    "form_shares": dict.fromkeys(FORMS, 1.0),
}
CORPUS = [
    "The power method finds the largest eigenvalue of a matrix by repeated multiplication.",
    "Bread rises because yeast produces gas, which is caught in the web of gluten.",
    "A lighthouse on the hill has burned oil lamps since the sixteenth century.",
    "The condition number of a matrix bounds how much an error in the input grows.",
]


def fitted(**knobs: object) -> LexicalTeacher:
    return LexicalTeacher.fit(CORPUS, settings=LexicalSettings(**{**KNOBS, **knobs}))


def prompt(passage: str, query: str = "", title: str = "") -> Prompt:
    return Prompt("not read", {"passage": passage, "title": title, "query": query})


def slow_query_likelihood(query: str, title: str, passage: str) -> float:
    everything = [term for text in CORPUS for term in terms(text)]
    collection = Counter(everything)
    document = terms(passage)
    weighted: Counter[str] = Counter()
    for term in document:
        weighted[term] += 1
    for term in document[:5]:
        weighted[term] += 3
    for term in terms(title):
        weighted[term] += 2
    length = sum(weighted.values())
    result = 0.0
    for term in terms(query):
        background = (collection[term] + 0.5) / (len(everything) + 0.5 * (len(collection) + 1))
        result += math.log((weighted[term] + 50 * background) / (length + 50))
    return result


@pytest.mark.parametrize("title", ["", "numpy.linalg.cond"])
@pytest.mark.parametrize("query", ["condition of matrices", "zebra", "", "yeast yeast 🙂"])
def test_query_likelihood_is_the_dirichlet_smoothed_model(query: str, title: str) -> None:
    scored = fitted().query_log_likelihood(
        [prompt(passage, title=title) for passage in CORPUS], [query] * len(CORPUS)
    )
    expected = [slow_query_likelihood(query, title, passage) for passage in CORPUS]
    assert [reply.log_likelihood for reply in scored] == pytest.approx(expected, rel=1e-12)


def test_the_continuation_of_an_llm_prompt_scores_like_the_bare_query() -> None:
    teacher = fitted()
    bare, spaced = teacher.query_log_likelihood([prompt(CORPUS[0])] * 2, ["matrix", " matrix"])
    assert bare == spaced


@given(query=st.text(max_size=60), n_labels=st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_labels_are_a_distribution(query: str, n_labels: int) -> None:
    (scored,) = TEACHER.label_log_likelihood(
        [prompt(CORPUS[0], query)], [str(label) for label in range(n_labels)]
    )
    assert len(scored.log_likelihoods) == n_labels
    assert sum(map(math.exp, scored.log_likelihoods)) == pytest.approx(1.0)


TEACHER = fitted()


def grade(query: str, passage: str, title: str = "") -> int:
    (scored,) = TEACHER.label_log_likelihood([prompt(passage, query, title)], ["0", "1", "2", "3"])
    return scored.log_likelihoods.index(max(scored.log_likelihoods))


def test_the_grade_grows_with_what_the_passage_covers() -> None:
    query = "largest eigenvalue by the power method"
    assert grade(query, CORPUS[0]) >= 2
    assert grade("power method", CORPUS[0]) == 3
    assert grade(query, CORPUS[3]) < grade(query, CORPUS[0])
    assert grade(query, CORPUS[1]) == 0
    assert grade("the of and", CORPUS[0]) == 0


def test_a_title_covers_too() -> None:
    assert grade("pairwise iteration", "Nothing to see.", "itertools.pairwise_iteration") == 3


@pytest.mark.parametrize("query", ["matrix", "zebra", "matrix error", "error of a matrix input"])
def test_coverage_is_between_zero_and_one(query: str) -> None:
    for passage in (*CORPUS, ""):
        assert 0 <= TEACHER.coverage(query, passage) <= 1 + 1e-12


def generated(passages: list[str], *, seed: int = 1, temperature: float = 0.7) -> list[str]:
    replies = TEACHER.generate(
        [prompt(passage) for passage in passages], temperature=temperature, top_p=0.9, seed=seed
    )
    return [reply.text for reply in replies]


def test_a_reply_depends_on_its_own_passage_and_the_seed_only() -> None:
    together = generated(CORPUS)
    alone = [generated([passage])[0] for passage in CORPUS]
    assert together == alone == generated(CORPUS)
    assert any(generated(CORPUS, seed=seed) != together for seed in range(2, 8))


def test_words_of_a_query_come_from_the_passage_or_a_template() -> None:
    (reply,) = generated([CORPUS[1]])
    query = json.loads(reply)["query"]
    assert set(terms(query)) & set(terms(CORPUS[1]))


@pytest.mark.parametrize("form", list(FORMS))
def test_each_form_can_be_asked_for_alone(form: str) -> None:
    teacher = fitted(form_shares={form: 1.0})
    replies = teacher.generate(
        [prompt(passage) for passage in CORPUS], temperature=0.0, top_p=1.0, seed=3
    )
    queries = [json.loads(reply.text)["query"] for reply in replies]
    assert any(queries)
    assert all(len(query.split()) <= 20 for query in queries)


@pytest.mark.parametrize("passage", ["", "🙂🙂", "1 2 3", "the of and", "\n\n", "`" * 50])
def test_a_passage_without_content_gives_an_empty_query(passage: str) -> None:
    assert json.loads(generated([passage])[0]) == {"task": "", "query": ""}


def test_right_to_left_text_gets_no_english_template() -> None:
    passage = "تعتبر طريقة القوى من أقدم الطرق لحساب القيم الذاتية للمصفوفات الكبيرة في الجبر الخطي"
    for seed in range(6):
        query = json.loads(generated([passage], seed=seed)[0])["query"]
        assert query
        assert not any(character.isascii() and character.isalpha() for character in query)


@given(st.text(max_size=300))
@settings(max_examples=80, deadline=None)
def test_any_passage_gives_json(passage: str) -> None:
    assert set(json.loads(generated([passage])[0])) == {"task", "query"}


def asked_for(seed: int, **wanted: str) -> list[tuple[str, str]]:
    prompts = [Prompt("not read", {"passage": passage, **wanted}) for passage in CORPUS]
    replies = TEACHER.generate(prompts, temperature=0.7, top_p=1.0, seed=seed)
    return [(r["task"], r["query"]) for r in (json.loads(reply.text) for reply in replies)]


def test_a_wanted_kind_of_task_is_honoured_where_there_is_a_form_for_it() -> None:
    for seed in range(4):
        assert all("keywords" in task for task, _ in asked_for(seed, wanted_task="keyword search"))
    tasks = {t for seed in range(8) for t, _ in asked_for(seed, wanted_task="entity lookup")}
    assert len(tasks) > 3  # no form for it: drawn by the shares


def test_a_wanted_length_bounds_a_shortened_sentence() -> None:
    for length, longest in (("short", 8), ("sentence", 14)):
        made = asked_for(1, wanted_task="fact checking", wanted_length=length)
        claims = [len(query.split()) for task, query in made if "claim" in task]
        assert claims
        assert max(claims) <= longest


def test_the_shares_of_forms_are_roughly_kept() -> None:
    rng = random.Random(5)
    vocabulary = terms(" ".join(CORPUS))
    passages = [
        f"The {rng.choice(vocabulary)} theorem number {i} of a matrix bounds the growth of errors."
        for i in range(400)
    ]
    teacher = fitted(form_shares={"question": 3.0, "keywords": 1.0})
    replies = teacher.generate(
        [prompt(passage) for passage in passages], temperature=0.7, top_p=1.0, seed=1
    )
    questions = sum("question" in json.loads(r.text)["task"] for r in replies) + sum(
        "has the answer" in json.loads(r.text)["task"] for r in replies
    )
    assert 260 <= questions <= 340


def test_the_identity_names_the_stand_in_and_changes_with_corpus_and_knobs() -> None:
    assert TEACHER.identity.startswith("lexical stand-in, no LLM, v1")
    assert fitted().identity == TEACHER.identity
    assert fitted(mu=51.0).identity != TEACHER.identity
    other = LexicalTeacher.fit(CORPUS[:3], settings=LexicalSettings(**KNOBS))
    assert other.identity != TEACHER.identity


def test_an_empty_corpus_is_refused() -> None:
    with pytest.raises(InputError, match="no passages"):
        LexicalTeacher.fit([], settings=LexicalSettings(**KNOBS))


@pytest.mark.parametrize(
    "wrong",
    [
        {"form_shares": {"poem": 1.0}},
        {"form_shares": {"question": 0.0}},
        {"form_shares": {"question": -1.0}},
        {"mu": 0.0},
        {"coverage_share": 0.0, "phrase_share": 0.0, "lead_share": 0.0},
        {"unheard_of": 1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        LexicalSettings(**{**KNOBS, **wrong})


@pytest.mark.parametrize(
    ("n", "cut"),
    [(0, ""), (1, "  one"), (2, "  one two"), (3, "  one two\nthree "), (9, "  one two\nthree ")],
)
def test_a_text_is_cut_after_so_many_words(n: int, cut: str) -> None:
    assert TEACHER.truncate(["  one two\nthree "], n) == [cut]
