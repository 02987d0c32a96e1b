"""Reading google.rpc.ErrorInfo out of a call's trailers.

The generated classes for it live in googleapis-common-protos, which would be a dependency for five fields. They are
described here instead, under names and in a pool of their own, so that nothing collides where that package is installed
too. On the wire only the field numbers count.
"""

import functools
from collections.abc import Iterable
from typing import Any, Protocol

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "checkpointd.client.error_info"


class Trailer(Protocol):
    """One item of a call's trailing metadata."""

    @property
    def key(self) -> str: ...

    @property
    def value(self) -> str | bytes: ...


def error_info(trailers: Iterable[Trailer]) -> tuple[str, dict[str, str]]:
    """The reason and the metadata of the ErrorInfo in a failed call's trailers; "" and {} when they hold none."""
    for trailer in trailers:
        if trailer.key == "grpc-status-details-bin" and isinstance(trailer.value, bytes):
            try:
                return _read(trailer.value)
            except DecodeError:
                break  # not a google.rpc.Status but a proxy's own idea of details: code and message must do
    return "", {}


def _read(status: bytes) -> tuple[str, dict[str, str]]:
    status_type, info_type = _types()
    for detail in status_type.FromString(status).details:
        if detail.type_url.endswith("/google.rpc.ErrorInfo"):
            info = info_type.FromString(detail.value)
            return info.reason, {entry.key: entry.value for entry in info.metadata}
    return "", {}


@functools.cache
def _types() -> tuple[Any, Any]:
    """The message types that read a google.rpc.Status and a google.rpc.ErrorInfo."""
    file = FileDescriptorProto(
        name="error_info.proto",
        package=_PACKAGE,
        syntax="proto3",
        message_type=[
            DescriptorProto(name="Status", field=[_messages("details", 3, of="Any")]),
            DescriptorProto(
                name="Any", field=[_text("type_url", 1), _field("value", 2, type=FieldDescriptorProto.TYPE_BYTES)]
            ),
            DescriptorProto(name="ErrorInfo", field=[_text("reason", 1), _messages("metadata", 3, of="Entry")]),
            DescriptorProto(name="Entry", field=[_text("key", 1), _text("value", 2)]),
        ],
    )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    status, info = (
        GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in ("Status", "ErrorInfo")
    )
    return status, info


def _text(name: str, number: int) -> FieldDescriptorProto:
    return _field(name, number, type=FieldDescriptorProto.TYPE_STRING)


def _messages(name: str, number: int, *, of: str) -> FieldDescriptorProto:
    return _field(
        name,
        number,
        type=FieldDescriptorProto.TYPE_MESSAGE,
        label=FieldDescriptorProto.LABEL_REPEATED,
        type_name=f".{_PACKAGE}.{of}",
    )


def _field(
    name: str,
    number: int,
    *,
    type: FieldDescriptorProto.Type.ValueType,
    label: FieldDescriptorProto.Label.ValueType = FieldDescriptorProto.LABEL_OPTIONAL,
    type_name: str | None = None,
) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=type, label=label, type_name=type_name)
