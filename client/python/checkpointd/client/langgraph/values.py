"""Values: objects in LangGraph, an encoding's name and bytes in the contract. The serialiser (serde) knows both."""

from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.errors import InvalidRequest, UnreadableValue
from checkpointd.v1.core_pb2 import Value


def dump(serde: SerializerProtocol, value: object, into: Value, name: str) -> None:
    """Serialise a value into a message. Raises InvalidRequest with this name when the serialiser refuses it."""
    try:
        into.encoding, data = serde.dumps_typed(value)
        # A serialiser may give any bytes-like object, a message takes only bytes.
        into.data = data if type(data) is bytes else bytes(data)
    except Exception as error:
        raise InvalidRequest(
            f"{name} can't be stored: {error}; this call stored nothing",
            reason="INVALID_FIELD",
            metadata={"field": name},
        ) from error


def load(serde: SerializerProtocol, value: Value, name: str) -> Any:
    """The object in a message. Raises UnreadableValue with this name when the serialiser can't make it."""
    try:
        return serde.loads_typed((value.encoding, value.data))
    except Exception as error:
        raise unreadable(name, value, error) from error


def unreadable(name: str, value: Value, cause: Exception) -> UnreadableValue:
    """The error for a value that the serialiser can't read."""
    return UnreadableValue(
        f"the value of {name!r}, {len(value.data)} bytes of encoding {value.encoding!r}, can't be read: {cause!r}",
        metadata={"name": name, "encoding": value.encoding},
    )
