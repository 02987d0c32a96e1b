"""GetChannelHistory: what rebuilds a channel that is stored as changes."""

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2 import ChannelHistory, GetChannelHistoryRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import DeleteRunsRequest, PruneStrategy, PruneThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint, put_writes
from tests.server.wire import refused

pytestmark = pytest.mark.usefixtures("stays_well")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[CheckpointsStub]:
    return CheckpointsStub


def _history(stub: CheckpointsStub, checkpoint_id: str = "", *channels: str, ns: str = "") -> dict[str, ChannelHistory]:
    request = GetChannelHistoryRequest(
        thread_id="t", checkpoint_ns=ns, checkpoint_id=checkpoint_id, channels=channels or ["d"]
    )
    return dict(stub.GetChannelHistory(request).histories)


def _read(history: ChannelHistory) -> tuple[bytes | None, list[bytes]]:
    return history.seed.data if history.HasField("seed") else None, [w.write.value.data for w in history.writes]


def _step(
    stub: CheckpointsStub, name: str, parent: str = "", *, seed: str = "", ns: str = "", run_id: str = ""
) -> None:
    """A checkpoint whose channel `d` is stored as changes, or with `seed` as a snapshot, and a task that writes it."""
    metadata = {} if seed else {"counters_since_delta_snapshot": {"d": [1, 1]}}
    if run_id:
        metadata["run_id"] = run_id  # type: ignore[assignment]
    values = {"d": seed} if seed else {"other": name}
    versions = {} if seed else {"d": f"v{name}"}
    stub.PutCheckpoint(
        put_checkpoint("t", name, parent=parent, values=values, versions=versions, metadata=metadata, ns=ns)
    )
    stub.PutWrites(put_writes("t", name, "task", [(0, "d", f"+{name}"), (1, "other", "x")], ns=ns))


def test_seed_and_writes_oldest_first(grpc_stub: CheckpointsStub) -> None:
    _step(grpc_stub, "c0")
    _step(grpc_stub, "c1", "c0", seed="S")
    _step(grpc_stub, "c2", "c1")
    _step(grpc_stub, "c3", "c2")
    grpc_stub.PutWrites(put_writes("t", "c2", "task0", [(5, "d", "+c2 second"), (-1, "d", "+c2 special")], path="p"))
    grpc_stub.PutWrites(put_writes("t", "c2", "a-task", [(0, "d", "+c2 first")]))
    assert _read(_history(grpc_stub)["d"]) == (b"S", [b"+c1", b"+c2 first", b"+c2", b"+c2 special", b"+c2 second"])
    assert _read(_history(grpc_stub, "c2")["d"]) == (b"S", [b"+c1"])
    assert _read(_history(grpc_stub, "c1")["d"]) == (None, [b"+c0"])
    assert _read(_history(grpc_stub, "c0")["d"]) == (None, [])


def test_every_channel_asked_for_has_an_entry(grpc_stub: CheckpointsStub) -> None:
    _step(grpc_stub, "c0", seed="S")
    _step(grpc_stub, "c1", "c0")
    found = _history(grpc_stub, "c1", "d", "other", "never heard of", "d")
    assert {name: _read(history) for name, history in found.items()} == {
        "d": (b"S", [b"+c0"]),
        "other": (None, [b"x"]),
        "never heard of": (None, []),
    }


def test_a_branch_has_its_own_history(grpc_stub: CheckpointsStub) -> None:
    _step(grpc_stub, "root", seed="S")
    _step(grpc_stub, "left", "root")
    _step(grpc_stub, "right", "root")
    _step(grpc_stub, "left2", "left")
    _step(grpc_stub, "right2", "right")
    assert _read(_history(grpc_stub, "left2")["d"]) == (b"S", [b"+root", b"+left"])
    assert _read(_history(grpc_stub, "right2")["d"]) == (b"S", [b"+root", b"+right"])


