"""The one rule for "the same text", for duplicates, decontamination, masks and filters alike."""

import unicodedata

import polars as pl

# Full-width and half-width forms, the ideographic space among them: all that Unicode has as <wide>
# or <narrow>. NFKC would fold more and tell too little apart: x² and x2, ① and 1.
_WIDTH = {
    code: int(unicodedata.decomposition(chr(code)).split()[1], 16)
    for code in (0x3000, *range(0xFF01, 0xFFEF))
    if unicodedata.decomposition(chr(code)).startswith(("<wide>", "<narrow>"))
}
_CLOSING = " .?!…。؟।"


def normalise(text: str) -> str:
    """The form in which texts are compared: two texts are the same where it is equal.

    Case-folded, composed (NFC), full-width and half-width letters as the usual ones, runs of white
    space as one blank and none outside. Idempotent. Accents and punctuation are differences.
    """
    if not text.isascii():  # Unicode's canonical caseless match (definition D145) after the width
        folded = unicodedata.normalize("NFD", text.translate(_WIDTH)).casefold()
        return " ".join(unicodedata.normalize("NFC", folded).split())
    return " ".join(text.casefold().split())


def normalised(column: pl.Expr) -> pl.Expr:
    """``normalise`` of a column of texts; nulls stay."""
    return column.map_elements(normalise, return_dtype=pl.String)


def normalise_query(query: str) -> str:
    """``normalise`` without closing punctuation: a query asks the same with and without it."""
    return normalise(query).rstrip(_CLOSING)
