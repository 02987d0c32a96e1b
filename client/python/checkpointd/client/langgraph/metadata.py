"""Checkpoint metadata: a dict in LangGraph, a JSON object in the contract.

JSON is what filters look at and what other languages read. Where it can't hold a dict as it is, the whole dict is sent
in the serialiser's encoding as well, and the JSON holds what it can.
"""

import json
import math
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.langgraph.values import dump, loads, unreadable
from checkpointd.v1.core_pb2 import Metadata

# PostgreSQL's jsonb takes far more of both, but other readers of the JSON may not.
_DEEPEST = 100
_MOST_BITS = 1024

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def write_metadata(metadata: dict[str, Any], serde: SerializerProtocol, into: Metadata) -> None:
    """Put metadata into a message."""
    if fits_json(metadata):
        into.json = _encode(metadata)
    else:
        into.json = _encode(project(metadata))
        dump(serde, metadata, into.native, "metadata")


def metadata_json(metadata: dict[str, Any]) -> str:
    """What JSON can hold of metadata; "" for none."""
    return _encode(project(metadata)) if metadata else ""


def read_metadata(message: Metadata, serde: SerializerProtocol) -> dict[str, Any]:
    """The metadata in a message: as it was where the serialiser can read it, otherwise what its JSON holds."""
    if message.HasField("native"):
        try:
            native: dict[str, Any] = loads(serde, (message.native.encoding, message.native.data))
        except NotImplementedError:
            pass  # how serialisers refuse an encoding: another kind of client wrote this
        except Exception as error:  # a serialiser may raise anything
            raise unreadable("metadata", message.native, error) from error
        else:
            return native
    parsed: dict[str, Any] = json.loads(message.json or "{}")
    return parsed


def fits_json(value: Any, depth: int = 0) -> bool:
    """Whether a value comes back from JSON as it was. A tuple does not count as changed.

    LangGraph's own serialiser gives a tuple back as a list as well.
    """
    kind = type(value)
    if kind is str:
        return is_text(value)
    if kind is int:
        return int(value).bit_length() <= _MOST_BITS
    if kind is dict:
        return depth < _DEEPEST and all(
            type(key) is str and is_text(key) and fits_json(part, depth + 1) for key, part in value.items()
        )
    if kind is list or kind is tuple:
        return depth < _DEEPEST and all(fits_json(part, depth + 1) for part in value)
    if kind is float:
        return math.isfinite(value)
    return value is None or kind is bool


def is_text(text: str) -> bool:
    """Whether the contract's JSON may hold a string: no NUL, no lone surrogates."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_NOTHING = object()


def project(value: object, depth: int = 0) -> Any:
    """What JSON can hold of a value: text is cleaned, what does not fit is left out. _NOTHING if that is all of it."""
    if isinstance(value, str):
        return str.__str__(value).replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, dict) and depth < _DEEPEST:
        texts = ((key, part) for key, part in value.items() if isinstance(key, str))
        parts = ((project(key), project(part, depth + 1)) for key, part in texts)
        return {key: part for key, part in parts if part is not _NOTHING}
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return [part for part in (project(part, depth + 1) for part in value) if part is not _NOTHING]
    if isinstance(value, int):
        return value if value.bit_length() <= _MOST_BITS else _NOTHING
    return value if value is None or (isinstance(value, float) and math.isfinite(value)) else _NOTHING
