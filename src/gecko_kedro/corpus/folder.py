"""Text, Markdown and HTML files of a folder, as rows."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.files import FoundFile, files_below
from gecko_kedro.corpus.html_text import html_to_text, looks_like_html
from gecko_kedro.corpus.lines import RawRow, decoding_of, readable
from gecko_kedro.corpus.texts import is_unicode

logger = logging.getLogger(__name__)

_MARKDOWN = (".md", ".markdown")
_HTML = (".html", ".htm")
TEXT_SUFFIXES = (".txt", *_MARKDOWN, *_HTML)

_FRONT_MATTER = re.compile(
    r"\A(---|\+\+\+)[ \t]*\n(.*?)^\1[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_FRONT_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{3,})[ \t]*$")


def read_folder(folder: Path) -> Iterator[RawRow]:
    r"""The .txt, .md and .html files of ``folder`` and its folders, by relative path.

    Values are ``doc_id`` (the relative path), ``title`` and ``text``. The title is that of the
    front matter, else the first Markdown heading or the HTML title, else the file's name. Front
    matter is no text; a heading that opens the file and is its title is no text either. Links and
    what is no file are as ``files_below`` has them, and bytes of a name that are no UTF-8 become
    escapes (``caf\\xe9.txt``).

    Raises InputError when there is no such file.
    """
    others: dict[str, int] = {}
    found = False
    for file in files_below(folder):
        suffix = readable(file.path.suffix)
        if file.problem or suffix.lower() in TEXT_SUFFIXES:
            found = found or not file.problem
            yield _read_file(file, readable(file.path.relative_to(folder).as_posix()))
        else:
            others[suffix] = others.get(suffix, 0) + 1
    if found and others:
        logger.info("%s: passed over by suffix: %s", folder, others)
    if not found:
        raise InputError(
            str(folder),
            expected=f"files named {', '.join(TEXT_SUFFIXES)}",
            got=Words(f"no such file; others by suffix: {others}"),
            fix="Name another folder; for JSONL, CSV or Parquet name the file itself.",
        )


def markdown_parts(text: str) -> tuple[str | None, str]:
    """``(title, text)`` of a Markdown file, without front matter and without the opening title."""
    front = _FRONT_MATTER.match(text)
    front_title = _FRONT_TITLE.search(front[2]) if front else None
    body = text[front.end() :] if front else text
    heading, at, end = _first_heading(body)
    title = front_title[1].strip("\"'") if front_title else heading
    opens = heading is not None and title == heading and not body[:at].strip()
    return title, body[end:] if opens else body


def _read_file(file: FoundFile, doc_id: str) -> RawRow:
    where = readable(str(file.path))
    values: dict[str, str | None] = {"doc_id": doc_id, "title": None, "text": ""}
    if file.problem:
        return RawRow(where, values, file.problem, readable(file.detail))
    try:
        content = file.path.read_bytes()
        text = content.decode(*decoding_of(content))
    except UnicodeDecodeError:  # half a letter of two bytes
        text = content.decode("utf-8", "surrogateescape")
    except OSError as error:
        return RawRow(where, values, "unreadable", readable(str(error)))
    if not is_unicode(text):
        return RawRow(where, values | {"text": readable(text)}, "not_utf8", "no UTF-8 throughout")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    suffix = file.path.suffix.lower()
    title: str | None = None
    if suffix in _HTML or looks_like_html(text):
        title, text = html_to_text(text)
    elif suffix in _MARKDOWN:
        title, text = markdown_parts(text)
    stem = Path(doc_id).stem
    of_file = " ".join(re.split(r"[-_\s]+", stem)).strip() or stem
    return RawRow(where, values | {"title": title or of_file, "text": text})


def _first_heading(text: str) -> tuple[str | None, int, int]:
    """The first heading outside code fences, and where it begins and ends."""
    fenced, offset, previous = False, 0, (0, "")
    for line in text.splitlines(keepends=True):
        end = offset + len(line)
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            heading = _HEADING.match(line.rstrip("\n"))
            if heading:
                return heading[1], offset, end
            if _UNDERLINE.match(line) and previous[1]:
                return previous[1], previous[0], end
        previous = (offset, "" if fenced else line.strip())
        offset = end
    return None, 0, 0
