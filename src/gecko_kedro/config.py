"""A config loader whose catalog can read parameters: ``source: ${params:corpus.source}``."""

import warnings
from glob import escape
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf
from pydantic import ValidationError

from gecko_kedro.base.errors import InputError

# Kedro 1.7 calls a name that omegaconf 2.4 has deprecated: four lines a run, nobody's to act on.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\)", category=UserWarning)


class _Folder(LocalFileSystem):  # type: ignore[misc]
    """Local files whose ``glob`` takes ``folder`` literally.

    Kedro makes the folder of the configuration part of a pattern, so that brackets in the path of a
    project would match nothing.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(skip_instance_cache=True)
        self._folder = folder

    def glob(self, path: str, **kwargs: Any) -> Any:
        return super().glob(path.replace(self._folder, escape(self._folder), 1), **kwargs)


class ParameterAwareConfigLoader(OmegaConfigLoader):
    """OmegaConfigLoader with two more resolvers, ``params`` and ``conf``.

    What a dataset reads (which corpus, which query log) is a parameter like any other: set in YAML,
    by environment or with ``--params``. Kedro's own ``runtime_params`` resolver would see only the
    last of the three. ``${conf:prompts/gecko.yml}`` is a file of the configuration, wherever that
    lies: a packaged project may be run from any folder.
    """

    @staticmethod
    def _initialise_filesystem_and_protocol(conf_source: str) -> tuple[Any, str]:
        files, protocol = OmegaConfigLoader._initialise_filesystem_and_protocol(conf_source)
        return (_Folder(Path(conf_source).as_posix()) if protocol == "file" else files), protocol

    def _file(self, path: str) -> str:
        if self._protocol != "file":
            raise InputError(
                f"--conf-source {self.conf_source}",
                expected="a folder: the prompts in it are read as files",
                got=f"an archive or address ({self._protocol})",
                fix="Unpack it and give the folder.",
            )
        return (Path(self.conf_source).absolute() / path).as_posix()

    def __getitem__(self, key: str) -> Any:
        # Resolvers are the process's: those of another loader, of a session before, give way.
        for name, resolver in (("params", self._parameter), ("conf", self._file)):
            OmegaConf.register_new_resolver(name, resolver, replace=True)
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
    """``parameters`` with what depends on another block, or on this machine.

    ``teacher.backend: auto`` becomes the embedded language model or, without its package, the
    lexical stand-in; ``relabel.rankers: null`` and ``relabel.fuse.method: auto`` what suits the
    teacher, ``evaluate.tasks: null`` what suits the corpus.
    """
    from gecko_kedro.corpus.settings import PYTHON_DOCS
    from gecko_kedro.evaluation.tasks.settings import tasks_for

    evaluate, corpus = parameters.get("evaluate"), parameters.get("corpus")
    filled = parameters | _for_the_teacher(parameters.get("teacher"), parameters.get("relabel"))
    # A block that is no block is left to check_parameters, which says what is wrong.
    if isinstance(evaluate, dict) and isinstance(corpus, dict):
        is_python_docs = corpus.get("source", PYTHON_DOCS) == PYTHON_DOCS
        tasks = tasks_for(evaluate.get("tasks"), is_python_docs=is_python_docs)
        filled["evaluate"] = evaluate | {"tasks": tasks}
    return filled


def _for_the_teacher(told: Any, relabel: Any) -> dict[str, Any]:
    from gecko_kedro.fret.settings import fusion_for, rankers_for
    from gecko_kedro.teacher import TeacherSettings
    from gecko_kedro.teacher.embedded import embedded_or_lexical

    if not isinstance(relabel, dict) or not isinstance(told, dict):
        return {}
    if told.get("backend") == "auto":
        told = told | {"backend": embedded_or_lexical()}
    try:
        teacher = TeacherSettings.model_validate(told)
    except ValidationError:
        return {}
    filled = relabel | {"rankers": rankers_for(relabel.get("rankers"), teacher)}
    if isinstance(fuse := relabel.get("fuse"), dict):
        filled |= {"fuse": fusion_for(fuse, teacher)}
    return {"teacher": told, "relabel": filled}
