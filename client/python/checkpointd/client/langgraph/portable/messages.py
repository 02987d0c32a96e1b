"""Chat messages: LangChain's classes as the tag `msg` writes and reads them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from checkpointd.client.langgraph.portable.scalars import Form, Malformed


def _are_blocks(content: Any) -> bool:
    return content.__class__ is list and all(block.__class__ in (str, dict) for block in content)


def _is_text(value: Any) -> bool:
    return value.__class__ is str


def _is_truth(value: Any) -> bool:
    return value.__class__ is bool


def _is_anything(value: Any) -> bool:
    return True


def _is_status(value: Any) -> bool:
    return value in ("success", "error")


def _is_usage(value: Any) -> bool:
    return (
        value.__class__ is dict
        and value.get("input_tokens").__class__ is int
        and value.get("output_tokens").__class__ is int
        and value.get("total_tokens").__class__ is int
    )


_TEXT = (str, type(None))


def _are_calls(calls: Any) -> bool:
    """Whether these are tool calls of which a message's constructor makes the same again; so of the next two."""
    if calls.__class__ is not list:
        return False
    for call in calls:
        if (
            call.__class__ is not dict
            or len(call) != 3 + ("type" in call)
            or call.get("name").__class__ is not str
            or call.get("args").__class__ is not dict
            or call.get("id", call).__class__ not in _TEXT
        ):
            return False
    return True


def _are_invalid_calls(calls: Any) -> bool:
    return _are_entries(calls, {"name": _TEXT, "args": _TEXT, "id": _TEXT, "error": _TEXT})


def _are_chunks(calls: Any) -> bool:
    return _are_entries(calls, {"name": _TEXT, "args": _TEXT, "id": _TEXT, "index": (int, *_TEXT)})


def _are_entries(calls: Any, members: dict[str, tuple[type, ...]]) -> bool:
    return calls.__class__ is list and all(
        call.__class__ is dict
        and len(call) == len(members) + ("type" in call)
        and all(call.get(name, call).__class__ in classes for name, classes in members.items())
        for call in calls
    )


# What a member is, and whether it is left out when it is empty. In the order in which they are written.
_EVERYBODYS: dict[str, type] = {"id": str, "name": str, "additional_kwargs": dict, "response_metadata": dict}
_OWN: dict[str, tuple[Callable[[Any], bool], bool]] = {
    "tool_calls": (_are_calls, True),
    "invalid_tool_calls": (_are_invalid_calls, True),
    "usage_metadata": (_is_usage, True),
    "tool_call_id": (_is_text, False),
    "status": (_is_status, False),
    "artifact": (_is_anything, False),
    "role": (_is_text, False),
    "tool_call_chunks": (_are_chunks, True),
    "chunk_position": (_is_text, False),
    "example": (_is_truth, True),
}
_AI = {"tool_calls", "invalid_tool_calls", "usage_metadata", "example"}
_TOOL = {"tool_call_id", "status", "artifact"}


class _Kind(NamedTuple):
    """A class of messages: its name in the encoding, and what its messages have and need."""

    name: str
    chunk: bool
    make: type[BaseMessage]
    # Called with the members and an instance, as pydantic's own constructor calls it; LangChain's constructors around
    # that one only say its parameters' types, and take half of the time.
    validate: Callable[..., BaseMessage]
    own: tuple[tuple[str, Callable[[Any], bool], bool], ...]
    members: frozenset[str]
    needs: str | None
    # Fields that a version of LangChain newer than this list may have.
    others: tuple[str, ...]
    reserved: frozenset[str]


def _kind(
    name: str, make: type[BaseMessage], members: set[str], needs: str | None = None, chunk: bool = False
) -> _Kind:
    named = _EVERYBODYS.keys() | members
    return _Kind(
        name=name,
        chunk=chunk,
        make=make,
        validate=make.__pydantic_validator__.validate_python,
        own=tuple((member, *how) for member, how in _OWN.items() if member in members & make.model_fields.keys()),
        members=frozenset(named),
        needs=needs,
        others=tuple(make.model_fields.keys() - named - {"type", "content"}),
        reserved=frozenset(named | {"type", "content", "content_blocks"}),
    )


