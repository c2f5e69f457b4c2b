"""Queries in another language than they should be, found by py3langid."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gecko_kedro.base.errors import InputError

# Of 6,725 real English queries (MLQuestions, Cranfield, questions from forums) none has a
# probability of English below 0.012, though 5 in 100 are taken for another language.
_IMPOSSIBLE = 0.005
_CERTAIN = 0.9  # of the language of a passage
_READ = 500  # characters of a text: enough to be certain


def wrong_language(query: str, passage: str, *, language: str) -> str | None:
    """What is wrong with the language of ``query``; None where nothing is, or nobody can tell.

    ``language`` is an ISO 639-1 code or "passage", the language of the passage. A short query often
    fits several languages: it is wrong only where the right one is all but impossible.
    """
    wanted = _language_of(passage) if language == "passage" else language
    if wanted is None:
        return None
    probabilities = _probabilities(query)
    if wanted not in probabilities:
        raise InputError(
            "synthesize.write.language",
            expected=f"passage, or one of {', '.join(sorted(probabilities))}",
            got=language,
            fix="Set one of these, or null to leave languages alone.",
        )
    if probabilities[wanted] >= _IMPOSSIBLE:
        return None
    return f"{max(probabilities, key=probabilities.__getitem__)}, expected {wanted}"


@lru_cache(maxsize=1 << 14)
def _language_of(text: str) -> str | None:
    """ISO 639-1 code of the language of ``text``; None where the detector is not certain."""
    code, certainty = _identifier().classify(text[:_READ])
    return str(code) if certainty >= _CERTAIN else None


def _probabilities(text: str) -> Mapping[str, float]:
    return dict(_identifier().rank(text[:_READ]))


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
