"""From a value to its text.

orjson walks the value and asks for what it can't write, which is fast; afterwards it is looked whether all it wrote by
itself was right. It was not when the value holds a dict with the key `"$"`, an enum, a UUID or a float that is not
finite, and it gives up at whole numbers beyond 53 bits, lone surrogates and keys that are no strings: then the value is
walked here, exactly.
"""

import json
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

import orjson
import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.langgraph.portable import constructs, messages, scalars
from checkpointd.client.langgraph.portable.opaque import opaque_form
from checkpointd.client.langgraph.portable.scalars import MAX_SAFE, Form
from checkpointd.client.langgraph.portable.tagged import Tagged
from checkpointd.client.langgraph.portable.text import MAX_DEPTH, TooDeep, deeper_than, write

_WRITE = scalars.WRITE | messages.WRITE | constructs.WRITE
_WITH_MEMBERS = {"msg", *constructs.WITH_MEMBERS}

_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_STRICT_INTEGER
)
_LOOKING = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
# How msgpack begins a float whose exponent is the greatest: those that are not finite, and the very large.
_NOT_FINITE = (b"\xcb\x7f", b"\xcb\xff")


def encode(value: object, native: SerializerProtocol) -> bytes:
    """The text of a value.

    Raises TooDeep when it nests deeper than the encoding allows or contains itself, NotOpaque when an object in it
    can't be carried, ValueError for whole numbers of more than 4000 digits, and what the native serialiser raises.
    """
    data = _encoded(value, native)
    return _Exact(native).encoded(value) if data is None else data


def _flat(value: object) -> Any:
    """What a value is written as that is one of a plain type's subclasses; None when it is none.

    LangGraph's serialiser does not keep these classes either.
    """
    if value.__class__ in _WRITE:
        return None
    if isinstance(value, str | int | float | list | dict) and not isinstance(value, Enum):
        plain: Any = next(plain for plain in (str, int, float, list, dict) if isinstance(value, plain))
        return plain.__str__(value) if plain is str else plain(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, tuple) and not hasattr(value, "_asdict"):
        return list(value)
    return None


def _form(value: Any, native: SerializerProtocol) -> Form:
    """The tag and content of a value that is not plain."""
    write = _WRITE.get(value.__class__)
    if write is not None and (form := write(value)) is not None:
        return form
    if isinstance(value, datetime):
        return scalars.datetime_form(value)
    if isinstance(value, BaseException) and not is_dataclass(value):
        return constructs.error_form(value)
    return opaque_form(value, native)


def _encoded(value: object, native: SerializerProtocol) -> bytes | None:
    """The text as orjson writes it; None when that would not be right, or raises."""
    forms: list[Form] = []
    flat_ones: list[Any] = []
    carried: list[str] = []
    find, keep = _WRITE.get, forms.append

    def hook(value: Any) -> Any:
        write = find(value.__class__)
        if write is not None:
            form = write(value)
            if form is not None:
                keep(form)
                return form
        if value.__class__ is Tagged:
            carried.append(value.json)
            return orjson.Fragment(value.json)
        if (flat := _flat(value)) is not None:
            flat_ones.append(flat)
            return flat
        form = _form(value, native)
        keep(form)
        return form

    asked: list[Any] = []
    try:
        # As `text.write` counts levels.
        data = orjson.dumps([[[[value]]]], default=hook, option=_OPTIONS)[4:-4]
        # Asks for all that orjson asked for, and for what orjson writes without asking.
        seen = ormsgpack.packb([value, forms, flat_ones], default=asked.append, option=_LOOKING)
    except (TypeError, ValueError):
        return None
    tags = len(forms) + sum(text.count('"$":') for text in carried)
    # The character alone is found faster.
    right = (
        (data.count(b"$") == tags or data.count(b'"$":') == tags)
        and not any(cls is UUID or issubclass(cls, Enum) for cls in set(map(type, asked)))
        and not (b"null" in data and b"\xcb" in seen and any(start in seen for start in _NOT_FINITE))
        and not (carried and _is_too_deep(data))
    )
    return data if right else None


class _Exact:
    """Walks a value itself."""

    def __init__(self, native: SerializerProtocol) -> None:
        self._native = native

    def encoded(self, value: object) -> bytes:
        data = write(self._tree(value, MAX_DEPTH))
        # Of what a Tagged carries the levels have not been counted yet.
        if _is_too_deep(data):
            raise TooDeep(f"the value nests deeper than {MAX_DEPTH} levels")
        return data

    def _tree(self, value: Any, levels: int) -> Any:  # noqa: PLR0911 - the commonest first
        cls = value.__class__
        if value is None or cls is str or cls is bool:
            return value
        if cls is int and -MAX_SAFE <= value <= MAX_SAFE:
            return value
        if cls is float and isfinite(value):
            return value
        if levels <= 0:
            raise TooDeep(f"the value nests deeper than {MAX_DEPTH} levels")
        if cls is dict:
            return self._object(value, levels)
        if cls is list or cls is tuple:
            items = []
            for item in value:
                items.append(self._tree(item, levels - 1))  # noqa: PERF401 - a comprehension is one more stack frame
            return items
        if cls is set or cls is frozenset:
            return self._tagged(_set_form(value), levels)
        if cls is Tagged:
            return orjson.Fragment(value.json)
        if cls is int:
            return scalars.int_form(value)
        if cls is float:
            return scalars.float_form(value)
        if (flat := _flat(value)) is not None:
            return self._tree(flat, levels)
        return self._tagged(_form(value, self._native), levels)

    def _object(self, value: dict[Any, Any], levels: int) -> Any:
        for key in value:
            if not isinstance(key, str) or isinstance(key, Enum):
                return self._tagged({"$": "map", "v": list(value.items())}, levels)
        escaped = "$" in value
        tree = {}
        for key, item in value.items():
            tree[str.__str__(key)] = self._tree(item, levels - 1 - escaped)
        return {"$": "obj", "v": tree} if escaped else tree

    def _tagged(self, form: Form, levels: int) -> Form:
        content = form["v"]
        if form["$"] == "opaque":
            return form
        if form["$"] not in _WITH_MEMBERS:
            return form | {"v": self._tree(content, levels - 1)}
        return form | {"v": {name: self._tree(member, levels - 2) for name, member in content.items()}}


def _set_form(members: set[Any] | frozenset[Any]) -> Form:
    try:
        content = sorted(members)  # so that a set of text is the same bytes in every process
    except TypeError:
        content = list(members)
    form: Form = {"$": "set", "v": content}
    return form | {"frozen": True} if isinstance(members, frozenset) else form


def _is_too_deep(data: bytes) -> bool:
    try:
        return deeper_than(json.loads(data), MAX_DEPTH)
    except RecursionError:
        return True


_WRITE |= {set: _set_form, frozenset: _set_form}
