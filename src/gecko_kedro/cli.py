"""The project's ``kedro run``: bad input ends in one readable line, not in a traceback."""

import errno
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from gecko_kedro.base.errors import InputError, write_error

_FILTERS = ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@click.group(name=__package__)
def cli() -> None:
    """Commands of this project."""


def _run(dry_run: bool, **options: Any) -> Any:
    from gecko_kedro.training.followers import leading

    if dry_run:
        return _readably(_show_plan, options)
    with leading() as runs:  # under torchrun the first process runs, the others train along
        return _readably(_run_pipelines, options) if runs else None


def _run_pipelines(**options: Any) -> Any:
    return click.get_current_context().invoke(kedro_run, **options)


def _show_plan(**options: Any) -> None:
    """Print what a run with these options would do, and why."""
    from kedro.framework.context import KedroContext
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession
    from kedro.pipeline import Pipeline

    from gecko_kedro.hooks.checks import prepare
    from gecko_kedro.hooks.lock import data_folder

    given = options["pipelines"] or [options["pipeline"] or "__default__"]
    pipelines.set_requested(given)
    how = {"env": options["env"], "conf_source": options["conf_source"]}
    with KedroSession.create(**how, runtime_params=options["params"]) as session:
        context: KedroContext = session.load_context()  # type: ignore[attr-defined]
        whole = sum((_known(pipelines, name) for name in given), Pipeline([]))
        chosen = whole.filter(
            **{name: options[name] or None for name in _FILTERS},
            node_namespaces=options["namespaces"] or None,
        )
        only_missing = options["only_missing_outputs"]
        _, plan, _ = prepare(chosen, context.catalog, data_folder(context), only_missing)
    click.echo(plan.table())


def _known(pipelines: Mapping[str, Any], name: str) -> Any:
    try:
        return pipelines[name]
    except KeyError as error:
        raise InputError(
            "--pipelines",
            expected="names of pipelines",
            got=name,
            fix="`kedro registry list` shows them.",
        ) from error


def _readably(command: Callable[..., Any], options: dict[str, Any]) -> Any:
    try:
        return command(**options)
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


_DRY_RUN = click.Option(
    ["--dry-run"], is_flag=True, help="Show which nodes would run, why and how long; do nothing."
)
run = click.Command("run", params=[*kedro_run.params, _DRY_RUN], callback=_run, help=kedro_run.help)
cli.add_command(run)
