"""Building the contract's messages so that a bad field is named."""

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.message import Message

from checkpointd.client.errors import InvalidRequest

AnyMessage = TypeVar("AnyMessage", bound=Message)


def build(kind: type[AnyMessage], **fields: object) -> AnyMessage:
    """The message with these fields. Raises InvalidRequest, naming the field, for a value that a field can't hold.

    Wrong types, text that is not Unicode (lone surrogates) and numbers out of range are found here; the rest of the
    contract's rules by the server.
    """
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        field, cause = _find(kind, fields) or ("", error)
        raise InvalidRequest(
            f"{field or kind.DESCRIPTOR.name} can't be sent: {cause}", reason="INVALID_FIELD", metadata={"field": field}
        ) from error


def _find(kind: type[Message], fields: Mapping[str, object]) -> tuple[str, Exception] | None:
    """The field, and the key within it, that the message type refuses, and what it says."""
    for name, value in fields.items():
        parts = [({key: part}, f"{name}[{key!r}]") for key, part in value.items()] if isinstance(value, Mapping) else []
        for part, path in (*parts, (value, name)):
            try:
                kind(**{name: part})
            except (TypeError, ValueError) as error:
                return path, error
    return None
