import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.formats import read_hub
from gecko_kedro.corpus.html_text import html_to_text
from gecko_kedro.corpus.passages import make_passages
from gecko_kedro.corpus.readers import looks_like_path, read_corpus
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA

COLUMNS = {"doc_id": "id", "title": "title", "text": "text", "group": None, "summary": None}
# Joined emoji, a flag, direction marks, a no-break space and a combining accent.
HARD_TEXT = "👩\u200d🚀 🇺🇳 \u202bשלום עולם\u202c مرحبا\u00a0بالعالم e\u0301 狐狸。"  # noqa: RUF001


def jsonl(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


# ------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_every_format_gives_the_same_documents(tmp_path: Path, suffix: str) -> None:
    table = pl.DataFrame(
        {"id": ["a", "b"], "title": ['One, "two"', None], "text": [HARD_TEXT, "x\ty\nz"]}
    )
    path = tmp_path / f"corpus{suffix}"
    if suffix == ".jsonl":
        table.write_ndjson(path)
    elif suffix == ".parquet":
        table.write_parquet(path)
    elif suffix == ".csv":
        table.write_csv(path)
    else:  # a line is a row and a quotation mark a letter like any other
        table = table.with_columns(pl.Series("text", [HARD_TEXT, "x y z"]))
        path.write_text(f'id\ttitle\ttext\na\tOne, "two"\t{HARD_TEXT}\nb\t\tx y z\n')
    result = read_corpus(str(path), columns=COLUMNS)
    assert result.rows.schema == DOCUMENT_SCHEMA
    assert result.rows.rows() == [
        ("a", 'One, "two"', None, HARD_TEXT, "a"),
        ("b", None, None, table["text"][1], "b"),
    ]
    assert result.quarantine.is_empty()
    assert result.counts["documents"] == 2


def test_group_and_summary_columns_are_taken_and_whole_numbers_are_names(tmp_path: Path) -> None:
    columns = {"doc_id": "n", "text": "t", "group": "g", "summary": "s"}
    source = jsonl(tmp_path / "c.jsonl", {"n": 7, "t": "Text.", "g": 3, "s": "In\nshort."})
    assert read_corpus(source, columns=columns).rows.rows() == [
        ("7", None, "In short.", "Text.", "3")
    ]


def test_ids_made_from_the_text_stay_when_rows_come_and_go(tmp_path: Path) -> None:
    few = jsonl(tmp_path / "few.jsonl", {"text": "b"}, {"text": "a"})
    many = jsonl(tmp_path / "many.jsonl", {"text": "a"}, {"text": "new"}, {"text": "b"})
    ids = [
        dict(read_corpus(source, columns={"text": "text"}).rows.select("text", "doc_id").rows())
        for source in (few, many)
    ]
    assert ids[0] == {text: ids[1][text] for text in ("b", "a")}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "title": "t", "text": null}', "null_text"),
        (b'{"id": "x", "title": "t"}', "null_text"),
        (b'{"id": "x", "title": "t", "text": "  \\n\\t "}', "empty_text"),
        (b'{"id": "x", "title": "t", "text": 12}', "not_a_string"),
        (b'{"id": "good", "title": "t", "text": "ok"}', "duplicate_id"),
        (b'{"id": "x", "title": "t", "text": "half \\ud83d"}', "lone_surrogate"),
        (b'{"id": "x", "title": "t", "text": "trunc', "broken_json"),
        (b"[" * 200_000, "broken_json"),
        (b'["a list"]', "not_an_object"),
        (b'{"id": "x", "title": "t", "text": "caf\xe9"}', "not_utf8"),
    ],
)
def test_a_bad_line_is_quarantined_and_the_others_are_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = tmp_path / "corpus.jsonl"
    good = b'\xef\xbb\xbf{"id": "good", "title": null, "text": "Good."}\n\n'
    path.write_bytes(good + line + b'\n{"id": "last", "title": "t", "text": "Last."}')
    result = read_corpus(str(path), columns=COLUMNS)
    assert result.rows["doc_id"].to_list() == ["good", "last"]
    assert result.quarantine.schema == QUARANTINE_SCHEMA
    assert result.quarantine.select("where", "reason").rows() == [(f"{path}:3", reason)]
    assert result.counts[reason] == result.counts["quarantined"] == 1
    assert len(result.quarantine["record"][0]) < 21_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x,t", "wrong_field_count"),
        (b"x,t,text,more", "wrong_field_count"),
        (b"x,t,caf\xe9", "not_utf8"),
        (b'x,t,"quoted" not', "broken_csv"),
        (b"x,t,", "empty_text"),
    ],
)
def test_a_bad_csv_line_is_quarantined_and_the_others_are_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = tmp_path / "corpus.csv"
    path.write_bytes(b"\xef\xbb\xbfid,title,text\na,t,Good.\n" + line + b"\n\nb,t,Last.\n")
    result = read_corpus(str(path), columns=COLUMNS)
    assert result.rows["doc_id"].to_list() == ["a", "b"]
    assert result.quarantine.select("where", "reason").rows() == [(f"{path}:3", reason)]


