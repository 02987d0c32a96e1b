"""The service Leases: who holds one, waiting for it, and how it ends."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.leases_pb2_grpc import LeasesStub
from checkpointd.v1.threads_pb2 import (
    DeleteRunsRequest,
    DeleteThreadRequest,
    ListThreadsRequest,
    PruneStrategy,
    PruneThreadsRequest,
)
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.server.conftest import TwoServers
from tests.server.leasing import StoredLeases, acquire, acquisition, release, renew, renewal
from tests.server.wire import of_tenant, refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[LeasesStub]:
    return LeasesStub


_held = (grpc.StatusCode.ABORTED, "LEASE_HELD")
_lost = (grpc.StatusCode.ABORTED, "LEASE_LOST")


def _put(channel: grpc.Channel, name: str, token: int, thread_id: str = "t") -> None:
    request = put_checkpoint(thread_id, name)
    request.precondition.fencing_token = token
    CheckpointsStub(channel).PutCheckpoint(request)


def test_a_lease_says_what_it_is(grpc_stub: LeasesStub) -> None:
    request = acquisition("worker 1", "é")
    request.ttl.CopyFrom(Duration(seconds=3600))
    lease = grpc_stub.AcquireLease(request).lease
    assert lease.fencing_token >= 1
    assert lease.holder == "worker 1"
    assert 0 < lease.remaining.ToTimedelta().total_seconds() <= 3600
    assert lease.expires_at.seconds > 0
    renewed = grpc_stub.RenewLease(renewal("worker 1", lease.fencing_token, "é")).lease
    assert (renewed.fencing_token, renewed.holder) == (lease.fencing_token, "worker 1")
    # Another while from now, not on top of the first one.
    assert renewed.expires_at.ToDatetime() < lease.expires_at.ToDatetime()
    assert 0 < renewed.remaining.ToTimedelta().total_seconds() <= 60


def test_the_holder_gets_the_same_token_and_the_time_anew(grpc_stub: LeasesStub, grpc_channel: grpc.Channel) -> None:
    first, again = (grpc_stub.AcquireLease(acquisition("a")).lease for _ in range(2))
    assert again.fencing_token == first.fencing_token
    assert again.expires_at.ToDatetime() > first.expires_at.ToDatetime()
    assert renew(grpc_channel, "a", first.fencing_token).expires_at.ToDatetime() > again.expires_at.ToDatetime()


def test_somebody_else_is_told_who_has_it(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> None:
    token = acquire(grpc_channel, "a")
    for channel in (grpc_channel, second_channel):
        with refused(*_held) as found:
            acquire(channel, "b")
        assert found.metadata.keys() == {"thread_id", "holder", "expires_in_ms"}
        assert (found.metadata["thread_id"], found.metadata["holder"]) == ("t", "a")
        assert 0 < int(found.metadata["expires_in_ms"]) <= 60_000
    assert "'a'" in found.message
    renew(second_channel, "a", token)


def test_names_of_holders_are_compared_whole(grpc_channel: grpc.Channel) -> None:
    acquire(grpc_channel, "a")
    for other in ("A", "a ", " a", "aa", "ä"):
        with refused(*_held):
            acquire(grpc_channel, other)


def test_threads_and_tenants_have_leases_of_their_own(grpc_channel: grpc.Channel, grpc_addr: str, tenant: str) -> None:
    token = acquire(grpc_channel, "a")
    other = acquire(grpc_channel, "b", "u")
    with grpc.insecure_channel(grpc_addr) as channel:
        of_another = of_tenant(channel, f"{tenant}.other")
        with refused(*_lost):
            renew(of_another, "a", token)
        release(of_another, "a", token)
        third = acquire(of_another, "c")
        with refused(*_lost):
            _put(of_another, "c1", token)
        _put(of_another, "c1", third)
    assert len({token, other, third}) == 3
    _put(grpc_channel, "c1", token)


def test_a_lease_makes_no_thread(grpc_channel: grpc.Channel, threads: ThreadsStub) -> None:
    release(grpc_channel, "a", acquire(grpc_channel, "a"))
    acquire(grpc_channel, "b")
    assert not threads.ListThreads(ListThreadsRequest()).threads


def test_a_released_lease_is_free(grpc_channel: grpc.Channel) -> None:
    token = acquire(grpc_channel, "a")
    for _ in range(2):
        release(grpc_channel, "a", token)
    with refused(*_lost) as found:
        renew(grpc_channel, "a", token)
    assert found.metadata == {"thread_id": "t", "fencing_token": str(token)}
    second = acquire(grpc_channel, "b")
    release(grpc_channel, "a", token)  # again, and late: not the new one
    renew(grpc_channel, "b", second)
    with refused(*_lost) as found:
        renew(grpc_channel, "a", token)
    assert found.metadata == {"thread_id": "t", "fencing_token": str(token), "holder": "b"}


def test_somebody_elses_lease_can_not_be_given_back(grpc_channel: grpc.Channel) -> None:
    token = acquire(grpc_channel, "a")
    with refused(*_held) as found:
        release(grpc_channel, "b", token)
    assert (found.metadata["thread_id"], found.metadata["holder"]) == ("t", "a")
    renew(grpc_channel, "a", token)


def test_a_token_is_good_for_its_thread_and_its_holder(grpc_channel: grpc.Channel) -> None:
    token, other = acquire(grpc_channel, "a"), acquire(grpc_channel, "a", "u")
    for holder, wrong in (("a", other), ("b", token), ("b", other), ("a", token + 10**9), ("a", 2**63 - 1)):
        with refused(*_lost) as found:
            renew(grpc_channel, holder, wrong)
        assert found.metadata == {"thread_id": "t", "fencing_token": str(wrong), "holder": "a"}
    release(grpc_channel, "a", other)  # which this thread does not have: released already
    renew(grpc_channel, "a", token)
    renew(grpc_channel, "a", other, "u")


def test_a_lease_ends_by_the_databases_clock(
    grpc_channel: grpc.Channel, second_channel: grpc.Channel, stored_leases: StoredLeases
) -> None:
    token = acquire(grpc_channel, "a")
    stored_leases.expire()
    for channel in (grpc_channel, second_channel):
        with refused(*_lost) as found:
            renew(channel, "a", token)
        assert found.metadata == {"thread_id": "t", "fencing_token": str(token)}
        with refused(*_lost):
            _put(channel, "c1", token)
    release(grpc_channel, "a", token)
    assert stored_leases.holder() is None
    assert acquire(second_channel, "a") > token  # its holder of before too


@pytest.mark.parametrize("how", ["deleted", "deleted before it was written", "pruned"])
def test_a_deleted_thread_stays_deleted(grpc_channel: grpc.Channel, threads: ThreadsStub, how: str) -> None:
    token = acquire(grpc_channel, "a")
    if how != "deleted before it was written":
        _put(grpc_channel, "c1", token)
    if how == "pruned":
        threads.PruneThreads(PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_DELETE))
    else:
        threads.DeleteThread(DeleteThreadRequest(thread_id="t"))
    with refused(*_lost) as found:
        renew(grpc_channel, "a", token)
    assert found.metadata == {"thread_id": "t", "fencing_token": str(token)}
    for name in ("c1", "c2"):
        with refused(*_lost):
            _put(grpc_channel, name, token)
    assert not threads.ListThreads(ListThreadsRequest()).threads
    anew = acquire(grpc_channel, "b")
    assert anew > token
    _put(grpc_channel, "c2", anew)


def test_other_removals_leave_the_lease(grpc_channel: grpc.Channel, threads: ThreadsStub) -> None:
    token = acquire(grpc_channel, "a")
    for name in ("c1", "c2"):
        _put(grpc_channel, name, token)
    threads.PruneThreads(PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST))
    threads.DeleteRuns(DeleteRunsRequest(run_ids=["r"]))
    renew(grpc_channel, "a", token)
    _put(grpc_channel, "c3", token)


# Waiting.


def test_a_waiter_gets_what_is_given_back(
    grpc_channel: grpc.Channel, second_channel: grpc.Channel, grpc_stub: LeasesStub
) -> None:
    token = acquire(grpc_channel, "a")
    waiters = [LeasesStub(channel).AcquireLease.future for channel in (grpc_channel, second_channel)]
    waiting = [wait(acquisition(f"b{number}", wait=3000)) for number, wait in enumerate(waiters)]
    for _ in range(50):  # calls that come later are answered meanwhile, renewals too
        renew(grpc_channel, "a", token)
        renew(second_channel, "a", token)
    assert not any(each.done() for each in waiting)
    release(grpc_channel, "a", token)
    done = threading.Event()
    for each in waiting:
        each.add_done_callback(lambda _: done.set())
    assert done.wait(60)
    first, second = sorted(waiting, key=lambda each: not each.done())
    lease = first.result().lease
    assert lease.fencing_token > token
    release(grpc_channel, lease.holder, lease.fencing_token)
    after = second.result(timeout=60).lease
    assert after.fencing_token > lease.fencing_token
    assert {lease.holder, after.holder} == {"b0", "b1"}


def test_a_waiter_gets_what_has_expired(
    grpc_channel: grpc.Channel, grpc_stub: LeasesStub, stored_leases: StoredLeases
) -> None:
    token = acquire(grpc_channel, "a")
    waiting = grpc_stub.AcquireLease.future(acquisition("b", wait=3000))
    stored_leases.expire()
    assert waiting.result(timeout=60).lease.fencing_token > token
    with refused(*_held) as found:
        acquire(grpc_channel, "a")
    assert found.metadata["holder"] == "b"


def test_a_waiter_gets_what_a_delete_has_ended(
    grpc_channel: grpc.Channel, grpc_stub: LeasesStub, threads: ThreadsStub
) -> None:
    token = acquire(grpc_channel, "a")
    waiting = grpc_stub.AcquireLease.future(acquisition("b", wait=3000))
    threads.DeleteThread(DeleteThreadRequest(thread_id="t"))
    assert waiting.result(timeout=60).lease.fencing_token > token


@pytest.mark.parametrize("wait", [0, 0.001, 0.3])
def test_a_wait_that_ends(grpc_channel: grpc.Channel, wait: float) -> None:
    token = acquire(grpc_channel, "a")
    with refused(*_held) as found:
        acquire(grpc_channel, "b", wait=wait)
    assert found.metadata["holder"] == "a"
    renew(grpc_channel, "a", token)


def test_who_need_not_wait_does_not(grpc_channel: grpc.Channel) -> None:
    token = acquire(grpc_channel, "a", wait=3600)
    assert acquire(grpc_channel, "a", wait=3600) == token


def test_the_deadline_ends_the_wait(
    grpc_channel: grpc.Channel, grpc_stub: LeasesStub, stored_leases: StoredLeases
) -> None:
    token = acquire(grpc_channel, "a")
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED, None):
        grpc_stub.AcquireLease(acquisition("b", wait=3000), timeout=0.3)
    release(grpc_channel, "a", token)
    assert acquire(grpc_channel, "c") > token
    assert stored_leases.holder() == "c"


def test_who_has_gone_takes_nothing(grpc_channel: grpc.Channel, grpc_stub: LeasesStub) -> None:
    for _ in range(10):
        token = acquire(grpc_channel, "a")
        waiting = [grpc_stub.AcquireLease.future(acquisition(f"b{number}", wait=3000)) for number in range(20)]
        renew(grpc_channel, "a", token)
        for each in waiting:
            each.cancel()
        renew(grpc_channel, "a", token)  # on the same connection, and so after the cancellations
        release(grpc_channel, "a", token)
        last = acquire(grpc_channel, "c")
        assert last > token
        release(grpc_channel, "c", last)


def test_one_at_a_time(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> None:
    inside: list[str] = []
    tokens: list[int] = []

    def work(number: int) -> None:
        channel, holder = (grpc_channel, second_channel)[number % 2], f"holder {number}"
        for _ in range(3):
            token = acquire(channel, holder, wait=3000)
            inside.append(holder)
            assert inside == [holder]
            tokens.append(token)
            renew(channel, holder, token)
            inside.remove(holder)
            release(channel, holder, token)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(tokens) == 24
    assert tokens == sorted(set(tokens))


def test_of_many_at_once_one_gets_it(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> None:
    start = threading.Barrier(8)

    def take(number: int) -> int | None:
        start.wait()
        try:
            return acquire((grpc_channel, second_channel)[number % 2], f"holder {number}", thread_id)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.ABORTED  # noqa: PT017
            return None

    with ThreadPoolExecutor(8) as pool:
        for attempt in range(20):
            thread_id = f"t{attempt}"
            assert len([token for token in pool.map(take, range(8)) if token is not None]) == 1
