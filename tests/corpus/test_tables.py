"""Tables as they are in the wild: rows are right or set aside with their record, never lost."""

import json
import logging
import os
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gecko_kedro.base.digests import source_identity
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import files_below
from gecko_kedro.corpus import formats
from gecko_kedro.corpus.formats import read_table
from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.corpus.readers import read_corpus, read_query_log
from gecko_kedro.corpus.values import as_names, as_text, as_texts, whole_numbers
from tests.support.observing import Observe

TEXT_ONLY = {"doc_id": "id", "text": "text"}
COLUMNS = {"doc_id": "id", "title": "title", "text": "text", "group": "group"}


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def records(read: Checked) -> list[dict[str, Any]]:
    return [json.loads(record) for record in read.quarantine["record"]]


def sixty(separator: str, changes: dict[int, str]) -> str:
    lines = [f"{n}{separator}the story of number {n}" for n in range(60)]
    for n, text in changes.items():
        lines[n] = f"{n}{separator}{text}"
    return "\n".join([f"id{separator}text", *lines, ""])


# ------------------------------------------------------------------------ quotation marks


@pytest.mark.faults
def test_a_lone_quotation_mark_in_tsv_is_a_letter(tmp_path: Path, observe: Observe) -> None:
    changes = {9: '"Never again, said the keeper', 40: 'a pane and a 24" screen'}
    read = read_corpus(written(tmp_path / "c.tsv", sixty("\t", changes)), columns=TEXT_ONLY)
    texts = dict(read.rows.select("doc_id", "text").rows())
    assert len(texts) == 60
    assert (texts["9"], texts["40"]) == (changes[9], changes[40])
    assert read.quarantine.is_empty()
    observe("TSV, 60 lines, a lone quotation mark in two of them", read.counts)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("last", "how"),
    [('a pane and a 24" screen', "within a field"), ('this is the end"', "at the end of a line"),
     ('"a well quoted, text"', "at the start of a field"), ("none", "nowhere")],
)  # fmt: skip
def test_a_quotation_mark_in_csv_that_swallows_rows_costs_its_own_line_only(
    tmp_path: Path, last: str, how: str, observe: Observe
) -> None:
    table = sixty(",", {9: '"Never again', 40: last})
    read = read_corpus(written(tmp_path / "c.csv", table), columns=TEXT_ONLY)
    assert read.rows["doc_id"].to_list() == [str(n) for n in range(60) if n != 9]
    assert read.quarantine.select("where", "reason").rows() == [
        (f"{tmp_path / 'c.csv'}:11", "broken_csv")
    ]
    assert records(read) == [{"line": '9,"Never again'}]
    observe(f"CSV, a quoted field that swallows rows, its closing quote {how}",
            f"{read.counts}, {read.quarantine['detail'][0]}")  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["one\n\nthree", "Dear Sir, or\nMadam, or\nwhoever, it is", 'He said "no",\nand, so, on',
     "for x in range(3):\n    print(x,end='')\n    if x:\n        break", "1\n2\n3\n4\n5", "a\r\nb",
     "Berlin, Germany\nParis, France\nRome, Italy\nOslo, Norway",
     "Shall I compare thee,\nto a day,\nof summer,\nor to rain,", "a,b\nc,d\ne,f\ng,h"],
)  # fmt: skip
def test_a_quoted_text_of_several_lines_is_one_text(tmp_path: Path, text: str) -> None:
    table = pl.DataFrame({"id": ["7", "8"], "text": [text, "short"]})
    table.write_csv(tmp_path / "c.csv")
    read = read_corpus(str(tmp_path / "c.csv"), columns=TEXT_ONLY)
    assert read.rows["text"].to_list() == [text.replace("\r\n", "\n"), "short"]
    assert read.quarantine.is_empty()


def test_a_quotation_mark_that_closes_on_the_next_row_is_seen_by_its_number(tmp_path: Path) -> None:
    path = written(tmp_path / "c.csv", 'id,text\n1,"an open one\n2,a 24" screen\n3,x "y"\n')
    read = read_corpus(path, columns=TEXT_ONLY)
    assert read.rows["doc_id"].to_list() == ["2", "3"]
    path = written(tmp_path / "c.csv", 'id,text\n1,"an open one\n2,a long end"\n3,third\n')
    read = read_corpus(path, columns=TEXT_ONLY)
    assert read.rows["doc_id"].to_list() == ["2", "3"]


