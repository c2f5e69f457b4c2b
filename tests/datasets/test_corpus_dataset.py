import doctest
import os
import shutil
from pathlib import Path

import pytest
from kedro.io import DataCatalog, DatasetError

from gecko_kedro.corpus.settings import PythonDocsSettings
from gecko_kedro.datasets import CorpusDataset, QueryLogDataset
from gecko_kedro.datasets import sources as sources_module

PYTHON_DOCS = {"include": ["json"], "exclude": [], "stdlib": True, "workers": 1}
COLUMNS = {"text": "text"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "Ponds."}\n{"text": null}\n')
    return path


def test_the_catalog_loads_documents_with_their_quarantine(corpus: Path) -> None:
    entry = {
        "type": "gecko_kedro.datasets.CorpusDataset",
        "source": str(corpus),
        "columns": COLUMNS,
        "split": "train",
        "python_docs": PYTHON_DOCS,
    }
    result = DataCatalog.from_config({"documents": entry}).load("documents")
    assert result.rows["text"].to_list() == ["Ponds."]
    assert result.counts["null_text"] == 1


def test_the_embedded_source_reads_the_installed_packages() -> None:
    dataset = CorpusDataset(source="python-docs", columns=COLUMNS, python_docs=PYTHON_DOCS)
    assert dataset.exists()
    assert "json.dumps" in dataset.load().rows["doc_id"]


def test_the_embedded_source_has_defaults() -> None:
    dataset = CorpusDataset(source="python-docs", columns=COLUMNS)
    named = PythonDocsSettings().model_dump()
    other = CorpusDataset(source="python-docs", columns=COLUMNS, python_docs=named)
    assert dataset.fingerprint() == other.fingerprint()


def embedded(**changes: object) -> CorpusDataset:
    return CorpusDataset(source="python-docs", columns=COLUMNS, python_docs=PYTHON_DOCS | changes)


def test_an_unknown_package_is_explained_through_kedro() -> None:
    with pytest.raises(DatasetError, match=r"'jsn'.*json"):
        embedded(include=["jsn"]).load()


def test_the_fingerprint_changes_with_what_would_be_read_and_not_with_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = embedded().fingerprint()
    assert embedded(workers=2).fingerprint() == first
    for change in ({"include": None}, {"exclude": ["json"]}, {"stdlib": False}):
        assert embedded(**change).fingerprint() != first
    monkeypatch.setattr(sources_module.importlib_metadata, "distributions", list)
    assert embedded().fingerprint() != first


def test_existence_is_that_of_the_file_and_open_for_a_hub_id(corpus: Path) -> None:
    assert CorpusDataset(source=str(corpus), columns=COLUMNS).exists()
    assert CorpusDataset(source=str(corpus.parent), columns={}).exists()
    assert not CorpusDataset(source=f"{corpus}.jsonl", columns=COLUMNS).exists()
    assert CorpusDataset(source="owner/name", columns=COLUMNS).exists()


def test_the_fingerprint_of_a_file_changes_with_its_content(corpus: Path) -> None:
    dataset = CorpusDataset(source=str(corpus), columns=COLUMNS)
    before = dataset.fingerprint()
    assert dataset.fingerprint() == before
    corpus.write_text('{"text": "Lakes, which are larger."}\n')
    assert dataset.fingerprint() != before


def test_a_copy_of_a_file_has_the_same_fingerprint(corpus: Path) -> None:
    before = CorpusDataset(source=str(corpus), columns=COLUMNS).fingerprint()
    copy = corpus.with_name("copy.jsonl")
    copy.write_bytes(corpus.read_bytes())
    os.utime(copy, ns=(1, 1))
    assert CorpusDataset(source=str(copy), columns=COLUMNS).fingerprint() == before


def test_the_fingerprint_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    dataset = CorpusDataset(source=str(tmp_path), columns={})
    seen = [dataset.fingerprint()]
    (tmp_path / "b.txt").write_text("two")
    seen.append(dataset.fingerprint())
    (tmp_path / "b.txt").rename(tmp_path / "c.txt")
    seen.append(dataset.fingerprint())
    assert len(set(seen)) == 3


def test_a_copy_of_a_folder_has_the_same_fingerprint(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("one")
    before = CorpusDataset(source=str(folder), columns={}).fingerprint()
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "deep" / "a.txt", ns=(1, 1))
    (tmp_path / "copy" / ".hidden").write_text("the reader passes it over")
    assert CorpusDataset(source=str(tmp_path / "copy"), columns={}).fingerprint() == before


def test_the_fingerprint_changes_with_the_way_of_reading(corpus: Path) -> None:
    seen = {
        CorpusDataset(source=str(corpus), columns=columns, split=split).fingerprint()
        for columns in (COLUMNS, {"text": "body"})
        for split in ("train", "test")
    }
    assert len(seen) == 4


@pytest.mark.parametrize(
    "dataset",
    [
        CorpusDataset(source="x.jsonl", columns=COLUMNS),
        QueryLogDataset(source=None, columns={"query": "query"}),
    ],
)
def test_sources_are_read_only(dataset: CorpusDataset | QueryLogDataset) -> None:
    with pytest.raises(DatasetError, match="read only"):
        dataset.save("anything")


def test_a_query_log_loads_previews_and_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("what is a frog\nwhat is a toad\n")
    dataset = QueryLogDataset(source=str(path), columns={"query": "query"})
    assert dataset.exists()
    assert dataset.load().rows["query"].to_list() == ["what is a frog", "what is a toad"]
    assert dataset.preview(nrows=1)["data"][0][1] == "what is a frog"
    before = dataset.fingerprint()
    path.write_text("what is a newt\n")
    assert dataset.fingerprint() != before
    assert not QueryLogDataset(source=str(tmp_path / "no.txt"), columns={}).exists()


def test_no_query_log_exists_and_is_empty() -> None:
    dataset = QueryLogDataset(source=None, columns={"query": "query"})
    assert dataset.exists()
    assert dataset.load().rows.is_empty()
    assert dataset.preview()["data"] == []


def test_an_error_of_the_reader_keeps_its_four_parts_through_kedro(corpus: Path) -> None:
    dataset = CorpusDataset(source=str(corpus), columns={"text": "txt"})
    with pytest.raises(
        DatasetError, match=r"corpus\.jsonl: expected a column 'txt'.*near to it: text"
    ):
        dataset.load()


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(sources_module)
    assert results.attempted > 2
    assert results.failed == 0
