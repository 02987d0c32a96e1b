"""The JSON text under `portable-json/1`: read strictly, written compactly."""

import json
from typing import Any, NoReturn

import orjson

from checkpointd.client.errors import UnreadableValue

# Levels of arrays and objects.
MAX_DEPTH = 250

# orjson writes 254 levels, so of what is wrapped in these it writes MAX_DEPTH.
_OPEN, _CLOSE = 4, -4


class TooDeep(ValueError):
    """A value nests deeper than MAX_DEPTH, or contains itself."""


def parse(data: bytes) -> tuple[Any, int]:
    """What a text holds, and how many of its objects have the key `"$"` (at least none of them, if it says 0).

    What it gives is made of exact dicts, lists, strs, ints, floats, bools and None. Raises UnreadableValue when the
    text is not UTF-8, not JSON, holds a key twice in one object, a number beyond the range of floats, or nests deeper
    than MAX_DEPTH.
    """
    # orjson takes the last of two equal keys, and makes floats of great whole numbers. A text that it writes again as
    # it was has neither; and when there is an escape in a key, or too many levels, it is not written so.
    try:
        tree = orjson.loads(data)
        if orjson.dumps([[[[tree]]]])[_OPEN:_CLOSE] == data:
            return tree, data.count(b'"$":')
    except (ValueError, TypeError):
        pass  # or it holds a lone surrogate, which orjson does not take
    return _parse_slowly(data)


def _parse_slowly(data: bytes) -> tuple[Any, int]:
    tags = 0

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal tags
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("an object holds the same key twice")
        tags += "$" in made
        return made

    try:
        tree = json.loads(data.decode(), object_pairs_hook=unique, parse_float=_finite, parse_constant=_refuse_constant)
    except RecursionError:
        raise refused(f"it nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise refused(str(error)) from None
    if deeper_than(tree, MAX_DEPTH):
        raise refused(f"it nests deeper than {MAX_DEPTH} levels")
    return tree, tags


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is beyond the range of numbers")
    return number


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def refused(why: str) -> UnreadableValue:
    """The error for bytes that are not portable-json/1 at all."""
    return UnreadableValue(f"this is not portable-json/1: {why}")


def deeper_than(tree: Any, levels: int) -> bool:
    """Whether arrays and objects nest deeper than this."""
    nodes = [tree] if tree.__class__ in (dict, list) else []
    for _ in range(levels):
        if not nodes:
            return False
        nodes = [
            child
            for node in nodes
            for child in (node.values() if node.__class__ is dict else node)
            if child.__class__ in (dict, list)
        ]
    return bool(nodes)


def write(tree: Any) -> bytes:
    """The text of what is made as `parse` gives it, or holds orjson.Fragments. Raises TooDeep."""
    try:
        return orjson.dumps([[[[tree]]]])[_OPEN:_CLOSE]
    except TypeError:  # too deep, a lone surrogate, or a whole number beyond 64 bits in what a Tagged carries
        if deeper_than(tree, MAX_DEPTH):
            raise TooDeep(f"the value nests deeper than {MAX_DEPTH} levels") from None
        text = json.dumps(tree, default=_fragment, separators=(",", ":"), allow_nan=False)
        return text.encode("ascii")


def _fragment(fragment: Any) -> Any:
    return json.loads(fragment.contents)
