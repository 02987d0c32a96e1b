"""Chat messages for an update: from JSON to what LangGraph's serialiser for Python writes.

A channel of messages holds LangChain's objects, and the server merges no others into it. Fields that are not given get
LangChain's defaults when a graph reads them.
"""

from typing import Any

import ormsgpack

from checkpointd.v1.core_pb2 import Value

_MODEL = 5
_MODULE = "langchain_core.messages"
_CLASSES = {
    "human": (f"{_MODULE}.human", "HumanMessage"),
    "ai": (f"{_MODULE}.ai", "AIMessage"),
    "system": (f"{_MODULE}.system", "SystemMessage"),
    "tool": (f"{_MODULE}.tool", "ToolMessage"),
    "remove": (f"{_MODULE}.modifier", "RemoveMessage"),
}
_ROLES = {"user": "human", "assistant": "ai"}


def messages_value(data: Any) -> Value:
    """A message, or a list of them, as a stored value. Raises ValueError, saying why, for what is none."""
    made = [_message(item) for item in data] if isinstance(data, list) else _message(data)
    return Value(encoding="msgpack", data=_pack(made))


def _message(data: Any) -> ormsgpack.Ext:
    if isinstance(data, str):
        data = {"role": "user", "content": data}
    if not isinstance(data, dict):
        raise ValueError("a message is a text or an object with a role (or a type) and a content")
    said = data.get("role", data.get("type"))
    kind = _ROLES.get(said, said) if isinstance(said, str) else None
    if kind not in _CLASSES:
        known = ", ".join((*_ROLES, *_CLASSES))
        raise ValueError(f"a message's role is one of {known}, not {said!r}")
    fields = {name: item for name, item in data.items() if name != "role"} | {"type": kind}
    if kind == "remove":
        fields.setdefault("content", "")
        if not isinstance(fields.get("id"), str):
            raise ValueError("a message that removes another has that one's id")
    if not isinstance(fields.get("content"), str | list):
        raise ValueError("a message's content is a text or a list of blocks")
    if kind == "tool" and not isinstance(fields.get("tool_call_id"), str):
        raise ValueError("a tool's message has a tool_call_id")
    return ormsgpack.Ext(_MODEL, _pack([*_CLASSES[kind], fields, "model_validate_json"]))


def _pack(data: Any) -> bytes:
    try:
        return ormsgpack.packb(data)
    except (TypeError, ValueError) as error:  # a number of more than 64 bits
        raise ValueError(f"a message can't be written: {error}") from None
