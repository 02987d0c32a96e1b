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
    data = _Fast(native).encoded(value)
    return _Exact(native).encoded(value) if data is None else data


class _Writing:
    """What both ways of writing ask for."""

    def __init__(self, native: SerializerProtocol) -> None:
        self.native = native

    def flat(self, value: object) -> Any:
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

    def form(self, value: Any) -> Form:
        """The tag and content of a value that is not plain."""
        write = _WRITE.get(value.__class__)
        if write is not None and (form := write(value)) is not None:
            return form
        if isinstance(value, datetime):
            return scalars.datetime_form(value)
        if isinstance(value, BaseException) and not is_dataclass(value):
            return constructs.error_form(value)
        return opaque_form(value, self.native)


class _Fast(_Writing):
    def __init__(self, native: SerializerProtocol) -> None:
        super().__init__(native)
        self._forms: list[Any] = []
        self._flat: list[Any] = []
        self._carried: list[str] = []

    def encoded(self, value: object) -> bytes | None:
        """The text; None when it would not be right, or would raise."""
        try:
            # As `text.write` counts levels.
            data = orjson.dumps([[[[value]]]], default=self._hook, option=_OPTIONS)[4:-4]
            # Stops at what orjson writes without asking.
            seen = ormsgpack.packb([value, self._forms, self._flat], default=_asked, option=_LOOKING)
        except (TypeError, ValueError):
            return None
        tags = len(self._forms) + sum(text.count('"$":') for text in self._carried)
        if data.count(b'"$":') != tags:
            return None
        if b"null" in data and any(start in seen for start in _NOT_FINITE):
            return None
        return None if self._carried and _is_too_deep(data) else data

    def _hook(self, value: Any) -> Any:
        write = _WRITE.get(value.__class__)
        if write is not None and (form := write(value)) is not None:
            self._forms.append(form)
            return form
        if value.__class__ is Tagged:
            self._carried.append(value.json)
            return orjson.Fragment(value.json)
        if (flat := self.flat(value)) is not None:
            self._flat.append(flat)
            return flat
        form = self.form(value)
        self._forms.append(form)
        return form


def _asked(value: object) -> None:
    if value.__class__ is UUID or isinstance(value, Enum):
        raise TypeError


class _Exact(_Writing):
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
        if (flat := self.flat(value)) is not None:
            return self._tree(flat, levels)
        return self._tagged(self.form(value), levels)

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
        content = sorted(members)  # the same set is the same bytes in every process
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
