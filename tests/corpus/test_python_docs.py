import warnings
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus import python_docs
from gecko_kedro.corpus.docstrings import Source, split_summary
from gecko_kedro.corpus.python_docs import harvest, harvest_sources, package_sources
from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.corpus.schemas import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA
from gecko_kedro.corpus.settings import PythonDocsSettings

BODY = (
    "It has a body that says at length, in more words than twenty, "
    "what the thing at hand is for and how it may be used."
)

FILES = {
    "pond/__init__.py": '"""Ponds."""',
    "pond/frogs.py": f'''
        """Everything that hops about.

        {BODY}
        """
        import pond_does_not_exist
        raise SystemExit("imported or executed")

        class Frog:
            """A frog."""

            async def leap(self):
                r"""Leap over {"{"}width{"}"} of \\d metres.

                {BODY}
                """
                def local():
                    """Local to a function."""

            if True:
                def croak(self):
                    """Short."""
            else:
                def croak(self):
                    """Longer than the first."""

        try:
            class Toad: "One line."
        except ImportError:
            def toad(): """From a handler."""
        finally:
            with open("x"):
                def spawn(): """Under with."""
    ''',
    "pond/_private.py": '"""Private modules are read."""',
    "pond/tests/test_frogs.py": '"""Skipped: a folder of tests."""',
    "pond/test_more.py": '"""Skipped: a test file."""',
    "pond/_vendor/copy.py": '"""Skipped: vendored."""',
    "pond/{{name}}/x.py": '"""Skipped: not importable."""',
    "pond/notes.txt": '"""Skipped: not Python."""',
    "lake.py": '"""A module without a package."""',
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, code in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code), encoding="utf-8")
    return tmp_path


def read(site: Path, *, workers: int = 1) -> Checked:
    return harvest_sources(list(package_sources([site])), workers=workers)


def test_every_documented_thing_is_found_under_its_qualified_name(site: Path) -> None:
    documents = read(site).rows
    assert documents.schema == DOCUMENT_SCHEMA
    assert documents["doc_id"].to_list() == [
        "lake",
        "pond",
        "pond._private",
        "pond.frogs",
        "pond.frogs.Frog",
        "pond.frogs.Frog.croak",
        "pond.frogs.Frog.leap",
        "pond.frogs.Toad",
        "pond.frogs.spawn",
        "pond.frogs.toad",
    ]
    assert documents["title"].equals(documents["doc_id"].rename("title"))
    assert set(documents["group"]) == {"lake", "pond"}


def test_a_summary_is_parted_from_its_body(site: Path) -> None:
    rows = {row["doc_id"]: row for row in read(site).rows.iter_rows(named=True)}
    assert rows["pond.frogs"]["summary"] == "Everything that hops about."
    assert rows["pond.frogs"]["text"] == BODY
    assert rows["pond.frogs.Frog.leap"]["summary"] == r"Leap over {width} of \d metres."
    assert rows["pond.frogs.Frog"]["summary"] is None
    assert rows["pond.frogs.Frog"]["text"] == "A frog."


