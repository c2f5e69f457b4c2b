"""The one error for bad input: it says where, what was expected, what came and what to do."""

_LONGEST_VALUE = 200


class InputError(ValueError):
    """Input from outside (a file, a parameter, a reply) that cannot be used.

    The message always has the four parts. ``got`` is shown with ``repr`` and cut to 200 characters;
    a sentence of our own that says what is missing ("no such file") is shown as it is.
    """

    def __init__(self, where: str, *, expected: str, got: object, fix: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {_shown(got)}. {fix}")
        self.where, self.expected, self.got, self.fix = where, expected, got, fix


def _shown(value: object) -> str:
    if isinstance(value, str) and value.startswith("no "):
        return value
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
