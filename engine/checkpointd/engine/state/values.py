"""Serialised values, looked into without building objects of their classes.

A value becomes plain Python data in which whatever has a class is an `Ext`: msgpack's extension type, kept as its
bytes. Encoded again, data that LangGraph's own serialiser wrote gives the same bytes, for it is the same library. A
value that need not change is passed on as it came and never decoded.

Codes and layouts of the extensions are those of langgraph.checkpoint.serde.jsonplus.
"""

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import ormsgpack

from checkpointd.engine.state.errors import Opaque
from checkpointd.v1.core_pb2 import Value

# Extensions: [module, class, argument], the same with a list of arguments, with a dict of them, pydantic's
# [module, class, fields, method], and a bare value.
_SINGLE_ARGUMENT = 0
_ARGUMENTS = 1
_FIELDS = 2
_MODEL = 5
_DELTA_SNAPSHOT = 7

# First bytes of msgpack maps and extensions.
_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_EXTENSIONS = frozenset((0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)))

# Without PASSTHROUGH, an Ext would be written as the object that a dataclass is to ormsgpack.
_OPTIONS = ormsgpack.OPT_NON_STR_KEYS | ormsgpack.OPT_REPLACE_SURROGATES | ormsgpack.OPT_PASSTHROUGH_DATACLASS

NULL = Value(encoding="null")

_OVERWRITE = "__overwrite__"


@dataclass(frozen=True, slots=True)
class Ext:
    """An object of some class, as its serialiser wrote it. Equal when the bytes are."""

    code: int
    data: bytes


def decode(value: Value) -> Any:
    """The plain data of a value. Raises Opaque when its encoding is unknown or its bytes are corrupt."""
    match value.encoding:
        case "msgpack":
            return _unpack(value.data)
        case "json":
            try:
                return json.loads(value.data)
            except (ValueError, RecursionError):
                raise Opaque("is not JSON, though its encoding says so") from None
        case "null":
            return None
        case "bytes":
            return value.data
    raise Opaque(f"has the encoding {value.encoding!r}, which the server can't look into")


def encode(data: Any, *like: Value) -> Value:
    """Plain data as a value: JSON when made of JSON values only, else as LangGraph's serialiser for Python writes it.

    Raises Opaque for data that can't be encoded, such as a number of more than 64 bits.
    """
    if data is None:
        return NULL
    if isinstance(data, bytes):
        return Value(encoding="bytes", data=data)
    encodings = {value.encoding for value in like} - {"null"}
    if encodings == {"json"}:
        try:
            text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        except (RecursionError, ValueError):  # numbers have a limit too, of digits
            raise Opaque("is nested too deeply for JSON, or a number too large") from None
        except TypeError:  # an object has come into it
            return Value(encoding="msgpack", data=pack(data))
        return Value(encoding="json", data=text.encode(errors="replace"))
    return Value(encoding="msgpack", data=pack(data))


def pack(data: Any) -> bytes:
    """Plain data as msgpack. Raises Opaque for data that msgpack can't hold."""
    try:
        return ormsgpack.packb(data, default=_default, option=_OPTIONS)
    except (TypeError, ValueError) as error:
        raise Opaque(f"can't be written as msgpack ({error})") from None


def _default(data: Any) -> ormsgpack.Ext:
    if isinstance(data, Ext):
        return ormsgpack.Ext(data.code, data.data)
    raise TypeError(type(data).__name__)


def _unpack(data: bytes) -> Any:
    try:
        return ormsgpack.unpackb(data, ext_hook=Ext, option=ormsgpack.OPT_NON_STR_KEYS)
    except (ValueError, TypeError) as error:
        raise Opaque(f"is not msgpack, though its encoding says so ({error})") from None


def constructed(data: Any, code: int) -> tuple[str, str, Any]:
    """Module, class and argument of an object with this extension code. Raises Opaque for anything else."""
    if isinstance(data, Ext) and data.code == code:
        match _unpack(data.data):
            case [str(module), str(name), argument, *_]:
                return module, name, argument
    raise Opaque("is of a shape that the server does not know")


def _begins_as(value: Value, first_bytes: Container[int]) -> bool:
    return value.encoding == "msgpack" and len(value.data) > 0 and value.data[0] in first_bytes


def _extension(value: Value) -> Ext | None:
    """The extension that a whole value is; cheap, because its inside is not looked at."""
    if not _begins_as(value, _EXTENSIONS):
        return None
    try:
        found: Ext = _unpack(value.data)
    except Opaque:  # cut off
        return None
    return found


def unwrapped(value: Value) -> Value:
    """What a delta channel's stored snapshot holds; any other value as it is (DeltaChannel.from_checkpoint)."""
    extension = _extension(value)
    if extension is None or extension.code != _DELTA_SNAPSHOT:
        return value
    return Value(encoding="msgpack", data=extension.data)


