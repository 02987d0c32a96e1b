"""Values in the encoding portable-json/1 (protos/portable-json), looked into without building objects of their tags.

Read, a value is plain data in which whatever is tagged is a `Tag`: the JSON as it came, which is written again as it
came. Nothing within a tag is looked at before a rule has to.
"""

import base64
import json
import math
import re
from dataclasses import dataclass
from itertools import chain
from typing import Any

from checkpointd.engine.state.errors import Opaque

ENCODING = "portable-json/1"

DEEPEST = 250
"""Levels of arrays and objects within each other that a value may have."""

MARK = "$"
"""The key that makes an object a tagged value."""

_MEMBERS = frozenset((MARK, "v"))

# Digits of a whole number that may be beyond a 64-bit float's range.
_LONG = 308

_INTEGER = re.compile(r"-?[1-9][0-9]{0,3999}|0")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NO_NUMBERS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged value, as its JSON."""

    json: dict[str, Any]

    __hash__ = None  # type: ignore[assignment]  # it holds a dict

    @property
    def name(self) -> Any:
        """What it is tagged as: a text, unless nobody knows what it is."""
        return self.json[MARK]

    def content(self, name: str) -> Any:
        """The JSON in it when it has this tag and no members beside its content; None otherwise."""
        return self.json.get("v") if self.name == name and self.json.keys() <= _MEMBERS else None


def loads(data: bytes) -> Any:
    """Plain data and Tags. Raises Opaque for bytes that are not portable-json/1."""
    try:
        text = data.decode()
        found = _DECODER.decode(text)
    except (ValueError, RecursionError) as problem:
        said = problem.args[0] if isinstance(problem, _Refused) else "is not JSON"
        raise Opaque(f"{said}, though its encoding {ENCODING} says so") from None
    check_depth(found)
    # A value without the key is nothing but plain data. It can be written as an escape too.
    return read(found) if MARK in text or "\\u0024" in text else found


class _Refused(ValueError):
    """Python's parser takes it and this encoding does not."""


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        raise _Refused("is JSON that has the same key twice in one object")
    return made


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Refused("is JSON with a number beyond the range of a 64-bit float")
    return number


def _int(text: str) -> int:
    if len(text) > _LONG:
        _float(text)
    return int(text)


def _constant(name: str) -> Any:
    raise _Refused(f"is JSON with {name} in it")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)


def check_depth(found: Any) -> None:
    """Raise Opaque for JSON that is nested too deeply."""
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(DEEPEST):
        within = chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level)
        level = [one for one in within if isinstance(one, dict | list)]
        if not level:
            return
    raise Opaque(f"is nested more than {DEEPEST} levels deep, which {ENCODING} can't hold")


def read(found: Any) -> Any:
    """Data of parsed JSON, such as the content of a Tag."""
    if isinstance(found, dict):
        if MARK in found:
            return Tag(found)
        return {key: read(one) if isinstance(one, dict | list) else one for key, one in found.items()}
    if isinstance(found, list):
        return [read(one) if isinstance(one, dict | list) else one for one in found]
    return found


def plain(data: Any) -> Any:
    """What a Tag stands for where that is plain data: null, a number, bytes, an object. Anything else as it is."""
    if not isinstance(data, Tag):
        return data
    if data.name == "undef":
        return None if len(data.json) == 1 else data
    made: Any = data
    match data.name, data.content(str(data.name)):
        case "obj", dict(members):
            made = {key: read(one) for key, one in members.items()}
        case "int", str(digits) if _INTEGER.fullmatch(digits):
            made = int(digits)
        case "float", str(number):
            made = _number(data, number)
        case "bytes", str(text):
            made = _bytes(data, text)
        case "map", list(pairs):
            made = _map(data, pairs)
    return made


def _number(data: Tag, text: str) -> Any:
    if text in _NO_NUMBERS:
        return float(_NO_NUMBERS[text])
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else data


def _bytes(data: Tag, text: str) -> Any:
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        return data
    return found if base64.b64encode(found).decode() == text else data


def _map(data: Tag, pairs: list[Any]) -> Any:
    made: dict[Any, Any] = {}
    for pair in pairs:
        match pair:
            case [key, value]:
                key = plain(read(key))
                if isinstance(key, Tag | dict | list):
                    return data
                made[key] = read(value)
            case _:
                return data
    return made if len(made) == len(pairs) else data