def test_rows_and_lines_and_the_separator_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = written(tmp_path / "c.csv", 'id;text\n1;"two\nlines"\n2;one, line\n')
    read = read_corpus(path, columns=TEXT_ONLY)
    assert read.rows["text"].to_list() == ["two\nlines", "one, line"]
    assert "2 rows on 4 lines, separated by ';'" in caplog.text
    path = written(tmp_path / "c.csv", 'id\ttext\n1\t"two\nlines"\n')
    assert read_corpus(path, columns=TEXT_ONLY).rows["text"].to_list() == ["two\nlines"]
    path = written(tmp_path / "c.tsv", 'id\ttext\n1\t"quoted"\n')
    assert read_corpus(path, columns=TEXT_ONLY).rows["text"].to_list() == ['"quoted"']
    assert "1 rows have a field within quotation marks" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text,text\n1,a,b\n", "names each column once"),
        ('id,"text\n1,a\n', "names each column once"),
        ("id,text\n", "no rows at all"),
        ("1,a story\n2,another\n", "a column 'id'"),
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_corpus(written(tmp_path / "c.csv", content), columns=TEXT_ONLY)


# ------------------------------------------------------------- encodings, line ends, raggedness


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_make_no_difference(
    tmp_path: Path, suffix: str, encoding: str, newline: str
) -> None:
    lines = {
        "csv": ["id,text", "1,naïve 狐", "", "2,zwei"],
        "tsv": ["id\ttext", "1\tnaïve 狐", "", "2\tzwei"],
        "jsonl": ['{"id": 1, "text": "naïve 狐"}', "", '{"id": "2", "text": "zwei"}'],
    }[suffix]
    path = written(tmp_path / f"c.{suffix.upper()}", newline.join(lines).encode(encoding))
    read = read_corpus(path, columns=TEXT_ONLY)
    assert read.rows.select("doc_id", "text").rows() == [("1", "naïve 狐"), ("2", "zwei")]
    assert read.quarantine.is_empty()


BAD_LINES = [
    ("csv", b"3,too,many", "wrong_field_count"),
    ("csv", b"3", "wrong_field_count"),
    ("csv", b"3,caf\xe9", "not_utf8"),
    ("csv", b'3,"a"b', "broken_csv"),
    ("tsv", b"3\ta\tb", "wrong_field_count"),
    ("tsv", b'3\t"a\tb"', "wrong_field_count"),
    ("tsv", b"3\tcaf\xe9", "not_utf8"),
    ("jsonl", b'{"id": 3, "text": "cut', "broken_json"),
    ("jsonl", b'{"id": 3} {"id": 4}', "broken_json"),
    ("jsonl", b'["3", "a list"]', "not_an_object"),
    ("jsonl", b'"a string"', "not_an_object"),
    ("jsonl", b"null", "not_an_object"),
    ("jsonl", b"{}", "not_an_object"),
    ("jsonl", b'{"id": 3, "text": "caf\xe9"}', "not_utf8"),
    ("jsonl", b'{"id": 3, "text": "\\ud83d"}', "lone_surrogate"),
    ("jsonl", b'{"id": "3", "text": NaN}', "null_text"),
    ("jsonl", b'{"id": "3", "text": ["a", "b"]}', "not_a_string"),
    ("jsonl", b'{"id": "3", "text": 12}', "not_a_string"),
    ("jsonl", b'{"id": 1.0, "text": "again"}', "duplicate_id"),
    ("jsonl", b'{"id": " 1 ", "text": "again"}', "duplicate_id"),
]


@pytest.mark.faults
@pytest.mark.parametrize(("suffix", "line", "reason"), BAD_LINES)
def test_a_bad_row_is_set_aside_with_its_record(
    tmp_path: Path, suffix: str, line: bytes, reason: str, observe: Observe
) -> None:
    good = {
        "csv": (b"id,text\n1,first\n", b"2,second\n"),
        "tsv": (b"id\ttext\n1\tfirst\n", b"2\tsecond\n"),
        "jsonl": (b'{"id": 1, "text": "first"}\n', b'{"id": "2", "text": "second"}\n'),
    }[suffix]
    path = written(tmp_path / f"c.{suffix}", good[0] + line + b"\n" + good[1])
    read = read_corpus(path, columns=TEXT_ONLY)
    assert read.rows["doc_id"].to_list() == ["1", "2"]
    assert read.quarantine["reason"].to_list() == [reason]
    [record] = records(read)
    assert record
    observe(f"{suffix.upper()}: {line.decode('utf-8', 'backslashreplace')}",
            f"{reason}: {read.quarantine['record'][0]}")  # fmt: skip


