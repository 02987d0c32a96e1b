"""Data written as portable-json/1, whatever encodings it was read from.

An object in msgpack becomes the tag that it has here. One that has none travels as its serialiser wrote it, opaque to
all who do not know its class.
"""

import base64
import json
import math
from collections.abc import Callable
from datetime import time
from typing import Any
from uuid import UUID

from checkpointd.engine.state import packed
from checkpointd.engine.state.errors import Opaque
from checkpointd.engine.state.packed import Ext
from checkpointd.engine.state.portable import DEEPEST, ENCODING, MARK, Tag, check_depth
from checkpointd.engine.state.portable_messages import KINDS, MEMBERS, message

# What JavaScript counts exactly. Whole numbers beyond are written as text, which has a limit of 4000 digits.
_SAFE = 2**53 - 1
_MOST_DIGITS = 4000
_MOST_BITS = 13_288

_TYPES = "langgraph.types"
_MESSAGES = "langchain_core.messages."
_VIEW_DEPTH = 6


def dumps(data: Any) -> bytes:
    """Data as portable-json/1. Raises Opaque for what that can't hold."""
    try:
        made = written(data)
    except RecursionError:
        raise Opaque(f"is nested more than {DEEPEST} levels deep, which {ENCODING} can't hold") from None
    check_depth(made)
    return json.dumps(made, separators=(",", ":"), allow_nan=False).encode()


def tag(name: str, content: Any, **more: Any) -> dict[str, Any]:
    """The JSON of a tagged value, of the JSON in it."""
    return {MARK: name, "v": content, **more}


def written(data: Any) -> Any:  # noqa: PLR0911 (one a type)
    """The JSON of data."""
    match data:
        case None | bool() | str():
            return data
        case int():
            return data if abs(data) <= _SAFE else tag("int", _digits(data))
        case float():
            return data if math.isfinite(data) else tag("float", _no_number(data))
        case list():
            return [written(one) for one in data]
        case dict():
            return _object(data)
        case Tag():
            return data.json
        case bytes():
            return tag("bytes", base64.b64encode(data).decode())
        case Ext():
            return _extension(data)
    raise Opaque(f"holds {type(data).__name__}, which {ENCODING} can't hold")


def _digits(number: int) -> str:
    digits = str(number) if number.bit_length() <= _MOST_BITS + 1 else ""
    if not 0 < len(digits.lstrip("-")) <= _MOST_DIGITS:
        raise Opaque(f"holds a number of more than {_MOST_DIGITS} digits")
    return digits


