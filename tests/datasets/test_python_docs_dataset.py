import doctest

import pytest
from kedro.io import DataCatalog, DatasetError

from gecko_kedro.datasets import PythonDocsDataset
from gecko_kedro.datasets import python_docs as module

ARGUMENTS = {"include": ["json"], "exclude": [], "stdlib": True, "workers": 1}


def test_the_catalog_loads_the_documentation_of_a_package() -> None:
    entry = {"type": "gecko_kedro.datasets.PythonDocsDataset", **ARGUMENTS}
    catalog = DataCatalog.from_config({"documents": entry})
    result = catalog.load("documents")
    assert "json.dumps" in result.documents["doc_id"]
    assert result.counts["documents"] == result.documents.height


def test_it_exists_and_cannot_be_saved() -> None:
    dataset = PythonDocsDataset(**ARGUMENTS)
    assert dataset.exists()
    with pytest.raises(DatasetError, match="read only"):
        dataset.save("anything")


def test_an_unknown_package_is_explained_through_kedro() -> None:
    dataset = PythonDocsDataset(**ARGUMENTS | {"include": ["jsn"]})
    with pytest.raises(DatasetError, match=r"'jsn'.*json"):
        dataset.load()


def test_the_fingerprint_changes_with_what_would_be_read_and_not_with_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = PythonDocsDataset(**ARGUMENTS).fingerprint()
    assert PythonDocsDataset(**ARGUMENTS | {"workers": 2}).fingerprint() == first
    for change in ({"include": None}, {"exclude": ["json"]}, {"stdlib": False}):
        assert PythonDocsDataset(**ARGUMENTS | change).fingerprint() != first
    monkeypatch.setattr(module.importlib_metadata, "distributions", list)
    assert PythonDocsDataset(**ARGUMENTS).fingerprint() != first


def test_the_example_in_the_docstring_is_true() -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 2
