"""Messages in the forms that people write: text, a role and a content, an object. They become the message objects that
LangChain makes of them (langchain_core.messages.utils.convert_to_messages)."""

from typing import Any

from checkpointd.engine.state import objects
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.packed import Ext
from checkpointd.engine.state.portable import Tag, plain
from checkpointd.engine.state.values import is_text

_MODULES = {
    "human": ("langchain_core.messages.human", "HumanMessage"),
    "ai": ("langchain_core.messages.ai", "AIMessage"),
    "system": ("langchain_core.messages.system", "SystemMessage"),
    "tool": ("langchain_core.messages.tool", "ToolMessage"),
    "remove": ("langchain_core.messages.modifier", "RemoveMessage"),
}

_ROLES = {"user": "human", "assistant": "ai", "developer": "system"} | {kind: kind for kind in _MODULES}

# What each kind has beside what all have.
_MORE: dict[str, dict[str, Any]] = {
    "ai": {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None},
    "tool": {"tool_call_id": None, "artifact": None, "status": "success"},
}

_TEXTS = frozenset(("id", "name", "tool_call_id"))


def messages(data: Any) -> list[Any]:
    """One message, or a list of them, as a list.

    Raises:
        Opaque: it may be a role and a content, or two texts: a pair is a list too once it is serialised.
    """
    if not isinstance(data, list):
        return [data]
    if _is_pair(data) and data[0] in _ROLES:
        raise Opaque("may be one message or two; give a list of messages that each have a role and a content")
    return data


def _is_pair(data: list[Any]) -> bool:
    return len(data) == 2 and all(isinstance(part, str) for part in data)


def message_object(data: Any) -> Ext | Tag:
    """The message object of one message in any form.

    Raises:
        Opaque: it is in a form that only LangChain's own code reads.
        Refused: it is no message: it lacks a role or a content, or the role is unknown.
    """
    match plain(data):
        case (Ext() | Tag()) as made:
            return made
        case str():
            return _made("human", {"content": data})
        case list() if _is_pair(data):
            return _made(data[0], {"content": data[1]})
        case dict() as given:
            fields = dict(given)
            role = fields.pop("role") if "role" in fields else fields.pop("type", None)
            return _made(role, fields)
    raise Refused("is given something that is no message; give text, or an object with a role and a content")


def _made(role: Any, given: dict[Any, Any]) -> Ext:
    kind = _ROLES.get(role) if isinstance(role, str) else None
    if role is None:
        raise Refused("is given a message without a role")
    if kind is None:
        given_role = repr(role) if isinstance(role, str) else type(role).__name__
        raise Refused(f"is given a message of the role {given_role}; use one of {', '.join(_ROLES)}")
    fields: dict[str, Any] = {
        "content": _content(kind, given.pop("content", None)),
        # LangChain notes which of two roles it was.
        "additional_kwargs": {"__openai_role__": "developer"} if role == "developer" else {},
        "response_metadata": {},
        "type": kind,
        "name": None,
        "id": None,
        **_MORE.get(kind, {}),
    }
    for name, value in given.items():
        fields[name] = _field(kind, fields, name, value)
    if kind == "tool" and fields["tool_call_id"] is None:
        raise Refused("is given a tool's message without tool_call_id")
    if kind == "remove" and fields["id"] is None:
        raise Refused("is asked to remove a message without its id")
    return objects.model_of(*_MODULES[kind], fields, ["model_validate_json"])


def _content(kind: str, content: Any) -> Any:
    if kind == "remove":
        return ""
    if content is None:
        raise Refused("is given a message without content")
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, str | dict) for part in content):
        return content
    raise Refused("is given a message whose content is neither text nor a list of parts")


def _field(kind: str, fields: dict[str, Any], name: Any, value: Any) -> Any:
    if name in fields and name in _TEXTS and (value is None or is_text(value)):
        return value
    if name == "tool_calls" and kind == "ai" and isinstance(value, list):
        return [_tool_call(call) for call in value]
    raise Opaque(f"holds a message with {name!r}, which only LangChain's own code can read")


def _tool_call(call: Any) -> dict[str, Any]:
    match call:
        case {"name": str(name), "args": dict(args), "id": str() | None as call_id, **rest} if not rest.keys() - {
            "type"
        }:
            return {"name": name, "args": args, "id": call_id, "type": "tool_call"}
    raise Opaque("holds a message with a tool call in a form that only LangChain's own code can read")
