"""Real (query, passage) pairs of mixed length: the docstrings of installed packages."""

from dataclasses import dataclass

_PACKAGES = ("polars", "pydantic", "rich", "werkzeug", "mpmath", "networkx", "click", "jinja2")
MANY_PACKAGES = (*_PACKAGES, "scipy", "sklearn", "pandas")


@dataclass(frozen=True)
class RealTexts:
    """Pairs as a table of the corpus room (PAIR_SCHEMA), and all passages as rendered texts."""

    pairs: object
    passages: list[str]


def real_texts(
    *, pairs: int, passages: int, seed: int = 7, packages: tuple[str, ...] = _PACKAGES
) -> RealTexts:
    """Summary-to-body pairs and passages, at random."""
    from gecko_kedro import corpus, encoder

    chosen = corpus.PythonDocsSettings(include=list(packages), exclude=[], workers=1)
    documents = corpus.harvest(chosen).rows
    settings = corpus.PassageSettings(
        min_words=8, overlap_words=20, near_duplicate_threshold=None, seed=seed
    )
    made = corpus.make_passages(documents, settings)
    table = corpus.collect_pairs(made.rows, kinds=["summary_body"]).rows
    drawn = made.rows.sample(passages, seed=seed)
    texts = [encoder.render_passage(t, x) for t, x in drawn.select("title", "text").iter_rows()]
    return RealTexts(table.sample(pairs, seed=seed, shuffle=True), texts)
