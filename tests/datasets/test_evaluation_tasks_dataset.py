from pathlib import Path

import polars as pl
import pytest
from kedro.io import DatasetError

from gecko_kedro.base.errors import InputError
from gecko_kedro.datasets import EvaluationTasksDataset

PROMPTS = str(Path(__file__).parents[2] / "conf/prompts/mteb_tasks.yml")
TASK = {"name": "Own", "type": "STS", "path": "own"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.0, 2.0]}
    pl.DataFrame(rows).write_parquet(tmp_path / "own/test.parquet")
    return tmp_path


def dataset(root: Path | None, *tasks: dict, **settings) -> EvaluationTasksDataset:
    place = None if root is None else str(root)
    return EvaluationTasksDataset(tasks=tasks, filepath=PROMPTS, root=place, **settings)


def test_local_tasks_are_read_with_their_prompts(root: Path) -> None:
    (task,) = dataset(root, TASK).load().tasks
    assert (task.name, task.task) == ("Own", "semantic similarity")
    own = dataset(root, TASK, overrides={"Own": {"task": "mine", "symmetric": True}})
    assert own.load().tasks[0].task == "mine"


def test_no_tasks_are_no_tasks() -> None:
    assert dataset(None).load().tasks == []


def test_the_root_is_the_variables_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GECKO_SHARED_DATA", str(root))
    assert dataset(None, TASK).load().tasks


def test_what_is_not_there_is_an_error_unless_it_is_optional(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = {"name": "Other", "type": "STS", "path": "nowhere"}
    with pytest.raises(DatasetError, match="no such folder"):
        dataset(root, TASK, missing).load()
    assert [task.name for task in dataset(root, TASK, missing, optional=True).load().tasks] == [
        "Own"
    ]
    assert "No local copy" in caplog.text


def test_a_wrong_declaration_is_told(root: Path) -> None:
    with pytest.raises(InputError, match="both path and type"):
        dataset(root, {"name": "Own", "type": "STS"})
    with pytest.raises(InputError, match="colour"):
        dataset(root, {**TASK, "colour": "red"})


def test_the_written_task_is_read_from_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {"name": "stdlib-questions", "type": "Retrieval", "path": "python-stdlib"}
    for own in (dataset(tmp_path, declared), dataset(tmp_path, declared, optional=True)):
        assert [task.name for task in own.load().tasks] == ["stdlib-questions"]
    assert [task.name for task in dataset(None, more=[declared]).load().tasks] == [
        "stdlib-questions"
    ]
    before = dataset(tmp_path, declared).fingerprint()
    assert dataset(tmp_path / "elsewhere", declared).fingerprint() == before
    monkeypatch.setattr("sys.version", "4.0")  # another library, other docstrings
    assert dataset(tmp_path, declared).fingerprint() != before


def test_the_fingerprint_follows_data_and_declaration(root: Path) -> None:
    before = dataset(root, TASK).fingerprint()
    assert dataset(root, TASK).fingerprint() == before
    assert dataset(root, {**TASK, "prompt": "x"}).fingerprint() != before
    assert dataset(root, TASK, overrides={"Own": {}}).fingerprint() != before
    rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.0, 3.0]}
    pl.DataFrame(rows).write_parquet(root / "own/test.parquet")
    assert dataset(root, TASK).fingerprint() != before


def test_the_tasks_of_two_lists_are_read_and_what_is_in_both_once(root: Path) -> None:
    other = {**TASK, "name": "Other"}
    both = dataset(root, TASK, more=[TASK, other])
    assert [task.name for task in both.load().tasks] == ["Own", "Other"]
    assert both.fingerprint() != dataset(root, TASK).fingerprint()
    assert dataset(root, TASK, more=[TASK]).fingerprint() == dataset(root, TASK).fingerprint()


def test_it_cannot_be_written(root: Path) -> None:
    with pytest.raises(DatasetError, match="not allowed"):
        dataset(root, TASK).save(None)
