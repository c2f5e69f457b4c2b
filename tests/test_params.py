"""Parameters: what is wrong is said before any work, with the nearest right name."""

import copy
import re
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from kedro.validation import ParameterValidator
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from gecko_kedro.base.errors import InputError
from gecko_kedro.config import ParameterAwareConfigLoader
from gecko_kedro.params import RENAMED, Parameters, check_parameters
from gecko_kedro.pipeline_registry import register_pipelines
from gecko_kedro.retrieval import SearchSettings
from tests.support.conf import all_base_parameters, raw_base_parameters

CONF = Path(__file__).parents[1] / "conf"


def load(environment: str) -> dict[str, Any]:
    loader = ParameterAwareConfigLoader(
        str(CONF), env=environment, base_env="base", merge_strategy={"parameters": "soft"}
    )
    return copy.deepcopy(dict(loader["parameters"]))


@pytest.fixture
def parameters() -> dict[str, Any]:
    return load("local")


def complaint(parameters: dict[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        check_parameters(parameters)
    return str(error.value)


def test_what_the_project_ships_is_valid(parameters: dict[str, Any]) -> None:
    assert isinstance(check_parameters(parameters), Parameters)


def test_kedro_can_make_the_settings_that_the_nodes_take(parameters: dict[str, Any]) -> None:
    """It refuses settings inside settings: who takes a whole block takes it as a mapping."""
    made = ParameterValidator(register_pipelines()).validate_raw_params(parameters)
    assert isinstance(made["mine"]["search"], SearchSettings)


def test_every_node_sees_the_task_that_is_filled_in(parameters: dict[str, Any]) -> None:
    (task,) = parameters["evaluate"]["tasks"]
    assert task == {"name": "stdlib-questions", "type": "Retrieval", "path": "python-stdlib"}
    assert load("test")["evaluate"]["tasks"] == []


def test_the_papers_scale_names_its_sets() -> None:
    parameters = check_parameters(load("gecko-1b"))
    names = {source.name for source in parameters.finetune.sources}
    assert names >= {"nq", "hotpotqa", "fever", "medmcqa", "snli", "mnli", "miracl_en"}
    assert parameters.encoder.load.width == 768
    assert parameters.teacher.backend == "vllm"
    assert parameters.relabel.rankers == ["query_likelihood", "relevance"]
    assert parameters.finetune.train.loss.matryoshka_dims == (256,)


def test_distillation_needs_the_texts_of_the_candidates(parameters: dict[str, Any]) -> None:
    parameters["finetune"]["train"]["loss"]["distillation"] = 0.5
    assert "needs candidate_passages" in complaint(parameters)
    parameters["finetune"]["candidate_passages"] = "passages.parquet"
    check_parameters(parameters)


def test_two_sets_of_one_name_are_refused(parameters: dict[str, Any]) -> None:
    parameters["finetune"]["sources"] = [
        {"name": "fret", "data": "a.csv", "converter": "pairs", "columns": {}, "task": "t"}
    ]
    assert "a name of its own" in complaint(parameters)


@pytest.mark.parametrize("name", ["heldout", "support"])
def test_a_task_with_the_name_of_another_is_told_before_training(
    parameters: dict[str, Any], name: str
) -> None:
    parameters["evaluate"]["data"] = "data/support"
    parameters["evaluate"]["tasks"] = [{"name": name, "type": "STS", "path": "a"}]
    assert name in complaint(parameters)
    parameters["evaluate"]["tasks"][0]["name"] = "another"
    check_parameters(parameters)


def test_an_unknown_name_is_answered_with_the_nearest_one(parameters: dict[str, Any]) -> None:
    parameters["mine"]["search"]["n_candidate"] = 20
    assert "Did you mean mine.search.n_candidates?" in complaint(parameters)


def test_a_name_without_its_block_is_found_in_it(parameters: dict[str, Any]) -> None:
    parameters["relabel"]["wieghts"] = {}
    assert "Did you mean relabel.fuse.weights?" in complaint(parameters)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_answered_with_the_new_one(
    parameters: dict[str, Any], old: str, new: str
) -> None:
    *blocks, name = old.split(".")
    block = parameters
    for part in blocks:
        block = block[part]
    block[name] = 1
    assert f"{old} is now {new}" in complaint(parameters)


def test_an_old_name_in_an_override_is_answered_with_the_new_one(
    parameters: dict[str, Any],
) -> None:
    definitions = parameters["ablate"]["definitions"]
    definitions["seed_none"]["overrides"] = {"relabel.positive": "seed"}
    assert "relabel.positive is now relabel.choose.positive" in complaint(parameters)


def names_of(block: Any, prefix: str = "") -> set[str]:
    fields = dict(block) if isinstance(block, BaseModel | dict) else {}
    return {prefix}.union(*(names_of(fields[name], f"{prefix}.{name}") for name in fields))


def test_every_new_name_is_one_that_exists(parameters: dict[str, Any]) -> None:
    known = {name.removeprefix(".") for name in names_of(check_parameters(parameters))}
    for new in RENAMED.values():
        assert set(re.findall(r"\w+(?:\.\w+)+", new)) <= known


def settings_of(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """All fields that have a default, outermost first: settings whole, and what is beside them."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        if not field.is_required():
            found[f"{prefix}{name}"] = field
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= settings_of(field.annotation, f"{prefix}{name}.")
    return found


DEFAULTS = settings_of(Parameters)


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_those_of_conf_base(name: str) -> None:
    given = raw_base_parameters()
    for block, filled in (("relabel", "rankers"), ("evaluate", "tasks")):
        given[block][filled] = all_base_parameters()[block][filled]
    value = reduce(getitem, name.split("."), given)
    field = DEFAULTS[name]
    assert field.default == TypeAdapter(field.annotation).validate_python(value)


# These list what differs from a block that is complete.
SHORT = (
    "mine.train.",
    "relabel.fuse.weights.",
    "pretrain.train.",
    "parity.load.",
    "ablate.definitions.",
)


def test_conf_base_lists_everything_that_can_be_set(parameters: dict[str, Any]) -> None:
    listed = {name.removeprefix(".") for name in names_of(all_base_parameters())}
    known = {name.removeprefix(".") for name in names_of(check_parameters(parameters))}
    assert {name for name in known - listed if not name.startswith(SHORT)} == set()


def test_an_unknown_pipeline_is_answered_with_the_nearest_one(parameters: dict[str, Any]) -> None:
    parameters["finetun"] = {}
    assert "Did you mean finetune?" in complaint(parameters)


def test_a_name_deep_down_is_found_too(parameters: dict[str, Any]) -> None:
    parameters["finetune"]["train"]["learnig_rate"] = 1e-5
    assert "Did you mean finetune.train.learning_rate?" in complaint(parameters)


def test_a_value_out_of_bounds_is_shown(parameters: dict[str, Any]) -> None:
    parameters["synthesize"]["write"]["temperature"] = -1
    assert "synthesize.write.temperature = -1" in complaint(parameters)


def test_all_mistakes_are_told_at_once(parameters: dict[str, Any]) -> None:
    parameters["relabel"]["fuse"]["k"] = "none"
    parameters["mine"]["search"]["n_candidates"] = 0
    text = complaint(parameters)
    assert "relabel.fuse.k" in text
    assert "mine.search.n_candidates" in text


@pytest.mark.parametrize(
    ("profile", "backend"),
    [
        ("test", "lexical"), ("ray", "lexical"), ("gecko-1b", "vllm"),
        ("llm-cpu", "transformers"), ("llm-gpu", "vllm"), ("llm-api", "http"),
    ],
)  # fmt: skip
def test_every_profile_is_valid(profile: str, backend: str) -> None:
    loader = ParameterAwareConfigLoader(
        str(CONF), base_env="base", default_run_env=profile, merge_strategy={"parameters": "soft"}
    )
    checked = check_parameters(loader["parameters"])
    assert checked.teacher.backend == backend
    assert checked.engine.kind == ("ray" if profile == "ray" else "local")
    if profile.startswith("llm-") or profile == "gecko-1b":
        assert checked.relabel.rankers == ["query_likelihood", "relevance"]
        assert checked.teacher.model.max_new_tokens > 0  # what a profile leaves out is base's
        assert loader["globals"]["data"] == f"data/{profile}"


def test_a_secret_in_the_teachers_address_is_not_shown(parameters: dict[str, Any]) -> None:
    parameters["teacher"]["http"]["base_url"] = "https://user:canary@host/v1"
    text = complaint(parameters)
    assert "api_key_env" in text
    assert "canary" not in text


def test_adapters_are_off_and_can_be_switched_on(parameters: dict[str, Any]) -> None:
    assert check_parameters(parameters).encoder.train.lora is None
    parameters["encoder"]["train"]["lora"] = {
        "rank": 16, "alpha": 32, "dropout": 0.1, "target_modules": ["query", "value"],
    }  # fmt: skip
    lora = check_parameters(parameters).encoder.train.lora
    assert lora is not None
    assert lora.target_modules == ("query", "value")
    parameters["encoder"]["train"]["lora"] |= {"rank": 0}
    assert "encoder.train.lora.rank" in complaint(parameters)


def test_an_unknown_ablation_row_is_answered_with_those_there_are(
    parameters: dict[str, Any],
) -> None:
    parameters["ablate"]["rows"] = ["recipe", "seed_nun"]
    text = complaint(parameters)
    assert "seed_nun" in text
    assert "seed_none" in text


def test_an_override_of_an_ablation_that_does_not_exist_is_refused(
    parameters: dict[str, Any],
) -> None:
    definitions = parameters["ablate"]["definitions"]
    definitions["seed_none"]["overrides"] = {"relabel.choose.positiv": "seed"}
    text = complaint(parameters)
    assert "ablate.definitions.seed_none.overrides" in text
    assert "Did you mean positive?" in text


def test_an_override_out_of_bounds_is_refused(parameters: dict[str, Any]) -> None:
    definitions = parameters["ablate"]["definitions"]
    definitions["seed_none"]["overrides"] = {"relabel.choose.positive": "best"}
    assert "relabel.choose.positive = 'best'" in complaint(parameters)


def test_a_reference_that_has_one_itself_is_refused(parameters: dict[str, Any]) -> None:
    parameters["ablate"]["definitions"]["recipe"]["reference"] = "fused"
    assert "no reference itself" in complaint(parameters)


def test_a_row_brings_the_one_it_is_set_against(parameters: dict[str, Any]) -> None:
    parameters["ablate"]["rows"] = "fret_25+relevance"  # as --params writes it
    chosen = check_parameters(parameters).ablate.chosen()
    assert list(chosen) == ["fret_100", "fret_25", "fused", "relevance"]


def test_all_ablations_are_all_that_are_defined(parameters: dict[str, Any]) -> None:
    parameters["ablate"]["rows"] = "all"
    ablate = check_parameters(parameters).ablate
    assert set(ablate.chosen()) == set(ablate.definitions)


def test_table_3_stands_in_the_ablations_as_the_paper_has_it(parameters: dict[str, Any]) -> None:
    best = {"Retrieval": 53.39, "STS": 83.14}  # p_1 and p_20
    table = {
        "seed_none": {"Retrieval": 52.33, "STS": 82.66},
        "seed_sampled": {"Retrieval": 51.37, "STS": 82.00},
        "seed_last": {"Retrieval": 51.96, "STS": 82.26},
        "relabelled_none": {"Retrieval": 53.07, "STS": 82.88},
        "relabelled_sampled": {"Retrieval": 52.60, "STS": 82.85},
    }
    definitions = check_parameters(parameters).ablate.definitions
    for name, scores in table.items():
        expected = {kind: score - best[kind] for kind, score in scores.items()}
        assert definitions[name].paper == pytest.approx(expected)
        positive, negative = name.split("_")
        assert definitions[name].overrides == {
            "relabel.choose.positive": positive, "relabel.choose.negative": negative,
        }  # fmt: skip
