"""Queries in another language than they should be, found by py3langid."""

from functools import lru_cache
from typing import Any

# py3langid is never this certain of a short or mixed query. Of 6,725 real English queries
# (MLQuestions, Cranfield, questions from forums) none was taken for another language at 0.9;
# without a bound 5 in 100 were.
_CERTAIN = 0.9
_READ = 500  # characters of a text: enough to be certain


def wrong_language(query: str, passage: str, *, language: str) -> str | None:
    """What is wrong with the language of ``query``; None where nothing is, or nobody can tell.

    ``language`` is an ISO 639-1 code or "passage", the language of the passage. A short query often
    fits several languages: only what the detector is certain of counts.
    """
    own = detected(query)
    wanted = detected(passage) if own and language == "passage" else language
    if own is None or wanted is None or own == wanted:
        return None
    return f"{own}, expected {wanted}"


@lru_cache(maxsize=1 << 14)
def detected(text: str) -> str | None:
    """ISO 639-1 code of the language of ``text``; None where the detector is not certain."""
    code, certainty = _identifier().classify(text[:_READ])
    return str(code) if certainty >= _CERTAIN else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
