"""Calls at the level of the protocol: any rpc by its name, any bytes, and what an error carries."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checkpointd.v1 import (
    api_keys_pb2,
    checkpoints_pb2,
    leases_pb2,
    limits_pb2,
    retention_pb2,
    states_pb2,
    threads_pb2,
    watch_pb2,
)

Metadata = tuple[tuple[str, str | bytes], ...]

TENANT = "checkpointd-tenant"
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
SERVICES = (
    checkpoints_pb2.DESCRIPTOR.services_by_name["Checkpoints"],
    leases_pb2.DESCRIPTOR.services_by_name["Leases"],
    limits_pb2.DESCRIPTOR.services_by_name["Limits"],
    retention_pb2.DESCRIPTOR.services_by_name["Retention"],
    states_pb2.DESCRIPTOR.services_by_name["States"],
    threads_pb2.DESCRIPTOR.services_by_name["Threads"],
)
# What only servers with identity do (tests/server/identity).
API_KEYS = api_keys_pb2.DESCRIPTOR.services_by_name["ApiKeys"]
# Every rpc of the contract that all servers have, but for the stream that carries the requests of others
# (test_protocol_sessions.py).
METHODS: dict[str, MethodDescriptor] = {
    method.name: method for service in SERVICES for method in service.methods if not method.client_streaming
}
# What has no end (tests/server/test_watch.py).
WATCHES = watch_pb2.DESCRIPTOR.services_by_name["Watches"]
_ALL = METHODS | {method.name: method for service in (API_KEYS, WATCHES) for method in service.methods}


def new_request(rpc: str) -> Any:
    """An empty request of an rpc."""
    return GetMessageClass(_ALL[rpc].input_type)()


def whole_path(rpc: str) -> str:
    """The path by which HTTP/2 names an rpc."""
    service = _ALL[rpc].containing_service
    assert service is not None
    return f"/{service.full_name}/{rpc}"


def invoke(
    channel: grpc.Channel, rpc: str, request: Message | bytes, metadata: Metadata = (), timeout: float | None = None
) -> list[Any]:
    """Call an rpc with a message, or with raw bytes in its place, and return all it answers; of what has no end, the
    beginning."""
    method, path = _ALL[rpc], whole_path(rpc)
    data = request if isinstance(request, bytes) else request.SerializeToString()
    read = GetMessageClass(method.output_type).FromString
    if method.server_streaming:
        stream: Any = channel.unary_stream(path, None, read)
        answers = stream(data, metadata=metadata, timeout=timeout)
        if method.containing_service is not WATCHES:
            return list(answers)
        first = next(answers)
        answers.cancel()
        return [first]
    call: Any = channel.unary_unary(path, None, read)
    return [call(data, metadata=metadata, timeout=timeout)]


@dataclass
class Refused:
    """What an error status carried; filled when the block that expects it has ended."""

    message: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@contextmanager
def refused(code: grpc.StatusCode, reason: str | None) -> Iterator[Refused]:
    """The block fails with this code and the contract's reason; None: without an ErrorInfo."""
    found = Refused()
    with pytest.raises(grpc.RpcError) as caught:
        yield found
    error = cast(grpc.Call, caught.value)
    found.message = error.details() or ""
    assert (error.code(), error_reason(error, found)) == (code, reason), found.message


def error_reason(error: grpc.Call, into: Refused | None = None) -> str | None:
    """The reason in the details of an error status, which must be as error_reason.proto says."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return None
    assert isinstance(details, bytes)
    status = Status.FromString(details)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    first, *more = status.details
    info = ErrorInfo()
    assert first.Unpack(info)
    assert info.domain == "checkpointd"
    delays = [delay_of(one) for one in more]
    assert delays == [int(delay) for key, delay in info.metadata.items() if key == "retry_after_ms"]
    if into is not None:
        into.metadata = dict(info.metadata)
    return str(info.reason)


def delay_of(detail: AnyMessage) -> int:
    """The milliseconds of a RetryInfo."""
    info = RetryInfo()
    assert detail.Unpack(info)
    return int(info.retry_delay.ToMilliseconds())


@contextmanager
def invalid(named: str) -> Iterator[Refused]:
    """The block is refused as INVALID_FIELD, and the field that is named ends with `named`."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as found:
        yield found
    assert found.metadata.keys() == {"field"}
    assert found.metadata["field"].endswith(named), found.metadata["field"]
    assert found.message.startswith(found.metadata["field"])


def health(address: str, service: str = "", timeout: float = 30) -> str:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout, wait_for_ready=True)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Metadata
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _OfTenant(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, tenant: str) -> None:
        self._metadata: Metadata = ((TENANT, tenant),)

    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = tuple(details.metadata or ())
        if not any(key.startswith(TENANT) for key, _ in metadata):
            metadata += self._metadata
        named = _Details(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready, details.compression
        )
        return continuation(named, request)

    # The stubs give each its own generic signature.
    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept


def of_tenant(channel: grpc.Channel, tenant: str) -> grpc.Channel:
    """The channel with the tenant on every call that names none."""
    return grpc.intercept_channel(channel, _OfTenant(tenant))


def ids(responses: Iterable[checkpoints_pb2.ListCheckpointsResponse]) -> list[str]:
    """The checkpoint ids of a list."""
    return [response.checkpoint_tuple.checkpoint.id for response in responses]
