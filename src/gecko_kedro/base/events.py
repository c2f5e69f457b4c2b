"""A tiny publish and subscribe, so that the library can report numbers without knowing MLflow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

Listener = Callable[[str, int, Mapping[str, float]], None]
PartListener = Callable[[str, Mapping[str, Any]], AbstractContextManager[None]]
_listeners: list[Listener] = []
_part_listeners: list[PartListener] = []


def emit(name: str, step: int, values: Mapping[str, float]) -> None:
    """Report ``values`` of the activity ``name`` (such as ``"finetune"``) at ``step``."""
    for listener in tuple(_listeners):
        listener(name, step, values)


def subscribe(listener: Listener) -> Callable[[], None]:
    """Call ``listener(name, step, values)`` at each ``emit``; the returned function ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener) if listener in _listeners else None


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """``subscribe`` for the length of a ``with`` block."""
    stop = subscribe(listener)
    try:
        yield
    finally:
        stop()


@contextmanager
def part(name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
    """What is emitted in the ``with`` block belongs to this part of the run, with its parameters.

    Such as one row of an ablation. An exception passes through the listeners' own blocks.
    """
    with ExitStack() as stack:
        for listener in tuple(_part_listeners):
            stack.enter_context(listener(name, parameters))
        yield


def subscribe_parts(listener: PartListener) -> Callable[[], None]:
    """Enter ``listener(name, parameters)`` around each part; the returned function ends that."""
    _part_listeners.append(listener)
    return lambda: _part_listeners.remove(listener) if listener in _part_listeners else None
