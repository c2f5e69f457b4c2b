"""A tiny publish and subscribe, so that the library can report numbers without knowing MLflow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Listener = Callable[[str, int, Mapping[str, float]], None]
_listeners: list[Listener] = []


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
