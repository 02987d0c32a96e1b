"""Chat messages in portable-json/1: which tagged values are one. What is not exactly one is data that nobody knows."""

from typing import Any

from checkpointd.engine.state.portable import Tag, plain, read

KINDS = frozenset(("human", "ai", "system", "tool", "remove", "chat", "function"))

# Members beside the type and the content, in the order in which they are written: who has them, and what they are.
_EVERYBODYS = KINDS
_AI = frozenset(("ai",))
_MEMBERS: dict[str, tuple[frozenset[str], Any]] = {
    "id": (_EVERYBODYS, str),
    "name": (_EVERYBODYS, str),
    "additional_kwargs": (_EVERYBODYS, dict),
    "response_metadata": (_EVERYBODYS, dict),
    "tool_calls": (_AI, list),
    "invalid_tool_calls": (_AI, list),
    "usage_metadata": (_AI, dict),
    "tool_call_id": (frozenset(("tool",)), str),
    "status": (frozenset(("tool",)), str),
    "artifact": (frozenset(("tool",)), object),
    "role": (frozenset(("chat",)), str),
    "tool_call_chunks": (_AI, list),
    "chunk_position": (_AI, str),
    "example": (frozenset(("ai", "human")), bool),
}
MEMBERS = tuple(_MEMBERS)
_MORE: dict[str, tuple[frozenset[str], Any]] = {"chunk": (_EVERYBODYS, bool), "extra": (_EVERYBODYS, dict)}
_RESERVED = frozenset(("type", "content", *_MEMBERS, *_MORE))
_OF_CHUNKS = frozenset(("tool_call_chunks", "chunk_position"))

_NEEDED = {"tool": "tool_call_id", "chat": "role", "function": "name", "remove": "id"}


def message(data: Tag) -> dict[str, Any] | None:
    """The JSON of a message; None for anything else."""
    content = data.content("msg")
    if not isinstance(content, dict):
        return None
    # A member that is null is one that is missing.
    said = {name: value for name, value in content.items() if value is not None}
    kind = said.get("type")
    if not isinstance(kind, str) or kind not in KINDS or not _is_content(said.get("content")):
        return None
    more = {name: value for name, value in said.items() if name not in ("type", "content")}
    if not all(_fits(kind, name, value) for name, value in more.items()) or _NEEDED.get(kind, "type") not in said:
        return None
    is_chunk = said.get("chunk", False)
    if kind == "remove" and (said["content"] != "" or is_chunk):
        return None
    return content if is_chunk or not any(said.get(name) for name in _OF_CHUNKS) else None


def _is_content(content: Any) -> bool:
    return isinstance(content, str) or (
        isinstance(content, list) and all(isinstance(block, str | dict) for block in content)
    )


def _fits(kind: str, name: str, value: Any) -> bool:
    kinds, shape = _MEMBERS.get(name) or _MORE.get(name) or (frozenset(), type(None))
    data: Any = plain(read(value)) if shape is dict else value
    if not isinstance(data, shape):
        return False
    if kind not in kinds:
        return shape in (str, list, dict) and not data  # as good as missing
    match name:
        case "status":
            return value in ("success", "error")
        case "tool_calls":
            return all(isinstance(call, dict) and {"name", "args", "id"} <= call.keys() for call in value)
        case "extra":
            return not any(key in _RESERVED for key in data or ())
    return True
