"""The project's ``kedro run``: bad input ends in one readable line, not in a traceback."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from gecko_kedro.base.errors import InputError, write_error

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@click.group(name=__package__)
def cli() -> None:
    """Commands of this project."""


def _run(**options: Any) -> Any:
    from gecko_kedro.training.followers import leading

    with leading() as runs:  # under torchrun the first process runs, the others train along
        return _run_pipelines(**options) if runs else None


def _run_pipelines(**options: Any) -> Any:
    try:
        return click.get_current_context().invoke(kedro_run, **options)
    except Exception as error:
        cause = next((e for e in map(_readable, _chain(error)) if e is not None), None)
        if cause is None:
            raise
        raise click.ClickException(str(cause)) from error


def _readable(error: BaseException) -> InputError | None:
    """An InputError as it is; what a full or broken disk does to other libraries as one too."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return write_error(Path(error.filename or "."), error)
    return error if isinstance(error, InputError) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


run = click.Command("run", params=kedro_run.params, callback=_run, help=kedro_run.help)
cli.add_command(run)
