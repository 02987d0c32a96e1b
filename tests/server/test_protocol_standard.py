"""The standard services beside the contract's: health and reflection."""

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from checkpointd.v1 import checkpoints_pb2, core_pb2
from tests.server.wire import API_KEYS, SERVICES, WATCHES, health
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[ServerReflectionStub]:
    stub: type[ServerReflectionStub] = ServerReflectionStub
    return stub


def _ask(stub: ServerReflectionStub, request: ServerReflectionRequest) -> ServerReflectionResponse:
    (answer,) = stub.ServerReflectionInfo(iter([request]))
    return answer


@pytest.mark.parametrize("service", ["", *(service.full_name for service in (*SERVICES, API_KEYS, WATCHES))])
def test_every_service_is_healthy(server: ServerProcess, service: str) -> None:
    assert health(server.address, service) == "SERVING"


def test_health_of_an_unknown_service(server: ServerProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health(server.address, "checkpointd.v1.Nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services(grpc_stub: ServerReflectionStub) -> None:
    answer = _ask(grpc_stub, ServerReflectionRequest(list_services=""))
    assert {service.name for service in answer.list_services_response.service} == {
        *(service.full_name for service in (*SERVICES, API_KEYS, WATCHES)),
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("descriptor", [checkpoints_pb2.DESCRIPTOR, core_pb2.DESCRIPTOR], ids=lambda file: file.name)
def test_reflection_describes_messages(grpc_stub: ServerReflectionStub, descriptor: object) -> None:
    expected = FileDescriptorProto()
    descriptor.CopyToProto(expected)  # type: ignore[attr-defined]
    symbol = f"checkpointd.v1.{expected.message_type[0].name}"
    answer = _ask(grpc_stub, ServerReflectionRequest(file_containing_symbol=symbol))
    files = [FileDescriptorProto.FromString(data) for data in answer.file_descriptor_response.file_descriptor_proto]
    assert expected in files


def test_reflection_of_an_unknown_symbol(grpc_stub: ServerReflectionStub) -> None:
    answer = _ask(grpc_stub, ServerReflectionRequest(file_containing_symbol="checkpointd.v1.Nothing"))
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
