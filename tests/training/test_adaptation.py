"""A language model learns how passages are asked for: a tiny random one, real training."""

from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher.settings import AdaptSettings
from gecko_kedro.training import adaptation
from gecko_kedro.training.adaptation import AdaptedModel, adapt_language_model
from gecko_kedro.training.query_pairs import QUERY_PAIR_SCHEMA, query_pairs, source_query_pairs
from gecko_kedro.training.sources import SourceSettings, read_source
from tests.support.tiny_llm import save_tiny_llm

pytestmark = pytest.mark.timeout(300)
SETTINGS = AdaptSettings(
    layers=1, batch_size=4, epochs=3, learning_rate=5e-3, passage_tokens=24, evaluation_steps=4
)


def pairs(count: int, start: int = 0) -> pl.DataFrame:
    things = ["salt", "tea", "honey", "flour", "yeast"]
    rows = [
        {
            "source": "kitchen", "kind": "question answering", "title": None,
            "text": f"{things[n % 5]} number {n} is kept in jar {n}.",
            "query": f"where is {things[n % 5]} {n} kept",
        }
        for n in range(start, start + count)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=QUERY_PAIR_SCHEMA)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llm(tmp_path_factory.mktemp("base"))


def adapted(base: Path, checkpoints: Path, **changes: object) -> AdaptedModel:
    settings = SETTINGS.model_copy(update=changes)
    return adapt_language_model(
        base, pairs(32), pairs(8, 100), settings=settings, checkpoints=checkpoints
    )


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.float().clone() for name, tensor in model.state_dict().items()}


def test_the_queries_become_likelier_and_only_the_last_layers_change(
    base: Path, tmp_path: Path
) -> None:
    result = adapted(base, tmp_path)
    losses = result.history["heldout_loss"].drop_nulls()
    assert losses[-1] < losses[0]
    assert result.record["last_heldout_loss"] == losses[-1]
    assert result.record["pairs"] == {"kitchen": 32}
    assert result.record["kinds"] == {"question answering": 32}
    before = weights(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32))
    after = weights(result.model)
    changed = {name for name in before if not torch.allclose(before[name], after[name], atol=0.02)}
    assert changed
    assert all(".layers.1." in name for name in changed)


def test_a_saved_model_is_read_as_any_other_and_says_what_it_learned_from(
    base: Path, tmp_path: Path
) -> None:
    result = adapted(base, tmp_path / "checkpoints")
    result.save(tmp_path / "model")
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.bfloat16)
    for name, tensor in read.state_dict().items():
        assert torch.equal(tensor, result.model.state_dict()[name].to(torch.bfloat16))
    assert '"kitchen": 32' in (tmp_path / "model/adaptation.json").read_text()
    AdaptedModel.none().save(tmp_path / "none")
    assert [file.name for file in (tmp_path / "none").iterdir()] == ["adaptation.json"]


def test_a_killed_adaptation_goes_on_and_gives_the_same_weights(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adapted(base, tmp_path / "whole")

    class PulledPlugError(Exception):
        pass

    seal = adaptation.seal_checkpoint

    def second_is_the_last(folder: Path) -> None:
        seal(folder)
        if folder.name == "checkpoint-8":
            raise PulledPlugError

    monkeypatch.setattr(adaptation, "seal_checkpoint", second_is_the_last)
    with pytest.raises(PulledPlugError):
        adapted(base, tmp_path / "killed")
    monkeypatch.undo()
    resumed = adapted(base, tmp_path / "killed")
    assert resumed.history["step"].to_list() == whole.history["step"].to_list()
    for name, tensor in weights(whole.model).items():
        assert torch.equal(tensor, weights(resumed.model)[name]), name


def test_it_stops_where_the_heldout_loss_rises_with_the_best_weights(
    base: Path, tmp_path: Path
) -> None:
    result = adapted(base, tmp_path, learning_rate=0.5, epochs=20, warmup_ratio=0.0)
    losses = result.history["heldout_loss"].drop_nulls()
    assert losses.len() < 20 * 8 // 4
    assert result.record["best_heldout_loss"] == losses.min()


def test_without_pairs_it_says_what_could_be_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pairs"):
        adapt_language_model(
            base, pairs(0), pairs(0), settings=SETTINGS, checkpoints=tmp_path
        )  # fmt: skip


def test_a_pair_of_a_title_does_not_show_it() -> None:
    natural = pl.DataFrame(
        {
            "pair_id": ["a", "b"], "kind": ["title_body", "summary_body"], "task": ["", ""],
            "query": ["Tea", "How tea is kept"], "passage_id": ["t", "t"], "text": ["dry", "dry"],
            "group": ["g", "g"],
        }
    )  # fmt: skip
    passages = pl.DataFrame({"passage_id": ["t"], "title": ["Tea"]})
    made = query_pairs(natural, passages)
    assert made["title"].to_list() == [None, "Tea"]
    assert made["kind"].to_list() == ["title to article", "summary to document"]


def test_a_set_from_outside_is_taken_at_its_rate(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        "".join(f'{{"q": "query {n}", "p": "passage number {n}"}}\n' for n in range(10))
    )
    told = {
        "name": "faq", "data": str(file), "converter": "pairs", "task": "question answering",
        "columns": {"query": "q", "positive": "p"}, "rate": 0.4,
    }  # fmt: skip
    read = read_source(SourceSettings.model_validate(told), seed=7)
    (made,) = source_query_pairs({"faq": read}, AdaptSettings(sources=[told]))
    assert made.height == 4
    assert set(made["kind"]) == {"question answering"}
    assert set(made["source"]) == {"faq"}
