"""Parts of a run: what is reported inside belongs to them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from gecko_kedro.base import events


def test_a_part_surrounds_what_is_emitted_in_it() -> None:
    seen: list[object] = []

    @contextmanager
    def listener(name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        seen.append(("begin", name, dict(parameters)))
        yield
        seen.append(("end", name))

    stop = events.subscribe_parts(listener)
    with (
        events.listening(lambda name, step, values: seen.append((name, step, dict(values)))),
        events.part("row", {"a": 1}),
    ):
        events.emit("loss", 3, {"x": 0.5})
    stop()
    with events.part("another", {}):
        pass
    assert seen == [("begin", "row", {"a": 1}), ("loss", 3, {"x": 0.5}), ("end", "row")]


def test_a_listener_learns_of_an_error_in_its_part() -> None:
    seen: list[BaseException] = []

    @contextmanager
    def listener(name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            seen.append(error)
            raise

    stop = events.subscribe_parts(listener)
    with pytest.raises(ValueError, match="lost"), events.part("row", {}):
        raise ValueError("lost")
    stop()
    assert len(seen) == 1