def test_a_quote_that_is_never_closed_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text('id,title,text\na,t,Good.\nb,t,"open\nc,t,swallowed\n')
    result = read_corpus(str(path), columns=COLUMNS)
    assert result.counts["broken_csv"] == 1
    assert result.rows["doc_id"].to_list() == ["a", "c"]
    assert json.loads(result.quarantine["record"][0]) == {"line": 'b,t,"open'}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
def test_a_single_line_of_five_megabytes_is_read_and_cut(tmp_path: Path, suffix: str) -> None:
    text = "lorem ipsum dolor " * 280_000
    path = tmp_path / f"corpus{suffix}"
    heads = {".jsonl": '{"text": "%s"}', ".csv": "text\n%s", ".txt": "%s"}
    path.write_text(heads[suffix] % text)
    source = str(tmp_path if suffix == ".txt" else path)
    documents = read_corpus(source, columns={"text": "text"}).rows
    assert documents["text"][0] == text.strip()
    passages = make_passages(documents).rows
    assert passages["text"].str.len_chars().max() < 200 * 7


def test_a_text_that_is_an_html_page_is_converted_and_counted(tmp_path: Path) -> None:
    page = "<!DOCTYPE html><title>Ponds</title><p>About &amp; around <b>them</b>."
    source = jsonl(tmp_path / "c.jsonl", {"text": page}, {"text": "a <b> is no page"})
    result = read_corpus(source, columns={"text": "text", "title": None})
    assert result.rows.select("title", "text").rows() == [
        ("Ponds", "About & around them."),
        (None, "a <b> is no page"),
    ]
    assert result.counts["html_converted"] == 1


def test_control_characters_are_removed_and_counted(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "c.jsonl", {"text": "a\x00b\r\nc"}, {"text": "clean"})
    result = read_corpus(source, columns={"text": "text"})
    assert result.rows["text"].to_list() == ["ab\nc", "clean"]
    assert result.counts["control_characters_removed"] == 1
    assert result.counts["newlines_normalised"] == 1


# ------------------------------------------------------------------------------ refused input


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_wrong_columns_are_refused_with_those_that_are_there(tmp_path: Path, suffix: str) -> None:
    table = pl.DataFrame({"identifier": ["a"], "texts": ["b"]})
    path = tmp_path / f"corpus{suffix}"
    {".jsonl": table.write_ndjson, ".csv": table.write_csv, ".parquet": table.write_parquet}[
        suffix
    ](path)
    with pytest.raises(InputError, match=r"column 'text'.*identifier, texts.*near to it: texts"):
        read_corpus(str(path), columns={"text": "text"})


def test_unknown_roles_are_refused_with_the_nearest(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "c.jsonl", {"text": "x"})
    with pytest.raises(InputError, match=r"'titel'.*near to it: title"):
        read_corpus(source, columns={"text": "text", "titel": "title"})
    with pytest.raises(InputError, match=r"columns\.text"):
        read_corpus(source, columns={"text": None})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "no rows at all"),
        ("blank.jsonl", b"\n\n", "no rows at all"),
        ("empty.csv", b"", "column 'text'"),
        ("header.csv", b"text\n", "no rows at all"),
        ("torn.csv", "text\nx".encode("utf-16")[:-1], "text in utf-16"),
        ("nulls.jsonl", b'{"text": null}\n' * 3, "'null_text': 3"),
        ("torn.parquet", b"PAR1 and then nothing", "a Parquet file"),
        ("book.pdf", b"%PDF", r"\.jsonl"),
    ],
)
def test_a_file_without_a_document_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_corpus(str(path), columns={"text": "text"})
    assert str(path) in str(error.value)


@pytest.mark.parametrize("source", ["no/such/texts", "./texts", "corpus.jsonl", "/no/folder"])
def test_a_missing_path_is_refused_without_asking_the_hub(source: str) -> None:
    assert looks_like_path(source)
    with pytest.raises(InputError, match="no such file or folder"):
        read_corpus(source, columns={"text": "text"})


