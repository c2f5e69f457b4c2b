"""A config loader whose catalog can read parameters: ``source: ${params:corpus.source}``."""

import warnings
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from gecko_kedro.base.errors import InputError

# Kedro 1.7 calls a name that omegaconf 2.4 has deprecated: four lines a run, nobody's to act on.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\)", category=UserWarning)


class ParameterAwareConfigLoader(OmegaConfigLoader):
    """OmegaConfigLoader with one more resolver, ``params``.

    What a dataset reads (which corpus, which query log) is a parameter like any other: set in YAML,
    by environment or with ``--params``. Kedro's own ``runtime_params`` resolver would see only the
    last of the three.
    """

    def __init__(self, conf_source: str, *args: Any, **kwargs: Any) -> None:
        resolvers = dict(kwargs.pop("custom_resolvers", None) or {})
        resolvers["params"] = self._parameter
        super().__init__(conf_source, *args, custom_resolvers=resolvers, **kwargs)

    def __getitem__(self, key: str) -> Any:
        found = super().__getitem__(key)
        return filled_in(found) if key == "parameters" else found

    def _parameter(self, path: str) -> Any:
        parameters = OmegaConf.create(self["parameters"])
        missing = object()
        value = OmegaConf.select(parameters, path, default=missing)
        if value is missing:
            raise InputError(
                "catalog",
                expected="the name of a parameter",
                got=path,
                fix="Correct the ${params:...} of the catalog entry.",
            )
        return value


def filled_in(parameters: dict[str, Any]) -> dict[str, Any]:
    """``parameters`` with what is null since it depends on another block: relabel.rankers."""
    from gecko_kedro.fret.settings import rankers_for

    relabel, teacher = (parameters.get(name) for name in ("relabel", "teacher"))
    if not isinstance(relabel, dict) or not isinstance(teacher, dict):
        return parameters  # check_parameters says what is wrong
    rankers = rankers_for(
        relabel.get("rankers"), is_language_model=teacher.get("backend", "lexical") != "lexical"
    )
    return parameters | {"relabel": relabel | {"rankers": rankers}}
