"""The project's ``kedro run``: bad input ends in one readable line, not in a traceback."""

from collections.abc import Iterator
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from gecko_kedro.errors import InputError


@click.group(name=__package__)
def cli() -> None:
    """Commands of this project."""


def _run(**options: Any) -> Any:
    try:
        return click.get_current_context().invoke(kedro_run, **options)
    except Exception as error:
        cause = next((e for e in _chain(error) if isinstance(e, InputError)), None)
        if cause is None:
            raise
        raise click.ClickException(str(cause)) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


run = click.Command("run", params=kedro_run.params, callback=_run, help=kedro_run.help)
cli.add_command(run)