@pytest.mark.parametrize("source", ["owner/name", "squad", "BeIR/scifact:corpus"])
def test_a_data_set_that_cannot_be_reached_is_explained(source: str) -> None:
    assert not looks_like_path(source)
    with pytest.raises(InputError, match=rf"{source}.*HF_HUB_OFFLINE"):
        read_corpus(source, columns={"text": "text"})


def test_a_data_set_is_read_with_its_split_and_columns(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pl.DataFrame({"text": ["one", "two"], "other": [1, 2]}).write_parquet(folder / "test.parquet")
    rows = list(read_hub(str(folder), split="test", wanted=["text"]))
    assert [row.values for row in rows] == [{"text": "one"}, {"text": "two"}]
    with pytest.raises(InputError, match="split 'train'"):
        list(read_hub(str(folder), split="train", wanted=["text"]))
    with pytest.raises(InputError, match="column 'texts'"):
        list(read_hub(str(folder), split="test", wanted=["texts"]))


# ------------------------------------------------------------------------------------ folders


def test_a_folder_is_read_in_a_fixed_order_with_titles(tmp_path: Path) -> None:
    files = {
        "b/second_file-name.txt": "Plain text.",
        "b/a.md": "Intro first.\n\nSetext title\n---\n\nBody.",
        "a.md": "# ATX title #\n\nBody.",
        "c.md": "```sh\n# a comment\n```\n\n## After the fence\nBody.",
        "d.md": '---\ntitle: "Front title"\ntags: [x]\n---\n# Heading\nBody.',
        "e.md": "---\ntags: [x]\n---\n# Heading\nBody.",
        "f.html": "<html><head><title> A\npage </title><style>p{}</style></head><body>"
        "<nav>Menu</nav><h1>Top</h1><p>Body &lt;3<br>line<script>x()</script></body></html>",
        ".hidden/x.txt": "Hidden.",
        ".x.txt": "Hidden.",
        "g.png": "Not a text.",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    documents = read_corpus(str(tmp_path), columns={}).rows
    assert documents.select("doc_id", "title", "text", "group").rows() == [
        ("a.md", "ATX title", "Body.", "a.md"),
        ("c.md", "After the fence", files["c.md"], "c.md"),
        ("d.md", "Front title", "# Heading\nBody.", "d.md"),
        ("e.md", "Heading", "Body.", "e.md"),
        ("f.html", "A page", "Top\n\nBody <3\nline", "f.html"),
        ("b/a.md", "Setext title", files["b/a.md"], "b/a.md"),
        ("b/second_file-name.txt", "second file name", "Plain text.", "b/second_file-name.txt"),
    ]


def test_bad_files_of_a_folder_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "good.txt").write_text(HARD_TEXT)
    result = read_corpus(str(tmp_path), columns={})
    assert result.rows["text"].to_list() == [HARD_TEXT]
    assert result.quarantine.select("row_id", "reason").rows() == [
        ("empty.txt", "empty_text"),
        ("gone.txt", "unreadable"),
        ("latin.txt", "not_utf8"),
    ]


def test_a_folder_without_texts_is_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match=r"\.parquet': 1.*name the file itself"):
        read_corpus(str(tmp_path), columns={})


@pytest.mark.parametrize(
    ("page", "title", "text"),
    [
        ("", None, ""),
        ("no markup", None, "no markup"),
        ("<h2>Heading</h2>text", "Heading", "Heading\n\ntext"),
        ("<p>one  two\n three<p>four", None, "one two three\n\nfour"),
        ("<ul><li>a<li>b</ul>", None, "a\nb"),
        ("<pre>  x\n    y</pre>", None, "x\n    y"),
        ("a<b>b</b> <i> c</i>", None, "ab c"),
        ("<head><title>t</title><body>unclosed head", "t", "unclosed head"),
        ("</p></nav>stray ends", None, "stray ends"),
        ("a &lt; b & c &#x1F600;", None, "a < b & c 😀"),
        ("<p dir=rtl>שלום<!-- not this -->", None, "שלום"),
    ],
)
def test_html_gives_the_text_that_a_reader_sees(page: str, title: str | None, text: str) -> None:
    assert html_to_text(page) == (title, text)


# ---------------------------------------------------------------------------------- real data


@pytest.mark.shared_data
def test_a_real_corpus_is_read_whole(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("eval_cranfield") / "corpus.parquet"
    result = read_corpus(str(path), columns=COLUMNS)
    assert result.rows.height + result.quarantine.height == 1_400
    assert result.rows.height >= 1_398  # two documents of Cranfield have no text
