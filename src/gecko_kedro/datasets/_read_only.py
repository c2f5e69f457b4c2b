"""The datasets that no node saves."""

from typing import Generic, NoReturn, TypeVar

from kedro.io.core import AbstractDataset

from gecko_kedro.base.errors import InputError, Words

T = TypeVar("T")


class ReadOnlyDataset(AbstractDataset[NoReturn, T], Generic[T]):
    """What comes from outside, or is written by other means: saving it is an error."""

    def save(self, data: NoReturn) -> None:
        raise InputError(
            str(self),
            expected="not to be the output of a node, since it is read only",
            got=Words("a node that saves it"),
            fix="Give the node another output.",
        )
