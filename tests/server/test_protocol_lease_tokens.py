"""What a lease's fields may hold, and that its tokens only grow."""

from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from checkpointd.v1.leases_pb2 import ReleaseLeaseRequest
from checkpointd.v1.leases_pb2_grpc import LeasesStub
from checkpointd.v1.threads_pb2 import DeleteThreadRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.server.conftest import TwoServers
from tests.server.leasing import StoredLeases, acquire, acquisition, release, renew, renewal
from tests.server.wire import invalid, refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_LEAST, _MOST = -(2**63), 2**63 - 1

_BAD_TTLS = {
    "missing": None,
    "zero": Duration(),
    "negative": Duration(seconds=-1),
    "a bit negative": Duration(nanos=-1),
    "less than a second": Duration(nanos=999_999_999),
    "a bit more than an hour": Duration(seconds=3600, nanos=1),
    "the greatest": Duration(seconds=_MOST, nanos=2**31 - 1),
    "the smallest": Duration(seconds=_LEAST, nanos=-(2**31)),
}
# Not durations at all (google/protobuf/duration.proto), though their sum may be in the range.
_MALFORMED = {
    "nanos of a second": Duration(seconds=1, nanos=1_000_000_000),
    "nanos beyond": Duration(seconds=1, nanos=2**31 - 1),
    "nanos below": Duration(seconds=10, nanos=-(2**31)),
    "nanos of another sign": Duration(seconds=10, nanos=-1),
}
_BAD_WAITS = {
    "negative": Duration(seconds=-1),
    "a bit negative": Duration(nanos=-1),
    "a bit more than an hour": Duration(seconds=3600, nanos=1),
    "the greatest": Duration(seconds=_MOST, nanos=999_999_999),
    "the smallest": Duration(seconds=_LEAST, nanos=-999_999_999),
}


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[LeasesStub]:
    return LeasesStub


_each_bad_ttl = pytest.mark.parametrize(
    "ttl", [*_BAD_TTLS.values(), *_MALFORMED.values()], ids=[*_BAD_TTLS, *_MALFORMED]
)


@_each_bad_ttl
def test_times_that_no_lease_lasts(grpc_channel: grpc.Channel, grpc_stub: LeasesStub, ttl: Duration | None) -> None:
    request = acquisition("a")
    request.ClearField("ttl")
    if ttl is not None:
        request.ttl.CopyFrom(ttl)
    with invalid("ttl"):
        grpc_stub.AcquireLease(request)
    acquire(grpc_channel, "b")


@_each_bad_ttl
def test_times_that_no_lease_is_renewed_for(
    grpc_channel: grpc.Channel, grpc_stub: LeasesStub, ttl: Duration | None
) -> None:
    token = acquire(grpc_channel, "a")
    request = renewal("a", token)
    request.ClearField("ttl")
    if ttl is not None:
        request.ttl.CopyFrom(ttl)
    with invalid("ttl"):
        grpc_stub.RenewLease(request)
    renew(grpc_channel, "a", token)


@pytest.mark.parametrize(
    "ttl",
    [Duration(seconds=1), Duration(seconds=1, nanos=1), Duration(seconds=3600)],
    ids=lambda ttl: ttl.ToJsonString(),
)
def test_times_that_a_lease_lasts(grpc_stub: LeasesStub, ttl: Duration) -> None:
    request = acquisition("a")
    request.ttl.CopyFrom(ttl)
    assert grpc_stub.AcquireLease(request).lease.holder == "a"


@pytest.mark.parametrize("wait", [*_BAD_WAITS.values(), *_MALFORMED.values()], ids=[*_BAD_WAITS, *_MALFORMED])
def test_times_that_nobody_waits(grpc_channel: grpc.Channel, grpc_stub: LeasesStub, wait: Duration) -> None:
    request = acquisition("a")
    request.wait.CopyFrom(wait)
    with invalid("wait"):
        grpc_stub.AcquireLease(request)
    acquire(grpc_channel, "b")


@pytest.mark.parametrize("wait", [Duration(), Duration(nanos=1), Duration(seconds=3600)], ids=Duration.ToJsonString)
def test_times_that_one_waits(grpc_stub: LeasesStub, wait: Duration) -> None:
    request = acquisition("a")
    request.wait.CopyFrom(wait)
    assert grpc_stub.AcquireLease(request).lease.holder == "a"


@pytest.mark.parametrize("token", [0, 2**63, 2**64 - 1])
def test_tokens_that_no_lease_has(grpc_channel: grpc.Channel, grpc_stub: LeasesStub, token: int) -> None:
    acquire(grpc_channel, "a")
    with invalid("fencing_token"):
        grpc_stub.RenewLease(renewal("a", token))
    with invalid("fencing_token"):
        grpc_stub.ReleaseLease(ReleaseLeaseRequest(thread_id="t", holder="a", fencing_token=token))
    with refused(grpc.StatusCode.ABORTED, "LEASE_HELD"):
        acquire(grpc_channel, "b")


def test_tokens_only_grow(
    grpc_channel: grpc.Channel, second_channel: grpc.Channel, threads: ThreadsStub, stored_leases: StoredLeases
) -> None:
    tokens: list[int] = []
    for attempt in range(3):
        for channel, thread_id in ((grpc_channel, "t"), (second_channel, "u"), (grpc_channel, "v")):
            tokens.append(acquire(channel, f"a{attempt}", thread_id))
        release(second_channel, f"a{attempt}", tokens[-3])
        stored_leases.expire("u")
        threads.DeleteThread(DeleteThreadRequest(thread_id="v"))
    assert tokens == sorted(set(tokens))


def test_no_token_comes_again_after_one_that_was_refused(grpc_channel: grpc.Channel) -> None:
    token = acquire(grpc_channel, "a")
    for _ in range(3):
        with refused(grpc.StatusCode.ABORTED, "LEASE_HELD"):
            acquire(grpc_channel, "b")
        assert acquire(grpc_channel, "a") == token
    release(grpc_channel, "a", token)
    assert acquire(grpc_channel, "b") > token


def test_leases_outlast_the_server(database_url: str, tmp_path: Path) -> None:
    tokens: list[int] = []
    for attempt in range(3):
        with (
            ServerProcess(tmp_path / "log", "--database-url", database_url) as running,
            grpc.insecure_channel(running.address) as channel,
        ):
            if tokens:
                assert acquire(channel, f"a{attempt - 1}") == tokens[-1]
                release(channel, f"a{attempt - 1}", tokens[-1])
            tokens.append(acquire(channel, f"a{attempt}"))
            running.kill() if attempt == 1 else running.stop()
    assert tokens == sorted(set(tokens))