def overwriting(value: Value) -> Value | None:
    """What an Overwrite writes, in any of its three forms; None for a value that is none (binop._get_overwrite)."""
    data: Any = _extension(value)
    if data is None and (_begins_as(value, _MAPS) or value.encoding == "json"):
        data = decode(value)
    content = overwrite_content(data)
    if content is None:
        return None
    return encode(content[0]) if isinstance(data, Ext) else encode(content[0], value)


def overwrite_content(data: Any) -> tuple[Any] | None:
    """What a decoded Overwrite holds; None for data that is none."""
    if isinstance(data, Ext) and data.code == _FIELDS:
        module, name, fields = constructed(data, _FIELDS)
        if (module, name) == ("langgraph.types", "Overwrite") and isinstance(fields, dict) and "value" in fields:
            return (fields["value"],)
    elif isinstance(data, dict) and (key := _overwrite_key(data)) is not None:
        return (data[key],)
    return None


def overwrite_of(data: Any, content: Any) -> Any:
    """A decoded Overwrite with another content."""
    if isinstance(data, dict):
        return {**data, _overwrite_key(data): content}
    module, name, fields, *rest = _unpack(data.data)
    return Ext(_FIELDS, pack([module, name, {**fields, "value": content}, *rest]))


def _overwrite_key(fields: dict[Any, Any]) -> str | None:
    """Where an object that is an Overwrite has its content."""
    if len(fields) == 1 and _OVERWRITE in fields:
        return _OVERWRITE
    return "value" if fields.get("type") == _OVERWRITE and "value" in fields else None


def items(value: Value) -> list[Any]:
    """The entries of a list. Raises Opaque for anything else."""
    found = decode(value)
    if not isinstance(found, list):
        raise Opaque("is not a list")
    return found


def send_node(data: Any) -> str | None:
    """The node that a Send goes to; None for anything else."""
    try:
        module, name, arguments = constructed(data, _ARGUMENTS)
    except Opaque:
        return None
    match arguments:
        case [str(node), _, *_] if name == "Send" and module.startswith("langgraph."):
            return node
    return None


def send(node: str, argument: Any) -> Value:
    """A Send as LangGraph's serialiser writes it, of decoded data."""
    return Value(encoding="msgpack", data=pack(Ext(_ARGUMENTS, pack(["langgraph.types", "Send", [node, argument]]))))


def wrapped(value: Value) -> Value:
    """What a delta channel stores as its snapshot: the reverse of `unwrapped`. Raises Opaque for what can't be read."""
    data = value.data if value.encoding == "msgpack" else pack(decode(value))
    return Value(encoding="msgpack", data=pack(Ext(_DELTA_SNAPSHOT, data)))


def interrupt_fields(data: Any) -> dict[str, Any]:
    """The fields of an Interrupt: of LangGraph's class, or of the object that LangGraph.js writes. Raises Opaque."""
    if isinstance(data, Ext):
        module, name, data = constructed(data, _FIELDS)
        if (module, name) != ("langgraph.types", "Interrupt"):
            raise Opaque(f"is of the class {module}.{name}")
    if isinstance(data, dict) and "value" in data:
        return data
    raise Opaque("is no interrupt that the server knows")


def set_items(data: Any) -> list[Any]:
    """The members of a set or frozenset. Raises Opaque for anything else, and for members that have a class."""
    module, name, members = constructed(data, _SINGLE_ARGUMENT)
    if module != "builtins" or name not in ("set", "frozenset") or not isinstance(members, list):
        raise Opaque(f"is of the class {module}.{name}")
    if any(isinstance(member, Ext | list | dict) for member in members):
        raise Opaque("is a set of objects")
    return members


def set_of(members: list[Any], name: str = "set") -> Ext:
    """A set as LangGraph's serialiser writes it."""
    return Ext(_SINGLE_ARGUMENT, pack(["builtins", name, members]))


def set_class(data: Any) -> str:
    """`set` or `frozenset`, of data that `set_items` takes."""
    return constructed(data, _SINGLE_ARGUMENT)[1]


def model(data: Any) -> tuple[str, str, dict[str, Any], list[Any]]:
    """Module, class, fields and what follows them, of a pydantic object. Raises Opaque for anything else."""
    if isinstance(data, Ext) and data.code == _MODEL:
        match _unpack(data.data):
            case [str(module), str(name), dict(fields), *rest]:
                return module, name, fields, rest
    raise Opaque("holds something that is no message object")


def model_of(module: str, name: str, fields: dict[str, Any], rest: list[Any]) -> Ext:
    """The reverse of `model`."""
    return Ext(_MODEL, pack([module, name, fields, *rest]))


def is_none(value: Value) -> bool:
    """Whether a value is nothing: None, null."""
    return value.encoding == "null" or (value.encoding, value.data) in (("msgpack", b"\xc0"), ("json", b"null"))


def is_text(data: Any) -> bool:
    """Whether data is a string that a message can hold."""
    if not isinstance(data, str):
        return False
    try:
        data.encode()
    except UnicodeEncodeError:
        return False
    return True
