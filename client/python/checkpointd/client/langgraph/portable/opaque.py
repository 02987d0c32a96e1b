"""Objects that the encoding has no form for: LangGraph's serialisation of one, with a view for everyone else."""

import base64
import re
import sys
from enum import Enum
from math import isfinite
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.langgraph.portable.allowed import Allowed, is_model, is_secret
from checkpointd.client.langgraph.portable.langgraph_types import DeltaSnapshot, Send
from checkpointd.client.langgraph.portable.scalars import MAX_SAFE, Form, Malformed, read_bytes, text

# The codes of LangGraph's msgpack extensions, which are part of what is stored.
_ONE_ARGUMENT, _ARGUMENTS, _KEYWORDS, _METHOD, _MODEL_1, _MODEL_2, _NUMPY, _DELTA = range(8)

_MEMBERS = {"$", "lang", "enc", "type", "v", "view"}
# Objects within objects; and levels of a view, whose deeper ones are left out.
_MAX_NESTING = 50
_MAX_VIEW = 20


class NotOpaque(Exception):
    """The native serialiser gives something else than msgpack: the whole value goes through it."""


def opaque_form(value: object, native: SerializerProtocol) -> Form:
    """Raises NotOpaque, or what the native serialiser raises."""
    encoding, data = native.dumps_typed(value)
    if encoding != "msgpack":
        raise NotOpaque
    cls = value.__class__
    form = {
        "$": "opaque",
        "lang": "python",
        "enc": encoding,
        "type": f"{cls.__module__}:{cls.__qualname__}",
        "v": base64.b64encode(data).decode(),
    }
    view = _view(_unpacked(data, _viewed), _MAX_VIEW)
    return form if view is None else form | {"view": view}


def _unpacked(data: bytes, hook: Any) -> Any:
    return ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)


def _viewed(code: int, data: bytes) -> Any:
    """What an object was made of, in place of the object."""
    content = _unpacked(data, _viewed)
    if code == _DELTA:
        return content
    if code == _NUMPY:
        return {"dtype": content[0], "shape": content[1]}
    module, name, arguments = content[:3]
    cls = vars(sys.modules.get(module, object)).get(name)
    return "**********" if isinstance(cls, type) and is_secret(cls) else arguments


def _view(value: Any, levels: int) -> Any:
    """Plain JSON without numbers that some language can't read."""
    if isinstance(value, dict | list | tuple) and not levels:
        return "…"
    match value:
        case dict():
            shown: Any = {_readable(str(key)): _view(item, levels - 1) for key, item in value.items()}
        case list() | tuple():
            shown = [_view(item, levels - 1) for item in value]
        case bytes():
            shown = f"{len(value)} bytes"
        case str():
            shown = _readable(value)
        case float() if not isfinite(value):
            shown = str(value)
        case int() if not -MAX_SAFE <= value <= MAX_SAFE:
            shown = str(value)
        case _:
            shown = value
    return shown


def _readable(text: str) -> str:
    return text.encode(errors="replace").decode()


def read_opaque(form: dict[str, Any], allowed: Allowed) -> Any:
    """The object, made anew. Raises Malformed when it is not Python's, not allowed, or not as it says; or what the
    class raises."""
    if form.keys() - _MEMBERS or form.get("lang") != "python" or form.get("enc") != "msgpack":
        raise Malformed
    type_ = text(form["type"])
    value = _Reviving(allowed, type_).revived(read_bytes(form["v"]))
    if f"{value.__class__.__module__}:{value.__class__.__qualname__}" != type_:
        raise Malformed
    return value


class _Reviving:
    """Makes one object, and those within it. One that may not be made fails the whole."""

    def __init__(self, allowed: Allowed, type_: str) -> None:
        self._allowed = allowed
        self._type = type_
        self._nesting = 0

    def revived(self, data: bytes) -> Any:
        # Only of an object itself is the name known in full.
        if not data or not (data[0] in range(0xC7, 0xCA) or data[0] in range(0xD4, 0xD9)):
            raise Malformed
        return _unpacked(data, self._hook)

    def _hook(self, code: int, data: bytes) -> Any:
        if self._nesting == _MAX_NESTING:
            raise Malformed
        outermost = self._nesting == 0
        self._nesting += 1
        content = _unpacked(data, self._hook)
        self._nesting -= 1
        if code == _DELTA and DeltaSnapshot is not None:
            return DeltaSnapshot(content)
        if code == _NUMPY:
            return _array(*content)
        module, name, argument, *method = content
        if (code, module, name) == (_ARGUMENTS, "re", "compile"):
            return re.compile(*argument)
        full = self._type.removeprefix(f"{module}:") if outermost else name
        if full.rpartition(".")[2] != name:
            raise Malformed
        if (cls := self._allowed.find(text(module), full)) is None:
            raise Malformed
        return _made(code, cls, argument, method)


def _made(code: int, cls: Any, argument: Any, method: list[Any]) -> Any:
    if code in (_MODEL_1, _MODEL_2):
        return _model(code, cls, argument)
    if code == _METHOD:
        if method != ["fromisoformat"] or cls.__module__ != "datetime":
            raise Malformed
        return cls.fromisoformat(argument)
    if code == _ONE_ARGUMENT or issubclass(cls, Enum):  # an enum's other arguments would make another enum
        return cls(argument)
    if code == _KEYWORDS:
        return cls(**argument)
    if cls is Send and len(argument) == 3:
        return Send(argument[0], argument[1], timeout=argument[2])
    return cls(*argument)


def _model(code: int, cls: Any, members: dict[str, Any]) -> Any:
    try:
        return cls(**members)
    except Exception:
        # What the model would refuse now, LangGraph gives as it was.
        if not is_model(cls):
            raise
        return cls.construct(**members) if code == _MODEL_1 else cls.model_construct(**members)


def _array(dtype: str, shape: list[int], order: Any, data: bytes) -> Any:
    numpy: Any = sys.modules["numpy"]
    return numpy.frombuffer(data, dtype=numpy.dtype(text(dtype))).reshape(shape, order=order)