def _no_number(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _object(data: dict[Any, Any]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in data):
        return tag("map", [[written(key), written(one)] for key, one in data.items()])
    made = {key: written(one) for key, one in data.items()}
    return tag("obj", made) if MARK in made else made


def _extension(ext: Ext) -> dict[str, Any]:
    if ext.code == packed.DELTA_SNAPSHOT:
        return tag("delta_snapshot", written(packed.unpack(ext.data)))
    inside = packed.unpack(ext.data)
    match ext.code, inside:
        case packed.ARRAY, [str(), *_]:
            return _opaque(ext, "numpy", "ndarray", None)
        case packed.ARGUMENTS, ["re", "compile", *_]:
            return _opaque(ext, "re", "Pattern", inside[2])
        case packed.MODEL, [str(module), str(name), dict(fields), *_]:
            made = _model(module, name, fields)
        case _, [str(module), str(name), argument, *_] if ext.code in _BY_CODE:
            form = _BY_CODE[ext.code].get((module, name))
            made = form(argument) if form is not None else None
        case packed.MODEL_V1, [str(module), str(name), argument, *_]:
            made = None
        case _:
            raise Opaque(f"holds something in msgpack that {ENCODING} can't hold")
    return made if made is not None else _opaque(ext, inside[0], inside[1], inside[2])


def _model(module: str, name: str, fields: dict[Any, Any]) -> dict[str, Any] | None:
    if not all(isinstance(key, str) for key in fields):
        return None
    if (module, name) == ("langchain_core.documents.base", "Document"):
        return _document(fields)
    base = name.removesuffix("Chunk")
    kind = base.removesuffix("Message").lower()
    if not module.startswith(_MESSAGES) or not base.endswith("Message") or kind not in KINDS:
        return None
    if fields.get("type") not in (kind, name):
        return None
    return _message(kind, fields, chunk=base != name)


def _message(kind: str, fields: dict[str, Any], *, chunk: bool) -> dict[str, Any] | None:
    made: dict[str, Any] = {"type": kind, "content": written(fields.get("content"))}
    left = {name: value for name, value in fields.items() if name not in made and not _is_left_out(name, value)}
    # What is none of the members of its kind was given to the class beside them.
    named = [name for name in MEMBERS if name in left]
    made |= {name: written(left.pop(name)) for name in named}
    if chunk:
        made["chunk"] = True
    if left:
        made["extra"] = written(left)
    whole = tag("msg", made)
    return whole if message(Tag(whole)) is not None else None


def _is_left_out(name: str, value: Any) -> bool:
    if value is None or (isinstance(value, str | list | dict) and not value):
        return True
    return (name == "status" and value == "success") or (name == "example" and value is False)


def _document(fields: dict[str, Any]) -> dict[str, Any] | None:
    match {name: value for name, value in fields.items() if value is not None and value != {}}:
        case {"page_content": str(text), "type": "Document", **more} if more.keys() <= {"metadata", "id"}:
            return tag("doc", {"page_content": text, **{n: written(more[n]) for n in ("metadata", "id") if n in more}})
    return None


def _send(arguments: Any) -> dict[str, Any] | None:
    match arguments:
        case [str(node), argument]:
            return tag("send", {"node": node, "args": written(argument)})
        case [str(node), argument, Ext() as timeout]:
            limits = _timeout(timeout)
            return None if limits is None else tag("send", {"node": node, "args": written(argument), "timeout": limits})
    return None


def _timeout(data: Ext) -> dict[str, Any] | None:
    """A Send's timeout: of Python's seconds, milliseconds."""
    try:
        module, name, fields = packed.constructed(data, packed.FIELDS)
    except Opaque:
        return None
    if (module, name) != (_TYPES, "TimeoutPolicy") or not isinstance(fields, dict):
        return None
    made: dict[str, Any] = {}
    for ours, theirs in (("run_ms", "run_timeout"), ("idle_ms", "idle_timeout")):
        seconds = fields.get(theirs)
        if seconds is None:
            continue
        if not isinstance(seconds, int | float) or not math.isfinite(seconds * 1000):
            return None
        made[ours] = round(seconds * 1000, 6)
        if made[ours] == int(made[ours]):
            made[ours] = int(made[ours])
    if fields.get("refresh_on", "auto") != "auto":
        made["refresh_on"] = fields["refresh_on"]
    return made if made else None


def _interrupt(fields: Any) -> dict[str, Any] | None:
    if not isinstance(fields, dict) or not {"value", "id"} <= fields.keys() <= {"value", "id", "response_schema"}:
        return None
    said = {name: one for name, one in fields.items() if name == "value" or one is not None}
    return tag("interrupt", {name: written(one) for name, one in said.items()})


def _command(fields: Any) -> dict[str, Any] | None:
    if not isinstance(fields, dict) or not fields.keys() <= {"graph", "update", "resume", "goto"}:
        return None
    said = {name: written(one) for name, one in fields.items() if one is not None and one != []}
    return tag("command", said)


def _overwrite(fields: Any) -> dict[str, Any] | None:
    return tag("overwrite", written(fields["value"])) if isinstance(fields, dict) and "value" in fields else None


def _set(*, frozen: bool) -> Callable[[Any], dict[str, Any] | None]:
    def made(members: Any) -> dict[str, Any] | None:
        return (
            tag("set", written(members), **({"frozen": True} if frozen else {})) if isinstance(members, list) else None
        )

    return made


def _uuid(text: Any) -> dict[str, Any] | None:
    try:
        return tag("uuid", str(UUID(text)))
    except (ValueError, AttributeError, TypeError):
        return None


def _text(name: str) -> Callable[[Any], dict[str, Any] | None]:
    return lambda text: tag(name, text) if isinstance(text, str) else None


def _timedelta(arguments: Any) -> dict[str, Any] | None:
    match arguments:
        case [int(days), int(seconds), int(microseconds)]:
            return tag("duration", written((days * 86_400 + seconds) * 1_000_000 + microseconds))
    return None


def _date(arguments: Any) -> dict[str, Any] | None:
    match arguments:
        case [int(year), int(month), int(day)]:
            return tag("date", f"{year:04}-{month:02}-{day:02}")
    return None


def _time(fields: Any) -> dict[str, Any] | None:
    try:
        return tag("time", time(**fields).isoformat()) if not fields.get("fold") else None
    except (TypeError, ValueError, AttributeError):  # one with an offset is made of objects
        return None


_BY_CODE: dict[int, dict[tuple[str, str], Callable[[Any], dict[str, Any] | None]]] = {
    packed.SINGLE_ARGUMENT: {
        ("builtins", "set"): _set(frozen=False),
        ("builtins", "frozenset"): _set(frozen=True),
        ("uuid", "UUID"): _uuid,
        ("decimal", "Decimal"): _text("decimal"),
    },
    packed.ARGUMENTS: {
        (_TYPES, "Send"): _send,
        ("datetime", "timedelta"): _timedelta,
        ("datetime", "date"): _date,
    },
    packed.FIELDS: {
        (_TYPES, "Interrupt"): _interrupt,
        (_TYPES, "Command"): _command,
        (_TYPES, "Overwrite"): _overwrite,
        ("datetime", "time"): _time,
    },
    packed.METHOD: {("datetime", "datetime"): _text("datetime")},
}


def _opaque(ext: Ext, module: str, name: str, inside: Any) -> dict[str, Any]:
    content = base64.b64encode(packed.pack(ext)).decode()
    made = {MARK: "opaque", "lang": "python", "enc": "msgpack", "type": f"{module}:{name}", "v": content}
    # What someone keeps secret is not shown to who only looks.
    view = None if "Secret" in name else _view(inside, 0)
    return made if view is None else {**made, "view": view}


def _view(data: Any, depth: int) -> Any:  # noqa: PLR0911 (one a type)
    """What data holds as JSON without tags, for someone to read."""
    if depth > _VIEW_DEPTH:
        return "…"
    match data:
        case None | bool() | str():
            return data
        case int():
            return data if abs(data) <= _SAFE else str(data)
        case float():
            return data if math.isfinite(data) else str(data)
        case list():
            return [_view(one, depth + 1) for one in data]
        case dict():
            return {str(key): _view(one, depth + 1) for key, one in data.items() if not isinstance(key, Ext)}
        case Ext():
            return _view_within(data, depth)
        case bytes():
            return f"<{len(data)} bytes>"
    return str(data)


def _view_within(ext: Ext, depth: int) -> Any:
    try:
        inside = packed.unpack(ext.data)
    except Opaque:
        return None
    match inside:
        case [str(), str(name), argument, *_] if ext.code != packed.DELTA_SNAPSHOT:
            return None if "Secret" in name else _view(argument, depth + 1)
    return None
