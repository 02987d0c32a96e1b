"""Building the contract's messages so that a bad field is named."""

from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from checkpointd.client.errors import InvalidRequest

AnyMessage = TypeVar("AnyMessage", bound=Message)

# What protobuf raises for a value that a field can't hold: of a wrong type, text that is not Unicode (lone surrogates),
# a number out of range.
UNSENDABLE = (TypeError, ValueError)


def build(kind: type[AnyMessage], **fields: object) -> AnyMessage:
    """The message with these fields. Raises InvalidRequest, naming the field, for a value that a field can't hold.

    The rest of the contract's rules are the server's to check.
    """
    try:
        return kind(**fields)
    except UNSENDABLE as error:
        for name, value in fields.items():
            _check(kind, name, value)
        raise unsendable(kind.DESCRIPTOR.name, error) from error


def duration(field: str, seconds: float) -> Duration:
    """A time in the contract's form. Raises InvalidRequest, naming the field, for what is no number of seconds."""
    try:
        message = Duration()
        message.FromNanoseconds(round(seconds * 1e9))
        return message
    except (OverflowError, *UNSENDABLE) as error:
        raise unsendable(field, error) from error


def unsendable(field: str, cause: Exception) -> InvalidRequest:
    """The error for a field whose value can't be put into a message."""
    return InvalidRequest(
        f"{field} can't be sent: {cause}; this call stored nothing", reason="INVALID_FIELD", metadata={"field": field}
    )


def _check(kind: type[Message], name: str, value: object) -> None:
    try:
        kind(**{name: value})
    except UNSENDABLE as error:
        raise unsendable(name, error) from error