def test_nul_bytes_and_huge_fields_are_read(tmp_path: Path) -> None:
    text = "a word or two " * 30_000
    path = written(tmp_path / "c.csv", f'id,text\n1,a\0b\n2,"{text}"\n3,"{text}"" and more"\n')
    read = read_corpus(path, columns=TEXT_ONLY)
    assert read.rows["text"].to_list() == ["ab", text.strip(), f'{text}" and more']
    assert read.counts["control_characters_removed"] == 1


@pytest.mark.parametrize(
    "content",
    ['[{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]',
     '[\n  {"id": 1,\n   "text": "a"},\n  {"id": 2, "text": "b"}\n]\n',
     '{"id": 1, "text": "a"},\n{"id": 2, "text": "b"},\n'],
)  # fmt: skip
def test_a_json_array_is_read_as_its_objects(tmp_path: Path, content: str) -> None:
    read = read_corpus(written(tmp_path / "c.jsonl", content), columns=TEXT_ONLY)
    assert read.rows.select("doc_id", "text").rows() == [("1", "a"), ("2", "b")]
    assert read.quarantine.is_empty()


def test_a_file_with_brackets_in_its_name_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "part[1].parquet"
    pl.DataFrame({"id": ["1"], "text": ["a"]}).write_parquet(path)
    assert read_corpus(str(path), columns=TEXT_ONLY).rows.height == 1


def test_a_pipe_in_place_of_a_table_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.csv")
    with pytest.raises(InputError, match="no regular file"):
        read_corpus(str(tmp_path / "c.csv"), columns=TEXT_ONLY)


# --------------------------------------------------------------------------------- values


@pytest.mark.faults
def test_numbers_as_ids_are_converted_and_a_bad_field_costs_the_field_only(
    tmp_path: Path, observe: Observe
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": 12.0, "title": 1984, "group": 3.0},
        {"id": 12.5, "title": float("nan"), "group": float("nan")},
        {"id": True, "title": "t", "group": "g"},
        {"id": float("nan"), "title": "t", "group": "g"},
        {"id": " 7 ", "title": ["a", "list"], "group": {"a": "record"}},
    ]
    lines = [json.dumps({**row, "text": f"text {n}"}) for n, row in enumerate(rows)]
    read = read_corpus(written(tmp_path / "c.jsonl", "\n".join(lines)), columns=COLUMNS)
    made = read.rows.select("doc_id", "title", "group").rows()
    assert made[:2] == [("12", "1984", "3"), ("12.5", None, "12.5")]
    assert made[4] == ("7", None, "7")
    assert [len(doc_id) for doc_id, _, _ in made[2:4]] == [16, 16]  # hashes
    assert read.quarantine["reason"].to_list() == [
        "not_a_string", "null_id", "not_a_string", "not_a_string",
    ]  # fmt: skip
    assert all(records(read))
    observe("ids 12.0, true and NaN, a title that is NaN or a list", read.counts)


def test_ids_of_a_parquet_file_of_floats_are_whole_numbers(tmp_path: Path) -> None:
    table = pl.DataFrame({"id": [12.0, None, 13.0], "text": ["a", "b", "c"]})
    table.write_parquet(tmp_path / "c.parquet")
    ids = read_corpus(str(tmp_path / "c.parquet"), columns=TEXT_ONLY).rows["doc_id"]
    assert [ids[0], ids[2]] == ["12", "13"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(12, "12"), (12.0, "12"), (12.5, "12.5"), (np.int64(12), "12"), (np.float32(12), "12"),
     (Decimal("12.00"), "12"), (-0.0, "0"), (1e22, "10000000000000000000000"), ("12.0", "12.0"),
     (float("nan"), None), (float("inf"), None), (None, None), ("", "")],
)  # fmt: skip
def test_a_number_is_written_as_one_would(value: object, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}, b"bytes", np.array([1])])
def test_what_is_neither_text_nor_number_is_none(value: object) -> None:
    with pytest.raises(TypeError):
        as_text(value)


def test_columns_are_converted_like_values() -> None:
    floats = pl.Series("id", [12.0, 12.5, None, float("nan"), float("inf")])
    assert as_texts(floats).to_list() == ["12", "12.5", None, None, None]
    assert as_names(pl.Series("id", [" 12.0", "13.0", None])).to_list() == ["12", "13", None]
    assert as_names(pl.Series("id", ["1.0", "1.10"])).to_list() == ["1.0", "1.10"]
    labels = pl.Series("label", ["1", "1.0", "x", "0.5", None])
    assert whole_numbers(labels).to_list() == [1, 1, None, None, None]


