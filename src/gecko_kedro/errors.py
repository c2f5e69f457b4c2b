"""The one error for bad input: it says where, what was expected, what came and what to do."""

_LONGEST_VALUE = 200


class InputError(ValueError):
    """Input from outside (a file, a parameter, a reply) that cannot be used.

    The message always has the four parts; ``got`` is shown with ``repr`` and cut to 200 characters.
    """

    def __init__(self, where: str, *, expected: str, got: object, fix: str) -> None:
        shown = got if isinstance(got, str) and got.startswith("no ") else repr(got)
        shown = shown if len(shown) <= _LONGEST_VALUE else shown[:_LONGEST_VALUE] + "..."
        super().__init__(f"{where}: expected {expected}, got {shown}. {fix}")
        self.where, self.expected, self.got, self.fix = where, expected, got, fix
