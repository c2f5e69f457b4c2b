"""The readable text of an HTML page."""

import re
from html.parser import HTMLParser

_SPACES = re.compile(r"[ \t\r\n\f]+")  # HTML's white space; a no-break space stays
_NOT_READ = frozenset(["script", "style", "template", "noscript", "nav", "svg", "head"])
_BLOCKS = {"address", "article", "aside", "blockquote", "body", "br", "dd", "div", "dl", "dt"}
_BLOCKS |= {"fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "li", "main"}
_BLOCKS |= {"ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}
_PARAGRAPHS = {"p", "div", "section", "article", "table", "ul", "ol", "pre", "blockquote"}
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])


def looks_like_html(text: str) -> bool:
    """Whether ``text`` is a whole page: it begins with a doctype or an ``<html>`` tag."""
    return text[:200].lstrip("\ufeff \t\r\n").lower().startswith(("<!doctype html", "<html"))


def html_to_text(page: str) -> tuple[str | None, str]:
    """``(title, text)`` of ``page``: the ``<title>``, else the first heading; and what is read.

    Scripts, styles and navigation are left out; blocks end a line and paragraphs leave an empty
    one; runs of white space become one space except in ``<pre>``. Never fails: broken markup is
    read as far as it goes, as browsers do.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.title(), reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._titles = {"title": "", "heading": ""}  # the first of each
        self._unread = 0  # depth inside elements that are not read
        self._pre = 0
        self._capturing: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _NOT_READ:
            self._unread += 1
        elif tag == "body":
            self._unread = 0  # an unclosed <head> ends here
        self._pre += tag == "pre"
        self._break(tag)
        kind = "heading" if tag in _HEADINGS else tag
        if self._titles.get(kind) == "":
            self._capturing = kind

    def handle_endtag(self, tag: str) -> None:
        if tag in _NOT_READ:
            self._unread = max(0, self._unread - 1)
        self._pre = max(0, self._pre - (tag == "pre"))
        self._break(tag)
        if tag == "title" or tag in _HEADINGS:
            self._capturing = None

    def handle_data(self, data: str) -> None:
        if self._capturing is not None:
            self._titles[self._capturing] += data
        if self._unread or self._capturing == "title":
            return
        if not self._pre:
            data = _SPACES.sub(" ", data)
            if not self._pieces or self._pieces[-1][-1].isspace():
                data = data.lstrip(" ")
        if data:
            self._pieces.append(data)

    def title(self) -> str | None:
        """The title, else the first heading, on one line."""
        title, heading = (" ".join(text.split()) for text in self._titles.values())
        return title or heading or None

    def text(self) -> str:
        """Lines without outer white space, at most one empty line together."""
        lines: list[str] = []
        for line in "".join(self._pieces).split("\n"):
            if line.strip() or (lines and lines[-1]):
                lines.append(line.strip() if not line.startswith("  ") else line.rstrip())
        return "\n".join(lines).strip()

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS or tag in _HEADINGS:
            self._pieces.append("\n\n")
        elif tag in _BLOCKS:
            self._pieces.append("\n")
