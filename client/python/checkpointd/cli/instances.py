"""What decoded data is made of beside plain data."""

from dataclasses import dataclass
from typing import Any

# Far deeper than any state, and far from where Python's own stack ends.
DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of some class: what it is made from, by name (a dict), in order (a list), or one thing in a list."""

    class_name: str
    """With its module."""

    parts: dict[Any, Any] | list[Any]

    __hash__ = None  # type: ignore[assignment]  # what can't be the key of a map says so at once

    @property
    def short_name(self) -> str:
        """Without its module."""
        return self.class_name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that can't be looked into."""

    encoding: str
    data: bytes

    def __str__(self) -> str:
        return f"<{self.encoding}, {len(self.data)} bytes>"
