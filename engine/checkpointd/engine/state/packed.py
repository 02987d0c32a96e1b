"""msgpack with the extensions of LangGraph's serialiser for Python, without the classes that they are of.

Codes and layouts of the extensions are those of langgraph.checkpoint.serde.jsonplus.
"""

from dataclasses import dataclass
from typing import Any

import ormsgpack

from checkpointd.engine.state.errors import Opaque

# Extensions: [module, class, argument], the same with a list of arguments, with a dict of them, with a method that
# takes the argument, a pydantic object's [module, class, fields] of both its versions, numpy's, and a bare value.
SINGLE_ARGUMENT = 0
ARGUMENTS = 1
FIELDS = 2
METHOD = 3
MODEL_V1 = 4
MODEL = 5
ARRAY = 6
DELTA_SNAPSHOT = 7

# Without PASSTHROUGH, an Ext would be written as the object that a dataclass is to ormsgpack.
_OPTIONS = ormsgpack.OPT_NON_STR_KEYS | ormsgpack.OPT_REPLACE_SURROGATES | ormsgpack.OPT_PASSTHROUGH_DATACLASS


@dataclass(frozen=True, slots=True)
class Ext:
    """An object of some class, as its serialiser wrote it. Equal when the bytes are."""

    code: int
    data: bytes


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


def unpack(data: bytes) -> Any:
    """The reverse of `pack`. Raises Opaque for bytes that are no msgpack."""
    try:
        return ormsgpack.unpackb(data, ext_hook=Ext, option=ormsgpack.OPT_NON_STR_KEYS)
    except (ValueError, TypeError) as error:
        raise Opaque(f"is not msgpack, though its encoding says so ({error})") from None


def constructed(data: Any, code: int) -> tuple[str, str, Any]:
    """Module, class and argument of an object with this extension code. Raises Opaque for anything else."""
    if isinstance(data, Ext) and data.code == code:
        match unpack(data.data):
            case [str(module), str(name), argument, *_]:
                return module, name, argument
    raise Opaque("is of a shape that the server does not know")
