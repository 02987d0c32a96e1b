"""The encoding portable-json/1 as plain data (protos/portable-json specifies it).

What Python has a class for is an `Instance` of it, as when LangGraph's own serialiser wrote it. What is tagged in
another way than the specification says, or with a tag that it does not know, is an `Instance` of the tag's name.
"""

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any

from checkpointd.cli.instances import Instance, Opaque

ENCODING = "portable-json/1"

# Levels of arrays and objects that a value may have.
_DEEPEST = 250

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,3999}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}

_MESSAGES = {
    "human": "human.HumanMessage",
    "ai": "ai.AIMessage",
    "system": "system.SystemMessage",
    "tool": "tool.ToolMessage",
    "function": "function.FunctionMessage",
    "chat": "chat.ChatMessage",
    "remove": "modifier.RemoveMessage",
}

_CLASSES = {
    "datetime": "datetime.datetime",
    "date": "datetime.date",
    "time": "datetime.time",
    "uuid": "uuid.UUID",
    "decimal": "decimal.Decimal",
    "doc": "langchain_core.documents.base.Document",
    "interrupt": "langgraph.types.Interrupt",
    "command": "langgraph.types.Command",
    "overwrite": "langgraph.types.Overwrite",
}

_UNKNOWN = object()


def read(data: bytes, unpack: Callable[[bytes], Any]) -> Any:
    """The plain data of a value. `unpack` reads what travels as LangGraph for Python's serialiser wrote it.

    Raises ValueError for bytes that are not in this encoding.
    """
    return _Reading(unpack).value(_DECODER.decode(data.decode()), 0)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        raise ValueError("the same key twice")
    return made


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError("beyond the range of floats")
    return number


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)


class _Reading:
    def __init__(self, unpack: Callable[[bytes], Any]) -> None:
        self._unpack = unpack

    def value(self, found: Any, depth: int) -> Any:
        if not isinstance(found, dict | list):
            return found
        if depth >= _DEEPEST:
            raise ValueError("nested too deeply")
        if isinstance(found, list):
            return [self.value(item, depth + 1) for item in found]
        return self._tagged(found, depth) if "$" in found else self._members(found, depth)

    def _members(self, found: dict[str, Any], depth: int) -> dict[str, Any]:
        return {key: self.value(item, depth + 1) for key, item in found.items()}

    def _tagged(self, found: dict[str, Any], depth: int) -> Any:
        name = found["$"] if isinstance(found["$"], str) else "tagged"
        left = {key: item for key, item in found.items() if key not in ("$", "v")}
        content = found.get("v")
        if name == "opaque":
            made = self._opaque(left, content, depth)
        elif name == "set" and isinstance(content, list) and left in ({}, {"frozen": True}):
            made = Instance("builtins.frozenset" if left else "builtins.set", [self.value(content, depth + 1)])
        else:
            made = _UNKNOWN if left else self._made(name, content, depth + 1)
        if made is not _UNKNOWN:
            return made
        return Instance(name, {key: self.value(item, depth + 1) for key, item in found.items() if key != "$"})

    def _made(self, name: str, content: Any, depth: int) -> Any:  # noqa: PLR0911 (one a tag)
        match name, content:
            case ("obj", dict()):
                return self._members(content, depth)
            case ("map", list()):
                return self._map(content, depth)
            case ("duration", _) if type(length := self.value(content, depth)) is int:
                return Instance("datetime.timedelta", {"microseconds": length})
            case ("msg", {"type": str(kind), "content": str() | list()}) if kind in _MESSAGES:
                return self._message(content, depth)
            case ("send", {"node": str(node), **more}) if more.keys() <= {"args", "timeout"}:
                arguments = [self.value(item, depth + 1) for item in more.values()]
                return Instance("langgraph.types.Send", [node, *arguments])
            case ("doc" | "interrupt" | "command", dict()):
                return Instance(_CLASSES[name], self._members(content, depth))
            case ("overwrite", _):
                return Instance(_CLASSES[name], {"value": self.value(content, depth)})
            case ("delta_snapshot", _):  # what a channel holds
                return self.value(content, depth)
        return _plain(name, content)

    def _map(self, pairs: list[Any], depth: int) -> Any:
        made = {}
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                return _UNKNOWN
            key = self.value(pair[0], depth + 2)
            try:
                made[tuple(key) if isinstance(key, list) else key] = self.value(pair[1], depth + 2)
            except TypeError:  # nothing that can be a key
                return _UNKNOWN
        return made if len(made) == len(pairs) else _UNKNOWN

    def _message(self, content: dict[str, Any], depth: int) -> Any:
        parts = self._members(content, depth)
        extra, chunk = parts.pop("extra", None), "Chunk" if parts.pop("chunk", None) else ""
        class_name = f"langchain_core.messages.{_MESSAGES[parts['type']]}{chunk}"
        if chunk:
            parts["type"] = class_name.rpartition(".")[2]
        return Instance(class_name, {**extra, **parts} if isinstance(extra, dict) else parts)

    def _opaque(self, said: dict[str, Any], content: Any, depth: int) -> Any:
        match said:
            case {"lang": str(language), "enc": str(encoding), "type": str(class_name), **more} if isinstance(
                content, str
            ) and more.keys() <= {"view"}:
                if (data := _bytes(content)) is _UNKNOWN:
                    return _UNKNOWN
            case _:
                return _UNKNOWN
        if (language, encoding) == ("python", "msgpack"):
            try:
                return self._unpack(data)
            except (ValueError, TypeError):
                return _UNKNOWN
        parts: dict[str, Any] = {"data": Opaque(f"{language} {encoding}", data)}
        if "view" in more:
            parts["view"] = self.value(more["view"], depth + 1)
        return Instance(class_name.replace(":", "."), parts)


def _plain(name: str, content: Any) -> Any:  # noqa: PLR0911 (one a tag)
    """What holds nothing that is encoded itself."""
    match name, content:
        case "undef", None:
            return None
        case ("int", str()) if _INTEGER.fullmatch(content):
            return int(content)
        case ("float", str()):
            return _number(content)
        case ("bytes", str()):
            return _bytes(content)
        case ("datetime" | "date" | "time" | "uuid" | "decimal", str()):
            return Instance(_CLASSES[name], [content])
        case ("error", {"name": str(kind), "message": str(message), **more}):  # kept as text, as LangGraph does
            return more["text"] if isinstance(more.get("text"), str) else f"{kind}({message!r})"
    return _UNKNOWN


def _number(text: str) -> Any:
    if text in _NOT_FINITE:
        return float(_NOT_FINITE[text])
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else _UNKNOWN


def _bytes(text: str) -> Any:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return _UNKNOWN