_KINDS = (
    _kind("human", HumanMessage, {"example"}),
    _kind("human", HumanMessageChunk, {"example"}, chunk=True),
    _kind("ai", AIMessage, _AI),
    _kind("ai", AIMessageChunk, _AI | {"tool_call_chunks", "chunk_position"}, chunk=True),
    _kind("system", SystemMessage, set()),
    _kind("system", SystemMessageChunk, set(), chunk=True),
    _kind("tool", ToolMessage, _TOOL, "tool_call_id"),
    _kind("tool", ToolMessageChunk, _TOOL, "tool_call_id", chunk=True),
    _kind("chat", ChatMessage, {"role"}, "role"),
    _kind("chat", ChatMessageChunk, {"role"}, "role", chunk=True),
    _kind("function", FunctionMessage, set(), "name"),
    _kind("function", FunctionMessageChunk, set(), "name", chunk=True),
    _kind("remove", RemoveMessage, set(), "id"),
)
_BY_NAME = {(kind.name, kind.chunk): kind for kind in _KINDS}
_BY_CLASS = {kind.make: kind for kind in _KINDS}


def message_form(message: BaseMessage) -> Form | None:  # noqa: PLR0911, PLR0912
    """None when somebody put into the message what its class would not have taken: it is not one of the encoding's."""
    kind = _BY_CLASS[message.__class__]
    type_, chunk, make, _, own, _, needs, others, _ = kind
    fields = message.__dict__
    content, id_, name = fields["content"], fields["id"], fields["name"]
    if content.__class__ is not str and not _are_blocks(content):
        return None
    members = {"type": type_, "content": content}
    # Written out, for it is called for every message: what all classes have, and then what this one has.
    if id_ is not None:
        if id_.__class__ is not str:
            return None
        members["id"] = id_
    if name is not None:
        if name.__class__ is not str:
            return None
        members["name"] = name
    if given := fields["additional_kwargs"]:
        members["additional_kwargs"] = given
    if metadata := fields["response_metadata"]:
        members["response_metadata"] = metadata
    if given.__class__ is not dict or metadata.__class__ is not dict:
        return None
    for member, is_right, optional in own:
        value = fields[member]
        if not value and (value is None or optional):
            continue
        if not is_right(value):
            return None
        if value != "success" or member != "status":
            members[member] = value
    if needs is not None and needs not in members:
        return None
    if content and make is RemoveMessage:
        return None
    if chunk:
        members["chunk"] = True
    extra = message.__pydantic_extra__
    if extra or others:
        return _with_extra(members, kind, fields, extra or {})
    return {"$": "msg", "v": members}


def _with_extra(members: dict[str, Any], kind: _Kind, fields: dict[str, Any], given: dict[str, Any]) -> Form | None:
    extra = {name: fields[name] for name in kind.others if fields.get(name) is not None} | given
    if "example" in kind.members and extra.get("example").__class__ is bool and extra.pop("example"):
        # Of versions of LangChain in which it is no field.
        chunk = members.pop("chunk", None)
        members |= {"example": True} if chunk is None else {"example": True, "chunk": chunk}
    if not kind.reserved.isdisjoint(extra):
        return None
    if extra:
        members["extra"] = extra
    return {"$": "msg", "v": members}


def read_message(  # noqa: PLR0912 - what it is called for most is looked at first
    members: dict[str, Any], decoded: Callable[[Any], Any] | None
) -> BaseMessage:
    """The message with these members. With None for `decoded` they hold no tags.

    Raises Malformed, or what the class raises.
    """
    chunk = members.get("chunk")
    if chunk is not None and chunk is not True:
        raise Malformed
    kind = _BY_NAME[members["type"], chunk is True]
    extra: Any = None
    given: dict[str, Any] = {}
    for name, content in members.items():
        value = decoded(content) if decoded is not None and content.__class__ in (dict, list) else content
        if name in _EVERYBODYS:
            if value is not None:
                if value.__class__ is not _EVERYBODYS[name]:
                    raise Malformed
                given[name] = value
        elif name == "content":
            if value.__class__ is not str and not _are_blocks(value):
                raise Malformed
            given[name] = value
        elif name in kind.members:
            if value is not None:
                if not _OWN[name][0](value):
                    raise Malformed
                given[name] = value
        elif name == "extra":
            extra = value
        elif name not in ("type", "chunk"):
            raise Malformed
    if extra is not None:
        if extra.__class__ is not dict or not kind.reserved.isdisjoint(extra):
            raise Malformed
        given |= extra
    if (given["content"] and kind.make is RemoveMessage) or not (kind.needs is None or kind.needs in given):
        raise Malformed
    return kind.validate(given, self_instance=kind.make.__new__(kind.make))


WRITE: dict[type, Callable[[Any], Form | None]] = dict.fromkeys(_BY_CLASS, message_form)
