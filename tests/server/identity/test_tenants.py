"""One tenant's data is nothing to another's credential, whatever the rpc: it sees, lists and changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from checkpointd.v1.access_pb2 import Role, access
from checkpointd.v1.api_keys_pb2 import CreateApiKeyRequest, ListApiKeysRequest
from checkpointd.v1.leases_pb2 import AcquireLeaseRequest
from tests.contract.rpcs import all_rpcs
from tests.messages import put_checkpoint, put_writes
from tests.server.everything import everything
from tests.server.identity.conftest import Secured, bearer
from tests.server.whole_requests import whole_request
from tests.server.wire import METHODS, UNLIMITED, Metadata, invoke, new_request, refused

Make = Callable[..., str]

# What only the tenant itself may ever be told.
SECRET = "known-to-the-tenant-alone"

# Fields that say which things a request is about, and how the things of the tenant are called.
_NAMES: dict[str, Any] = {
    "thread_id": SECRET,
    "thread_ids": [SECRET],
    "source_thread_id": SECRET,
    "target_thread_id": f"{SECRET}-2",
    "thread_id_prefix": SECRET[:5],
    "checkpoint_ns": "",
    "checkpoint_id": "c1",
    "before_checkpoint_id": "c9",
    "run_ids": ["run"],
    "holder": "another",
    "fencing_token": 1,
}

_SESSION = "Session"  # whose ops are those of other rpcs; each is looked at as its own (test_access.py)


class _Showing(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Shows a credential on every call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=(*(details.metadata or ()), *self._metadata)), request)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept


@pytest.fixture
def mine(secured: Secured, token: Make) -> Iterator[grpc.Channel]:
    """A channel of the tenant, which has a thread, a lease and an API key."""
    with grpc.insecure_channel(secured.server.address, UNLIMITED) as plain:
        channel = grpc.intercept_channel(plain, _Showing(bearer(token("admin"))))
        for number in range(3):
            put = put_checkpoint(SECRET, f"c{number}", values={"a": f"{SECRET}-value"}, metadata={"run_id": "run"})
            invoke(channel, "PutCheckpoint", put)
            invoke(channel, "PutWrites", put_writes(SECRET, f"c{number}", "task", [(0, "a", SECRET)]))
        lease = AcquireLeaseRequest(thread_id=SECRET, holder=f"{SECRET}-holder")
        lease.ttl.FromSeconds(3600)
        invoke(channel, "AcquireLease", lease)
        invoke(channel, "CreateApiKey", CreateApiKeyRequest(name=SECRET, role=Role.ROLE_READ))
        yield channel


def _request(rpc: str, key_id: str) -> Any:
    """A request that names what the tenant has, as far as it can."""
    request = whole_request(rpc) if rpc in METHODS else new_request(rpc)
    for name, value in (_NAMES | {"key_id": key_id}).items():
        if (field := request.DESCRIPTOR.fields_by_name.get(name)) is None:
            continue
        if field.is_repeated:
            del getattr(request, name)[:]
            getattr(request, name).extend(value)
        else:
            setattr(request, name, value)
    if "ttl" in request.DESCRIPTOR.fields_by_name:
        request.ttl.FromSeconds(60)
    if rpc == "CreateApiKey":
        request.role = Role.ROLE_ADMIN
    if rpc == "Watch":
        request.ClearField("thread_id_prefix")
        request.ClearField("token")
    if "wait" in request.DESCRIPTOR.fields_by_name:
        request.ClearField("wait")
    return request


_RPCS = [rpc for rpc in all_rpcs() if rpc.name != _SESSION]


# An operator's are refused for their role (test_access.py).
@pytest.mark.parametrize(
    "rpc", [rpc.name for rpc in _RPCS if rpc.GetOptions().Extensions[access].role < Role.ROLE_OPERATOR]
)
def test_another_tenants_data_is_nothing(
    rpc: str, mine: grpc.Channel, channel: grpc.Channel, token: Make, other_tenant: str
) -> None:
    key_id = invoke(mine, "ListApiKeys", ListApiKeysRequest())[0].api_keys[0].key_id
    request = _request(rpc, key_id)
    before, keys = everything(mine), invoke(mine, "ListApiKeys", ListApiKeysRequest())
    other = grpc.intercept_channel(channel, _Showing(bearer(token("admin", tenant=other_tenant))))
    told = ""
    try:
        told = str(invoke(other, rpc, request))
    except grpc.RpcError as error:
        told = str(error)
    # Nor that it is forbidden, which would tell that it is there.
    assert "PERMISSION_DENIED" not in told
    assert f"{SECRET}-value" not in told
    assert f"{SECRET}-holder" not in told
    assert everything(mine) == before
    assert invoke(mine, "ListApiKeys", ListApiKeysRequest()) == keys
    with refused(grpc.StatusCode.ABORTED, "LEASE_HELD"):  # it is still held, by who had it
        taking = AcquireLeaseRequest(thread_id=SECRET, holder="somebody")
        taking.ttl.FromSeconds(1)
        invoke(mine, "AcquireLease", taking)


@pytest.mark.parametrize("rpc", [rpc.name for rpc in _RPCS])
def test_the_metadata_of_another_tenant_does_not_help(
    rpc: str, mine: grpc.Channel, channel: grpc.Channel, token: Make, tenant: str, other_tenant: str
) -> None:
    named = _Showing((*bearer(token("admin", tenant=other_tenant)), ("checkpointd-tenant", tenant)))
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
        invoke(grpc.intercept_channel(channel, named), rpc, _request(rpc, "x"))