def test_of_two_definitions_the_longer_docstring_stays(site: Path) -> None:
    result = read(site)
    rows = dict(result.rows.select("doc_id", "text").iter_rows())
    assert rows["pond.frogs.Frog.croak"] == "Longer than the first."
    assert result.quarantine.schema == QUARANTINE_SCHEMA
    assert result.quarantine.select("row_id", "reason").rows() == [
        ("pond.frogs.Frog.croak", "duplicate_name")
    ]
    assert '"text": "Short."' in result.quarantine["record"][0]
    assert result.counts["duplicate_name"] == result.counts["quarantined"] == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'"""Not \xff UTF-8."""', "not_decodable"),
        (b'# coding: no-such-code\n"""Text."""', "not_decodable"),
        (b'"""Text."""\nprint "Python 2"', "syntax_error"),
        (b'"""Text."""\nx = 1\x00', "syntax_error"),
        (b'"""Half a pair: \\ud83d."""', "lone_surrogate"),
    ],
)
def test_a_file_that_cannot_be_read_is_quarantined(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    (tmp_path / "bad.py").write_bytes(data)
    (tmp_path / "good.py").write_bytes(b'"""Good."""')
    result = read(tmp_path)
    assert result.rows["doc_id"].to_list() == ["good"]
    assert result.counts[reason] == 1
    assert result.quarantine.select("row_id", "reason").row(0) == ("bad", reason)


def test_a_file_that_went_away_is_quarantined(tmp_path: Path) -> None:
    result = harvest_sources([Source(str(tmp_path / "gone.py"), "gone", "gone")], workers=1)
    assert result.counts["unreadable"] == 1


def test_coding_lines_are_honoured(tmp_path: Path) -> None:
    code = '# -*- coding: latin-1 -*-\n"""Grüße."""'
    (tmp_path / "old.py").write_bytes(code.encode("latin-1"))
    (tmp_path / "marked.py").write_bytes('\ufeff"""Grüße."""'.encode())
    assert set(read(tmp_path).rows["text"]) == {"Grüße."}


def test_warnings_about_the_code_of_others_stay_with_them(tmp_path: Path) -> None:
    (tmp_path / "escapes.py").write_text('"""A \\d."""\nassert (1, "always true")\n0x1for x in y')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(tmp_path).counts["files"] == 1


def test_the_result_does_not_depend_on_the_number_of_processes(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = read(site)
    monkeypatch.setattr(python_docs, "_FILES_WORTH_A_POOL", 0)
    two = read(site, workers=2)
    assert one.rows.equals(two.rows)
    assert one.quarantine.equals(two.quarantine)
    assert one.counts == two.counts


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        (f"Leap over the pond.\n\n{BODY}", "Leap over the pond."),
        (f"Leap over\nthe whole pond\n \t\n{BODY}", "Leap over the whole pond"),
        (f"Leap over the pond.\n{BODY} {BODY} {BODY}", "Leap over the pond."),
        (f"Leap now please\n\n{BODY}", None),  # three words are a label
        (f"{'long ' * 61}\n\n{BODY}", None),
        ("Leap over the pond.\n\nShort body.", None),
        ("Leap over the pond.", None),
        (BODY, None),
    ],
)
def test_a_summary_needs_its_length_and_a_body(docstring: str, summary: str | None) -> None:
    found, text = split_summary(docstring)
    assert found == summary
    assert text == docstring if summary is None else text.endswith(BODY) and summary not in text


def test_real_packages_and_modules_can_be_chosen_by_name() -> None:
    chosen = {"include": ["json", "rensa"], "exclude": ["rensa"], "workers": 1}
    result = harvest(PythonDocsSettings(**chosen))
    assert set(result.rows["group"]) == {"stdlib"}
    assert "json.decoder.JSONDecoder" in result.rows["doc_id"]
    assert result.rows.filter(pl.col("doc_id").str.starts_with("logging")).is_empty()


def test_the_standard_library_has_a_name_of_its_own() -> None:
    whole = harvest(PythonDocsSettings(include=["stdlib"], exclude=["turtle"], workers=1))
    names = whole.rows["doc_id"]
    assert {"json.dumps", "logging.Logger"} <= set(names)
    assert not names.str.contains(r"^(turtle|test|idlelib)\b").any()
    assert whole.rows.filter(pl.col("summary").is_not_null()).height > 1_000


@pytest.mark.parametrize("stdlib", [True, False])
def test_a_package_that_is_not_installed_is_named_with_the_nearest(stdlib: bool) -> None:
    with pytest.raises(InputError, match=r"'pollars'.*polars"):
        harvest(PythonDocsSettings(include=["pollars"], stdlib=stdlib, workers=1))
