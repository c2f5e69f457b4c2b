"""What a test of a fault saw, for the table of docs/faults.md."""

from collections.abc import Callable

Observe = Callable[[str, object], None]
