"""Values: objects in LangGraph, an encoding's name and bytes in the contract. The serialiser (serde) knows both."""

from functools import cache
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.errors import InvalidRequest, UnreadableValue
from checkpointd.client.langgraph.portable import ENCODING, PortableSerializer
from checkpointd.v1.core_pb2 import Value

# A serialised value: its encoding's name and its bytes.
Typed = tuple[str, bytes]


def dump(serde: SerializerProtocol, value: object, into: Value, name: str) -> None:
    """Serialise a value into a message. Raises InvalidRequest with this name when the serialiser refuses it."""
    put_into(into, dumped(serde, value, name), name)


def dumped(serde: SerializerProtocol, value: object, name: str) -> Typed:
    """A value, serialised. Raises InvalidRequest with this name when the serialiser refuses it."""
    try:
        encoding, data = serde.dumps_typed(value)
        # A serialiser may give any bytes-like object, a message takes only bytes.
        return encoding, data if type(data) is bytes else bytes(data)
    except Exception as error:
        raise _unstorable(name, error) from error


def put_into(into: Value, typed: Typed, name: str) -> None:
    """Put a serialised value into a message. Raises InvalidRequest with this name when it does not fit there."""
    try:
        into.encoding, into.data = typed
    except Exception as error:
        raise _unstorable(name, error) from error


def _unstorable(name: str, cause: Exception) -> InvalidRequest:
    return InvalidRequest(
        f"{name} can't be stored: {cause}; this call stored nothing",
        reason="INVALID_FIELD",
        metadata={"field": name},
    )


def load(serde: SerializerProtocol, value: Value, name: str) -> Any:
    """The object in a message. Raises UnreadableValue with this name when the serialiser can't make it."""
    return loaded(serde, (value.encoding, value.data), name)


def loaded(serde: SerializerProtocol, typed: Typed, name: str) -> Any:
    """The object that was serialised, made anew. Raises UnreadableValue with this name when it can't be made."""
    try:
        return loads(serde, typed)
    except Exception as error:
        encoding, data = typed
        raise unreadable(name, Value(encoding=encoding, data=data), error) from error


def loads(serde: SerializerProtocol, typed: Typed) -> Any:
    """As the serialiser's `loads_typed`; `portable-json/1` is read with any serialiser."""
    try:
        return serde.loads_typed(typed)
    except NotImplementedError:  # how serialisers refuse an encoding
        if typed[0] != ENCODING:
            raise
        # Where LangGraph's own serialiser may not make objects of all classes, it is no way around that.
        restricted = getattr(serde, "_allowed_msgpack_modules", True) is not True
        return _portable(restricted).loads_typed(typed)


@cache
def _portable(restricted: bool) -> PortableSerializer:
    return PortableSerializer(allowed_types=()) if restricted else PortableSerializer()


def unreadable(name: str, value: Value, cause: Exception) -> UnreadableValue:
    """The error for a value that the serialiser can't read."""
    return UnreadableValue(
        f"the value of {name!r}, {len(value.data)} bytes of encoding {value.encoding!r}, can't be read: {cause!r}",
        metadata={"name": name, "encoding": value.encoding},
    )
