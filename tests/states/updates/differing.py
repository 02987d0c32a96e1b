"""Where two pieces of plain data differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.states.comparing import Tally, same
from tests.states.updates.photos import Stored

NOTHING = "<nothing>"


class Differing(NamedTuple):
    """A part that differs: the way to it, what LangGraph made, what the server made."""

    way: tuple[str | int, ...]
    expected: Any
    actual: Any

    def __str__(self) -> str:
        way = "".join(f"[{step!r}]" if isinstance(step, int) else f".{step}" for step in self.way)
        return f"{way}\n    LangGraph: {_short(self.expected)}\n    server:    {_short(self.actual)}"


def _short(value: Any, longest: int = 700) -> str:
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def differing(expected: Any, actual: Any, tally: Tally, way: tuple[str | int, ...] = ()) -> Iterator[Differing]:
    """The smallest parts that differ, in type or in value; each part that was compared is counted as a field."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in dict.fromkeys((*expected, *actual)):
            yield from differing(expected.get(key, NOTHING), actual.get(key, NOTHING), tally, (*way, str(key)))
    elif _is_list(expected) and type(expected) is type(actual):
        tally.count("fields")
        if len(expected) != len(actual):
            yield Differing((*way, "length"), len(expected), len(actual))
        for place, (one, other) in enumerate(zip(expected, actual, strict=False)):
            yield from differing(one, other, tally, (*way, place))
    else:
        tally.count("fields")
        if not same(expected, actual):
            yield Differing(way, expected, actual)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and not isinstance(value, Stored)
