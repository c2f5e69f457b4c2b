"""Shards that wait until enough of them is there to be judged."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gecko_kedro.teacher.replies import Recent

M = TypeVar("M")


def checked(
    made: Iterable[M],
    *,
    enough: Callable[[list[M]], bool],
    check: Callable[[list[M]], None],
    recent: Recent,
) -> Iterator[M]:
    """``made`` in groups that are large ``enough``, each once ``check`` has raised nothing.

    What a group that fails was made of is not finished: the next run makes it anew. The last group
    is checked as it is.
    """
    group: list[M] = []
    for one in made:
        group.append(one)
        if enough(group):
            check(group)
            recent.clear()
            yield from group
            group = []
    if group:
        check(group)
        yield from group
