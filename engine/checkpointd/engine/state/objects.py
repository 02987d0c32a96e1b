"""What decoded data is an object of: the few classes of LangGraph's and LangChain's that a state's rules ask for.

An object is an `Ext` or a `Tag`, by the encoding that its value came in. Nothing is built; fields are looked up.
"""

from collections.abc import Mapping
from typing import Any

from checkpointd.engine.state import packed, portable
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.packed import Ext, constructed, pack
from checkpointd.engine.state.portable import Tag, plain
from checkpointd.engine.state.portable_messages import message
from checkpointd.engine.state.portable_writing import written

_OVERWRITE = "__overwrite__"


def overwrite_content(data: Any) -> tuple[Any] | None:
    """What a decoded Overwrite holds; None for data that is none."""
    if isinstance(data, Ext) and data.code == packed.FIELDS:
        module, name, fields = constructed(data, packed.FIELDS)
        if (module, name) == ("langgraph.types", "Overwrite") and isinstance(fields, dict) and "value" in fields:
            return (fields["value"],)
    elif isinstance(data, Tag):
        if data.name == "overwrite" and data.json.keys() <= {"$", "v"}:
            return (portable.read(data.content("overwrite")),)
    elif isinstance(data, dict) and (key := _overwrite_key(data)) is not None:
        return (data[key],)
    return None


def overwrite_of(data: Any, content: Any) -> Any:
    """A decoded Overwrite with another content."""
    if isinstance(data, dict):
        return {**data, _overwrite_key(data): content}
    if isinstance(data, Tag):
        return Tag({**data.json, "v": written(content)})
    module, name, fields, *rest = packed.unpack(data.data)
    return Ext(packed.FIELDS, pack([module, name, {**fields, "value": content}, *rest]))


def _overwrite_key(fields: dict[Any, Any]) -> str | None:
    """Where an object that is an Overwrite has its content."""
    if len(fields) == 1 and _OVERWRITE in fields:
        return _OVERWRITE
    return "value" if fields.get("type") == _OVERWRITE and "value" in fields else None


def send_node(data: Any) -> str | None:
    """The node that a Send goes to; None for anything else."""
    if isinstance(data, Tag):
        match data.content("send"):
            case {"node": str(node), **more} if more.keys() <= {"args", "timeout"} and _is_timeout(more.get("timeout")):
                return node
        return None
    try:
        module, name, arguments = constructed(data, packed.ARGUMENTS)
    except Opaque:
        return None
    match arguments:
        case [str(node), _, *_] if name == "Send" and module.startswith("langgraph."):
            return node
    return None


def _is_timeout(said: Any) -> bool:
    """Whether a tagged Send has no timeout, or one that is as the encoding says: another one makes it no Send."""
    if said is None:
        return True
    if not isinstance(said, dict) or not said.keys() <= {"run_ms", "idle_ms", "refresh_on"}:
        return False
    limits = [limit for limit in (said.get("run_ms"), said.get("idle_ms")) if limit is not None]
    are_numbers = all(type(limit) in (int, float) and limit > 0 for limit in limits)
    return bool(limits) and are_numbers and said.get("refresh_on") in (None, "auto", "heartbeat")


def interrupt_fields(data: Any) -> Mapping[str, Any]:
    """The fields of an Interrupt: of LangGraph's class, or of the object that LangGraph.js writes. Raises Opaque."""
    if isinstance(data, Ext):
        module, name, data = constructed(data, packed.FIELDS)
        if (module, name) != ("langgraph.types", "Interrupt"):
            raise Opaque(f"is of the class {module}.{name}")
    elif isinstance(data, Tag):
        match data.content("interrupt"):
            case {"id": str(), **more} as fields if _are_an_interrupts(more):
                return {"value": None, **{key: portable.read(one) for key, one in fields.items()}}
    if isinstance(data, dict) and "value" in data:
        return data
    raise Opaque("is no interrupt that the server knows")


def _are_an_interrupts(fields: Mapping[Any, Any]) -> bool:
    schema = plain(portable.read(fields.get("response_schema")))
    return fields.keys() <= {"value", "response_schema"} and isinstance(schema, dict | None)


def set_items(data: Any) -> list[Any]:
    """The members of a set or frozenset. Raises Opaque for anything else, and for members that have a class."""
    if isinstance(data, Tag):
        members = _tagged_members(data)
    else:
        module, name, members = constructed(data, packed.SINGLE_ARGUMENT)
        if module != "builtins" or name not in ("set", "frozenset") or not isinstance(members, list):
            raise Opaque(f"is of the class {module}.{name}")
    if any(isinstance(member, Ext | Tag | list | dict) for member in members):
        raise Opaque("is a set of objects")
    return members


def _tagged_members(data: Tag) -> list[Any]:
    match data.json:
        case {"$": "set", "v": [*found], **more} if more.keys() <= {"frozen"} and _is_flag(more.get("frozen")):
            members = [plain(portable.read(member)) for member in found]
            has_objects = any(isinstance(member, Tag | dict | list) for member in members)
            # Two that are equal in Python are not in every language: then it stays as it is.
            if has_objects or len({*members}) == len(members):
                return members
    raise Opaque(f"is tagged {data.name!r}, which is no set that the server knows")


def _is_flag(said: Any) -> bool:
    return said is None or said is True


def set_of(members: list[Any], name: str = "set") -> Ext:
    """A set, to be encoded."""
    return Ext(packed.SINGLE_ARGUMENT, pack(["builtins", name, members]))


def set_class(data: Any) -> str:
    """`set` or `frozenset`, of data that `set_items` takes."""
    if isinstance(data, Tag):
        return "frozenset" if data.json.get("frozen") else "set"
    return constructed(data, packed.SINGLE_ARGUMENT)[1]


def message_of(data: Any) -> tuple[Any, Any]:
    """Type and id of a message object, as it says them. Raises Opaque for anything else."""
    if isinstance(data, Tag):
        said = message(data)
        if said is None:
            raise Opaque(f"holds something tagged {data.name!r} that is no message")
        return f"{said['type']}MessageChunk" if said.get("chunk") else said["type"], said.get("id")
    _, _, fields, _ = model(data)
    return fields.get("type"), fields.get("id")


def message_with_id(data: Any, message_id: str) -> Ext | Tag:
    """A message object with another id."""
    if isinstance(data, Tag):
        content = data.json["v"]
        first = {name: content[name] for name in ("type", "content")}
        return Tag({**data.json, "v": {**first, "id": message_id, **{k: v for k, v in content.items() if k != "id"}}})
    module, name, fields, rest = model(data)
    return model_of(module, name, {**fields, "id": message_id}, rest)


def model(data: Any) -> tuple[str, str, dict[str, Any], list[Any]]:
    """Module, class, fields and what follows them, of a pydantic object. Raises Opaque for anything else."""
    if isinstance(data, Ext) and data.code == packed.MODEL:
        match packed.unpack(data.data):
            case [str(module), str(name), dict(fields), *rest]:
                return module, name, fields, rest
    raise Opaque("holds something that is no message object")


def model_of(module: str, name: str, fields: dict[str, Any], rest: list[Any]) -> Ext:
    """The reverse of `model`."""
    return Ext(packed.MODEL, pack([module, name, fields, *rest]))
