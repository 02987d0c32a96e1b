"""What is made at random, told apart from what is not: ids and versions that two equal threads have different."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

# UUIDs, of checkpoints, tasks and messages; and 128 bits in hexadecimal, of interrupts. Not the number of a version.
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f.])"
_TEXT = re.compile(_ID)
_DATA = re.compile(_ID.encode())


class Names:
    """Gives ids and versions that were not there before names by the order in which they are met.

    Two threads that were treated alike give the same names. Where one repeats an id and the other has a new one, the
    names differ.
    """

    def __init__(self, thread_id: str, known: Iterable[str] = ()) -> None:
        """`known` are ids and versions that stay as they are, for they were there before the threads parted."""
        self._thread_id = thread_id
        self._names: dict[str, str] = {one: one for one in known}
        self.met: set[str] = set()

    def text(self, text: str) -> str:
        return "<thread>" if text == self._thread_id else _TEXT.sub(lambda found: self._name(found[0], "id"), text)

    def data(self, data: bytes) -> bytes:
        # As long as before, so that serialised data stays what it is.
        return _DATA.sub(lambda found: self._name(found[0].decode(), "id").ljust(len(found[0])).encode(), data)

    def version(self, version: str) -> str:
        """A version: its number, and which of those with this number it is."""
        number = version.split(".", maxsplit=1)[0]
        return self._name(version, f"version {int(number) if number.isdecimal() else number}")

    def is_known(self, one: str) -> bool:
        """Whether it was there before."""
        return self._names.get(one) == one

    def _name(self, one: str, kind: str) -> str:
        self.met.add(one)
        return self._names.setdefault(one, f"<{kind} #{len(self._names)}>")

    def plain(self, value: Any) -> Any:  # noqa: PLR0911 (one line a kind)
        """Any value as plain data that tells all of it and its classes, with ids by name."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, dict):
            return {self.plain(key): self.plain(part) for key, part in value.items()}
        if isinstance(value, set | frozenset):
            return (type(value).__name__, sorted((self.plain(part) for part in value), key=repr))
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return (type(value).__name__, {name: self.plain(getattr(value, name)) for name in value._fields})
        if isinstance(value, list | tuple):
            return type(value)(self.plain(part) for part in value)
        if isinstance(value, BaseModel):
            return (type(value).__name__, self.plain(dict(value)))
        if is_dataclass(value) and not isinstance(value, type):
            return (type(value).__name__, {one.name: self.plain(getattr(value, one.name)) for one in fields(value)})
        if isinstance(value, Exception):
            return (type(value).__name__, self.text(str(value)))
        return self.text(repr(value))
