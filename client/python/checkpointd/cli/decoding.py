"""Stored values as plain data, without LangGraph and without the classes that they are of: nothing is built or run.

What has a class becomes an `Instance`, and what can't be looked into stays an `Opaque`. Codes and layouts of the
msgpack extensions are those of langgraph.checkpoint.serde.jsonplus.
"""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import ormsgpack

from checkpointd.cli import portable
from checkpointd.cli.instances import DEEPEST, Instance, Opaque
from checkpointd.v1.core_pb2 import Value

_UNKNOWN = object()


def decode(value: Value) -> Any:
    """The plain data of a value; Opaque where its encoding is not known or its bytes are not what that says."""
    try:
        match value.encoding:
            case "null":
                return None
            case "bytes":
                return value.data
            case "json":
                return json.loads(value.data)
            case "msgpack":
                return _unpack(value.data, 0)
            case portable.ENCODING:
                return portable.read(value.data, partial(_unpack, depth=0))
    except (ValueError, TypeError, RecursionError):
        pass
    return Opaque(value.encoding, value.data)


def _unpack(data: bytes, depth: int) -> Any:
    def extension(code: int, inside: bytes) -> Any:
        if depth >= DEEPEST:
            return Opaque(f"msgpack extension {code}", bytes(inside))
        try:
            found = _instance(code, _unpack(inside, depth + 1))
        except (ValueError, TypeError):
            found = _UNKNOWN
        return Opaque(f"msgpack extension {code}", bytes(inside)) if found is _UNKNOWN else found

    if not data:
        raise ValueError("empty")
    return ormsgpack.unpackb(data, ext_hook=extension, option=ormsgpack.OPT_NON_STR_KEYS)


def _instance(code: int, inside: Any) -> Any:
    """What an extension holds; _UNKNOWN for another shape.

    0 and 3 are [module, class, argument, ...], 1 is [module, class, arguments], 2, 4 and 5 are [module, class, fields,
    ...]; 6 is numpy's array, and 7 a channel's value as it is.
    """
    match code, inside:
        case (7, _):
            return inside
        case (6, [dtype, shape, order, bytes(data)]):
            return Instance("numpy.ndarray", {"dtype": dtype, "shape": shape, "order": order, "data": data})
        case (1 | 2 | 4 | 5, [str(module), str(name), dict() | list() as parts, *_]):
            return Instance(f"{module}.{name}", parts)
        case (0 | 3, [str(module), str(name), argument, *_]):
            return Instance(f"{module}.{name}", [argument])
    return _UNKNOWN


@dataclass(frozen=True, slots=True)
class Message:
    """What a person wants to see of a chat message."""

    kind: str
    content: Any
    tool_calls: list[tuple[str, Any]]


def as_message(data: Any) -> Message | None:
    """The chat message that data is: LangChain's class or its JSON, or a dict with a role or type and content."""
    fields, kind = data, None
    if isinstance(data, Instance):
        fields = data.parts
        kind = data.short_name.removesuffix("Chunk").removesuffix("Message").lower()
        if not data.short_name.removesuffix("Chunk").endswith("Message"):
            return None
    elif isinstance(data, dict) and data.get("type") == "constructor" and isinstance(data.get("id"), list):
        name = str(data["id"][-1]) if data["id"] else ""
        fields = data.get("kwargs")
        kind = name.removesuffix("Chunk").removesuffix("Message").lower()
        if not name.removesuffix("Chunk").endswith("Message"):
            return None
    if not isinstance(fields, dict) or "content" not in fields:
        return None
    said = fields.get("type", fields.get("role"))
    kind = said if isinstance(said, str) and said not in ("constructor", "") else kind
    if kind is None or not isinstance(fields["content"], str | list):
        return None
    calls = fields.get("tool_calls")
    return Message(kind, fields["content"], [_tool_call(call) for call in calls] if isinstance(calls, list) else [])


def _tool_call(call: Any) -> tuple[str, Any]:
    if isinstance(call, dict):
        function = call.get("function")
        inside = function if isinstance(function, dict) else call
        return str(inside.get("name", "?")), inside.get("args", inside.get("arguments"))
    return "?", call
