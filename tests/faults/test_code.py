"""No code comes with data: no pickle, and no code of a model unless it is asked for."""

import ast
import inspect
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from kedro.config import OmegaConfigLoader

from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.training.trainer import train_encoder
from tests.conftest import PROJECT
from tests.support.observing import Observe
from tests.support.small_training import changed, examples
from tests.support.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.faults
CODE = sorted((PROJECT / "src").rglob("*.py"))
ENVIRONMENTS = sorted(
    folder.name
    for folder in (PROJECT / "conf").iterdir()
    if list(folder.glob("parameters*.yml")) and folder.name != "base"
)
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def pickles_in(source: str) -> Iterator[str]:
    """Imports of modules that read pickles, and calls that might."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [module or ""] if module else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in PICKLES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {key.arg: ast.unparse(key.value) for key in node.keywords}
            if called == "torch.load" and keywords.get("weights_only") != "True":
                yield called
            if keywords.get("allow_pickle", "False") != "False":
                yield called
            if called.endswith(("to_pickle", "read_pickle")):
                yield called


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "torch.load(f)", "torch.load(f, weights_only=x)",
     "np.load(f, allow_pickle=True)", "frame.to_pickle(f)", "import dill as d"],
)  # fmt: skip
def test_what_reads_a_pickle_is_recognised(source: str) -> None:
    assert list(pickles_in(source))


def test_the_code_reads_and_writes_no_pickle(observe: Observe) -> None:
    assert {file.name: list(pickles_in(file.read_text("utf-8"))) for file in CODE} == {
        file.name: [] for file in CODE
    }
    for file in (PROJECT / "conf").rglob("*.yml"):
        assert "pickle" not in file.read_text("utf-8"), file
    observe("pickle, joblib, torch.load without weights_only in the code or the catalog",
            f"none in {len(CODE)} modules")  # fmt: skip


def switches(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        for key, value in values.items():
            if key == "trust_remote_code":
                yield path, value
            yield from switches(value, f"{path}.{key}".lstrip("."))
    elif isinstance(values, list):
        for value in values:
            yield from switches(value, path)


@pytest.mark.parametrize("environment", ["base", *ENVIRONMENTS])
def test_a_model_brings_no_code_unless_asked_to(environment: str) -> None:
    loader = OmegaConfigLoader(
        str(PROJECT / "conf"), base_env="base", default_run_env=environment,
        merge_strategy={"parameters": "soft"},
    )  # fmt: skip
    found = dict(switches(loader["parameters"]))
    assert found == {"encoder.load": False, "teacher.model": False}
    assert inspect.signature(load_encoder).parameters["trust_remote_code"].default is False


def test_a_checkpoint_is_read_without_running_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, observe: Observe
) -> None:
    def train() -> dict[str, float]:
        return train_encoder(
            tiny_encoder(), examples(12), settings=changed(epochs=2, checkpoint_steps=2),
            loss="gecko", name="finetune", checkpoints=tmp_path,
        ).metrics  # fmt: skip

    train()
    inside = {
        file.name
        for file in tmp_path.rglob("*")
        if zipfile.is_zipfile(file)
        and any(name.endswith(".pkl") for name in zipfile.ZipFile(file).namelist())
    }
    assert inside == {"optimizer.pt", "scheduler.pt", "rng_state.pth"}  # as docs/faults.md says
    assert not list(tmp_path.rglob("training_args.bin"))
    shutil.rmtree(max(tmp_path.glob("finetune/*/checkpoint-*"), key=lambda path: path.name))
    modes, load = {}, torch.load

    def watched(file: Any, *args: Any, **kwargs: Any) -> Any:
        modes[Path(file).name] = kwargs.get("weights_only")
        return load(file, *args, **kwargs)

    monkeypatch.setattr(torch, "load", watched)
    assert train()["steps_resumed"] > 0
    assert modes == dict.fromkeys(inside, True)
    observe("the files of a checkpoint that hold a pickle (torch's own)",
            f"{', '.join(sorted(inside))}: all read with weights_only=True")  # fmt: skip