def test_a_query_log_follows_the_same_rules(tmp_path: Path) -> None:
    lines = ['"Never again, said', 'a 24" screen', "cafe\u0301", "caf\u00e9", "ＡＢＣ", "abc"]  # noqa: RUF001
    table = "\n".join(["n\tq", *(f"{n}.0\t{line}" for n, line in enumerate(lines))])
    log = read_query_log(
        written(tmp_path / "l.tsv", table), columns={"query_id": "n", "query": "q"}
    )
    assert log.rows["query"].to_list() == [*lines[:3], "ＡＢＣ"]  # noqa: RUF001
    assert log.counts["duplicate_query"] == 2
    text = "one\rtwo\r\nthree\n".encode("utf-16")
    log = read_query_log(written(tmp_path / "l.txt", text), columns={})
    assert log.rows["query"].to_list() == ["one", "two", "three"]


# --------------------------------------------------------------------------------- folders


@pytest.mark.faults
def test_a_file_name_that_is_no_utf8_is_read_under_a_readable_name(
    tmp_path: Path, observe: Observe, caplog: pytest.LogCaptureFixture
) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (tmp_path / name).write_text("A text.")
    (tmp_path / os.fsdecode(b"na\xefve.TXT")).write_bytes(b"not \xff UTF-8")
    read = read_corpus(str(tmp_path), columns={})
    assert read.rows.select("doc_id", "title", "text").rows() == [
        ("caf\\xe9.txt", "caf\\xe9", "A text.")
    ]
    assert read.quarantine.select("row_id", "reason").rows() == [("na\\xefve.TXT", "not_utf8")]
    assert records(read)[0]["text"] == "not \\xff UTF-8"
    read.rows.write_parquet(tmp_path / "d.parquet")
    read.quarantine.write_parquet(tmp_path / "q.parquet")
    assert source_identity(str(tmp_path), {}) == source_identity(str(tmp_path), {})
    observe("a file name that is no UTF-8 in a corpus folder", read.rows["doc_id"][0])


@pytest.mark.faults
def test_linked_folders_are_followed_once_and_nothing_blocks(
    tmp_path: Path, observe: Observe
) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    for folder in (corpus / "b", elsewhere):
        folder.mkdir(parents=True)
        (folder / "x.txt").write_text(f"in {folder.name}")
    (corpus / "a").symlink_to(corpus / "b")  # a second way to b
    (corpus / "b/up").symlink_to(corpus)  # a circle
    (corpus / "out").symlink_to(elsewhere)
    (corpus / "loop.txt").symlink_to(corpus / "loop.txt")
    (corpus / "gone.txt").symlink_to(corpus / "nowhere")
    os.mkfifo(corpus / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(corpus / "socket.txt"))
        read = read_corpus(str(corpus), columns={})
    assert read.rows.select("doc_id", "text").rows() == [
        ("b/x.txt", "in b"), ("out/x.txt", "in elsewhere"),
    ]  # fmt: skip
    assert sorted(read.quarantine.select("row_id", "reason").rows()) == [
        ("a", "folder_seen_before"), ("b/up", "folder_seen_before"), ("gone.txt", "unreadable"),
        ("loop.txt", "unreadable"), ("pipe.txt", "not_a_file"), ("socket.txt", "not_a_file"),
    ]  # fmt: skip
    observe("linked folders, a circle of links, broken links, a pipe, a socket", read.counts)


def test_a_folder_that_cannot_be_opened_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.txt").write_text("open")
    real = os.listdir

    def listdir(path: Path) -> list[str]:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("gecko_kedro.base.files.os.listdir", listdir)
    found = list(files_below(tmp_path))
    assert [(file.path.name, file.problem) for file in found] == [
        ("a.txt", None), ("closed", "unreadable"),
    ]  # fmt: skip


def test_a_changed_file_behind_a_link_is_another_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "far/a.txt").write_text("a")
    (tmp_path / "corpus/link").symlink_to(tmp_path / "far")
    before = source_identity(str(tmp_path / "corpus"), {})
    (tmp_path / "far/a.txt").write_text("a longer text")
    assert source_identity(str(tmp_path / "corpus"), {}) != before


def test_every_row_of_every_reader_has_values(tmp_path: Path) -> None:
    content = b'id,text\n1,"a\n2,b,c\n3,caf\xe9\n{}\n[]\nnull\n'
    for suffix in formats.TABLE_SUFFIXES[:-1]:
        rows = list(read_table(Path(written(tmp_path / f"c{suffix}", content))))
        assert len(rows) >= 4
        assert all(row.values for row in rows)
