"""Training without YAML, as docs/training.md shows it."""

from pathlib import Path

import pytest

from gecko_kedro.training import TrainSettings, train_encoder
from tests.support.small_training import examples, weights
from tests.support.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.timeout(300)
PAGE = Path(__file__).parents[2] / "docs/training.md"


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"how is {name} kept,Keep {name} dry." for name in ("tea", "salt", "rice", "bread")]
    Path("faq.csv").write_text("\n".join(["question,answer", *rows]), "utf-8")
    code = PAGE.read_text("utf-8").split("```python\n")[1].partition("```")[0]
    exec(compile(code, str(PAGE), "exec"), {})
    assert (tmp_path / "encoder/modules.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "faq.csv"]


def test_a_model_and_examples_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = tiny_encoder()
    before = weights(model)
    result = train_encoder(
        model, examples(12), settings=TrainSettings(threads=1, max_seq_length=32)
    )
    assert result.metrics["steps"] > 0
    assert any(not before[name].equal(value) for name, value in weights(result.model).items())
    assert not list(tmp_path.iterdir())
