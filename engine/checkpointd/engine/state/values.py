"""Serialised values, looked into without building objects of their classes.

A value becomes plain Python data in which whatever has a class is an `Ext` (msgpack's extension type, kept as its
bytes) or a `Tag` (portable-json/1's tagged value, kept as its JSON). Encoded again, data that a client wrote is as it
was written. A value that need not change is passed on as it came and never decoded.
"""

import json
from collections.abc import Container, Iterable
from typing import Any

from checkpointd.engine.state import packed, portable
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.objects import overwrite_content
from checkpointd.engine.state.packed import Ext, pack
from checkpointd.engine.state.portable import Tag, plain
from checkpointd.engine.state.portable_writing import dumps, tag, written
from checkpointd.v1.core_pb2 import Value

# First bytes of msgpack maps and extensions.
_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_EXTENSIONS = frozenset((0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)))

NULL = Value(encoding="null")

MSGPACK = "msgpack"
PORTABLE = portable.ENCODING

KNOWN = (MSGPACK, "json", PORTABLE)
"""Encodings that hold data to look into."""

_SNAPSHOT = "delta_snapshot"


def decode(value: Value) -> Any:
    """The data of a value. Raises Opaque when its encoding is unknown or its bytes are corrupt."""
    match value.encoding:
        case "msgpack":
            return packed.unpack(value.data)
        case "portable-json/1":
            return portable.loads(value.data)
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


def decode_plain(value: Value) -> Any:
    """The same for who looks at the data itself: a number, a list, an object, whatever they are written as."""
    return plain(decode(value))


def encode(data: Any, *like: Value, style: str = MSGPACK) -> Value:
    """Data as a value.

    Args:
        data: what `decode` gives, of one value or put together of several.
        like: the values that the data is of. Where one is portable, so is the outcome; of JSON only, it is JSON.
        style: the encoding where these do not tell: MSGPACK, that of LangGraph's serialiser for Python, or PORTABLE.

    Raises:
        Opaque: the data can't be encoded, such as a number of more than 64 bits in msgpack.
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
            return _styled(data, style)
        return Value(encoding="json", data=text.encode(errors="replace"))
    if PORTABLE in encodings:
        style = PORTABLE
    elif MSGPACK in encodings:
        style = MSGPACK
    return _styled(data, style)


def _styled(data: Any, style: str) -> Value:
    return Value(encoding=style, data=dumps(data) if style == PORTABLE else pack(data))


def style_of(*held: Iterable[Value]) -> str:
    """The encoding of what the server adds of its own to a thread: portable, but for threads that hold msgpack only.

    Args:
        held: the values that tell. Where the first ones do not, as those of a thread that holds none of the two
            encodings, the next ones do.
    """
    for some in held:
        encodings = {value.encoding for value in some}
        if PORTABLE in encodings:
            break
        if MSGPACK in encodings:
            return MSGPACK
    return PORTABLE


def styled(value: Value, style: str) -> Value:
    """A value that a description holds, for a thread of this style."""
    if value.encoding not in (MSGPACK, PORTABLE) or value.encoding == style:
        return value
    try:
        return encode(decode(value), style=style)
    except Opaque:  # the other one has no form for what is in it
        return value


def _begins_as(value: Value, first_bytes: Container[int]) -> bool:
    return value.encoding == "msgpack" and len(value.data) > 0 and value.data[0] in first_bytes


def _extension(value: Value) -> Ext | None:
    """The extension that a whole value is; cheap, because its inside is not looked at."""
    if not _begins_as(value, _EXTENSIONS):
        return None
    try:
        found: Ext = packed.unpack(value.data)
    except Opaque:  # cut off
        return None
    return found


def _tagged(value: Value, name: str) -> Any:
    """The data of a portable value that may be tagged so, or hold a key of that name; None for any other value.

    Raises Opaque for one that can't be read.
    """
    if value.encoding != PORTABLE or value.data.lstrip()[:1] != b"{":
        return None
    return decode(value) if name.encode() in value.data or b"\\u" in value.data else None


def unwrapped(value: Value) -> Value:
    """What a delta channel's stored snapshot holds; any other value as it is (DeltaChannel.from_checkpoint)."""
    extension = _extension(value)
    if extension is not None and extension.code == packed.DELTA_SNAPSHOT:
        return Value(encoding=MSGPACK, data=extension.data)
    try:
        found = _tagged(value, _SNAPSHOT)
    except Opaque:
        return value
    if isinstance(found, Tag) and found.name == _SNAPSHOT and found.json.keys() == {"$", "v"}:
        return Value(encoding=PORTABLE, data=dumps(portable.read(found.json["v"])))
    return value


def overwriting(value: Value) -> Value | None:
    """What an Overwrite writes, in any of its forms; None for a value that is none (binop._get_overwrite)."""
    data: Any = _extension(value)
    if data is None and (_begins_as(value, _MAPS) or value.encoding == "json"):
        data = decode(value)
    elif data is None:
        data = _tagged(value, "overwrite")
    content = overwrite_content(data)
    if content is None:
        return None
    return encode(content[0]) if isinstance(data, Ext) else encode(content[0], value)


def items(value: Value) -> list[Any]:
    """The entries of a list. Raises Opaque for anything else."""
    found = decode(value)
    if not isinstance(found, list):
        raise Opaque("is not a list")
    return found


def send(node: str, argument: Value, style: str = MSGPACK) -> Value:
    """A Send as a client of this style writes it. Raises Opaque for an argument that can't be in one."""
    data = decode(argument)
    if PORTABLE in (style, argument.encoding):
        return Value(encoding=PORTABLE, data=dumps(Tag(tag("send", {"node": node, "args": written(data)}))))
    content = pack(["langgraph.types", "Send", [node, data]])
    return Value(encoding=MSGPACK, data=pack(Ext(packed.ARGUMENTS, content)))


def wrapped(value: Value, style: str = MSGPACK) -> Value:
    """What a delta channel stores as its snapshot: the reverse of `unwrapped`. Raises Opaque for what can't be read."""
    if value.encoding == MSGPACK:
        return Value(encoding=MSGPACK, data=pack(Ext(packed.DELTA_SNAPSHOT, value.data)))
    data = decode(value)
    if PORTABLE in (style, value.encoding):
        return Value(encoding=PORTABLE, data=dumps(Tag(tag(_SNAPSHOT, written(data)))))
    return Value(encoding=MSGPACK, data=pack(Ext(packed.DELTA_SNAPSHOT, pack(data))))


def is_none(value: Value) -> bool:
    """Whether a value is nothing: None, null."""
    match value.encoding:
        case "null":
            return True
        case "msgpack":
            return value.data == b"\xc0"
        case "json":
            return value.data == b"null"
    return value.encoding == PORTABLE and (value.data == b"null" or _is_undefined(value))


def _is_undefined(value: Value) -> bool:
    try:
        return b"undef" in value.data and decode_plain(value) is None
    except Opaque:
        return False


def is_text(data: Any) -> bool:
    """Whether data is a string that a message can hold."""
    if not isinstance(data, str):
        return False
    try:
        data.encode()
    except UnicodeEncodeError:
        return False
    return True