def test_a_namespace_has_its_own_history(grpc_stub: CheckpointsStub) -> None:
    for namespace in ("", "n:1"):
        _step(grpc_stub, "c0", seed=f"S{namespace}", ns=namespace)
        _step(grpc_stub, "c1", "c0", ns=namespace)
    assert _read(_history(grpc_stub, "", ns="n:1")["d"]) == (b"Sn:1", [b"+c0"])


@pytest.mark.parametrize(("checkpoint_id", "ns"), [("", ""), ("c", ""), ("", "n")])
def test_what_is_not_there_is_not_found(grpc_stub: CheckpointsStub, checkpoint_id: str, ns: str) -> None:
    for _ in range(2):
        with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND") as found:
            _history(grpc_stub, checkpoint_id, ns=ns)
        assert found.metadata == {"thread_id": "t", "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}
        grpc_stub.PutWrites(put_writes("t", "c", "task", [(0, "d", "1")]))


def test_a_parent_that_is_not_stored_ends_the_history(grpc_stub: CheckpointsStub) -> None:
    _step(grpc_stub, "c1", "never stored")
    _step(grpc_stub, "c2", "c1")
    assert _read(_history(grpc_stub)["d"]) == (None, [b"+c1"])


_LOOPS = {
    "its own parent": [("a", "a")],
    "each other's": [("a", "b"), ("b", "a")],
    "three": [("a", "b"), ("b", "c"), ("c", "a")],
    "behind it": [("a", "b"), ("b", "a"), ("c", "b")],
    "its parent's parent is the parent": [("a", "a"), ("c", "a")],
}


@pytest.mark.parametrize("links", _LOOPS.values(), ids=_LOOPS.keys())
def test_parents_in_a_loop_end_the_history(
    grpc_stub: CheckpointsStub, threads: ThreadsStub, links: list[tuple[str, str]]
) -> None:
    for name, parent in links:
        _step(grpc_stub, name, parent)
    known = {f"+{name}".encode() for name, _ in links}
    for name, _ in links:
        seed, writes = _read(_history(grpc_stub, name)["d"])
        assert seed is None
        assert len(set(writes)) == len(writes)
        assert set(writes) <= known
    head = _read(_history(grpc_stub)["d"])
    keep = PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST)
    assert threads.PruneThreads(keep).removed_checkpoints == len(links) - 1
    assert _read(_history(grpc_stub)["d"]) == head


@pytest.mark.parametrize("way", ["prune", "runs", "both"])
def test_hidden_ancestors_count(grpc_stub: CheckpointsStub, threads: ThreadsStub, way: str) -> None:
    _step(grpc_stub, "c0", run_id="old")
    _step(grpc_stub, "c1", "c0", seed="S", run_id="old")
    for number in range(2, 6):
        _step(grpc_stub, f"c{number}", f"c{number - 1}", run_id="new" if number == 5 else "old")
    before = _history(grpc_stub)["d"]
    assert _read(before) == (b"S", [b"+c1", b"+c2", b"+c3", b"+c4"])
    if way in ("runs", "both"):
        assert threads.DeleteRuns(DeleteRunsRequest(run_ids=["old"])).removed_checkpoints == 5
    if way in ("prune", "both"):
        keep = PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST)
        assert threads.PruneThreads(keep).removed_checkpoints == (0 if way == "both" else 5)
    assert _history(grpc_stub)["d"] == before
    _step(grpc_stub, "c6", "c5")
    assert _read(_history(grpc_stub)["d"]) == (b"S", [b"+c1", b"+c2", b"+c3", b"+c4", b"+c5"])
    with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
        _history(grpc_stub, "c4")


def test_a_long_history(grpc_stub: CheckpointsStub) -> None:
    _step(grpc_stub, "c0", seed="S")
    for number in range(1, 400):
        _step(grpc_stub, f"c{number}", f"c{number - 1}")
    assert _read(_history(grpc_stub)["d"]) == (b"S", [f"+c{number}".encode() for number in range(399)])
