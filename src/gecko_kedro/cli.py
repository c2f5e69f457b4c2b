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


@cli.command("forget-replies")
@click.option("--env", "-e", help="The environment, as of kedro run.")
@click.option(
    "--stage", required=True, type=click.Choice(["synthesize", "query_likelihood", "relevance"])
)
@click.option("--reason", multiple=True, help="Of synthesize: empty, unparsable, copy, ...")
def forget_replies(env: str | None, stage: Any, reason: tuple[str, ...]) -> None:
    """Drop stored replies of the teacher: the next run asks for them anew."""
    from kedro.framework.session import KedroSession

    from gecko_kedro.forgetting import forget_replies as forget

    session: Any = KedroSession.create(env=env)
    with session:
        replies, shards = forget(session.load_context().catalog, stage, reason)
    click.echo(f"Dropped {replies} replies and {shards} shards; run again to ask for them anew.")


run = click.Command("run", params=kedro_run.params, callback=_run, help=kedro_run.help)
cli.add_command(run)
