"""Random graphs, random checkpoints of them, random updates: the contract's own refusals or a state that can be read.

HYPOTHESIS_PROFILE=explore looks for other examples than the suite's.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkpointd.v1.checkpoints_pb2 import CommitOp, CommitRequest, ListCheckpointsRequest, WritesPut
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.core_pb2 import Checkpoint, CheckpointTuple, Write
from checkpointd.v1.graph_pb2 import ChannelSpec, GraphSpec, NodeSpec, ReducerKind
from checkpointd.v1.states_pb2 import (
    GetStateRequest,
    Goto,
    GotoTarget,
    GraphRef,
    RegisterGraphRequest,
    StateUpdate,
    Superstep,
    UpdateStateRequest,
    UpdateStateResponse,
)
from checkpointd.v1.states_pb2_grpc import StatesStub
from checkpointd.v1.threads_pb2 import CopyThreadRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.server.odd_values import READABLE, STORABLE, VALUES
from tests.server.wire import error_reason, of_tenant
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_REFUSALS = {
    ("INVALID_ARGUMENT", "INVALID_FIELD"),
    ("INVALID_ARGUMENT", "INVALID_UPDATE"),
    ("NOT_FOUND", "CHECKPOINT_NOT_FOUND"),
    ("NOT_FOUND", "SUBGRAPH_NOT_FOUND"),
    ("FAILED_PRECONDITION", "GRAPH_UNKNOWN"),
    ("FAILED_PRECONDITION", "NEEDS_CODE"),
    ("FAILED_PRECONDITION", "NOTHING_TO_COPY"),
    ("ABORTED", "HEAD_MOVED"),
}

_numbers = itertools.count()

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}")  # as messages are given

_CHANNELS = ("__end__", "__pregel_tasks", "__root__", "a", "branch:to:a", "branch:to:b", "d", "m", "x")
_NODES = ("a", "b", "__start__", "__end__", "__copy__", "__input__", "__interrupt__", "__snapshot_bumps__")
_IDS = (
    "1f0b6b1e-5a3c-6b7a-8001-000000000001",
    "1f0b6b1e-5a3c-6b7a-8002-000000000002",
    "ffffffff-ffff-6fff-bfff-ffffffffffff",
    "{1F0B6B1E-5A3C-6B7A-8001-000000000001}",
    "c1",
)
_VERSIONS = (
    *(f"{number:032}.0.5" for number in range(1, 6)),
    *("#1", "#2", "#3", "#1.5", "#nan", "#1e999", "#-1", "#0", f"#{'9' * 30}", "abc", "##1", "9", "9" * 255),
)
_METADATA = (
    {"step": 1},
    {"step": 10**400, "parents": "odd"},
    {"step": True, "parents": {"": "c0", "a": 5}},
    {"step": -5.5, "parents": [], "counters_since_delta_snapshot": {"d": [999, 999], "m": [1]}},
    {"step": "1", "parents": None, "counters_since_delta_snapshot": {"d": [-1, 5], "m": ["x", {}], "x": 5}},
)

_values = st.sampled_from(VALUES)
_storable = st.sampled_from(STORABLE)
_readable = st.sampled_from(READABLE)
_channels = st.sampled_from(_CHANNELS)
_nodes = st.sampled_from(_NODES)
_versions = st.sampled_from(_VERSIONS)


def _one_in(number: int) -> st.SearchStrategy[bool]:
    return st.integers(1, number).map(lambda drawn: drawn == number)


@st.composite
def _channel(draw: st.DrawFn, name: str) -> ChannelSpec:
    spec = ChannelSpec(name=name)
    kind = draw(st.sampled_from([field.name for field in ChannelSpec.DESCRIPTOR.oneofs_by_name["kind"].fields]))
    part = getattr(spec, kind)
    part.SetInParent()
    for flag in ("guard", "after_finish", "accumulate"):
        if flag in part.DESCRIPTOR.fields_by_name:
            setattr(part, flag, draw(st.booleans()))
    if kind == "barrier":
        part.names.extend(draw(st.lists(_nodes, unique=True, max_size=2)))
    if kind in ("binop", "delta"):
        part.reducer.kind = draw(st.sampled_from(ReducerKind.values()[1:]))
        if draw(st.booleans()):
            part.initial.CopyFrom(draw(_readable))
    if kind == "delta":
        part.snapshot_frequency = draw(st.sampled_from([1, 2, 1000]))
    return spec


@st.composite
def _node(draw: st.DrawFn, name: str, channels: list[str]) -> NodeSpec:
    some: st.SearchStrategy[list[str]] = st.lists(st.sampled_from(channels or [""]), max_size=3 if channels else 0)
    spec = NodeSpec(name=name, runnable=draw(st.booleans()), has_writers=not draw(_one_in(20)))
    spec.opaque_writers = draw(_one_in(20))
    spec.triggers.extend(sorted(set(draw(some))))
    match draw(st.sampled_from(["", "root", "keys", "keys", "keys", "passthrough"])):
        case "root" if "__root__" in channels:
            spec.update.root = True
        case "keys":
            spec.update.keys.names.extend(channels)
        case "passthrough":
            spec.update.passthrough.names.extend(draw(some))
            spec.update.skip_null.extend(spec.update.passthrough.names[:1])
    for channel in draw(some):
        spec.static_writes.add(channel=channel, value=draw(_readable))
    if draw(_one_in(4)) and channels:
        spec.input_single = draw(st.sampled_from(channels))
    if draw(_one_in(8)):
        ends = spec.branches.add(name="route").ends
        ends.names.extend(draw(st.lists(_nodes, unique=True, max_size=3)))
    return spec


@st.composite
def _specs(draw: st.DrawFn, depth: int = 1) -> GraphSpec:
    names = draw(st.lists(_channels, unique=True))
    spec = GraphSpec(channels=[draw(_channel(name)) for name in names])
    spec.nodes.extend(draw(_node(name, names)) for name in draw(st.lists(_nodes, unique=True, min_size=1, max_size=4)))
    spec.version_style = draw(st.sampled_from([0, 1, 2, 3]))  # type: ignore[assignment]
    for selection in (spec.input_channels, spec.stream_channels):
        selection.names.extend(draw(st.lists(st.sampled_from(names), unique=True)) if names else [])
        selection.single = len(selection.names) == 1 and draw(st.booleans())
    spec.per_thread = draw(st.booleans())
    if depth and draw(_one_in(4)):
        spec.nodes[0].subgraph.CopyFrom(draw(_specs(depth - 1)))
    return spec


@st.composite
def _checkpoints(draw: st.DrawFn) -> list[CommitOp]:
    """Some checkpoints in a row, which suit no graph in particular."""
    ops: list[CommitOp] = []
    for checkpoint_id in draw(st.lists(st.sampled_from(_IDS), unique=True, max_size=2)):
        ops.append(CommitOp())
        put = ops[-1].put_checkpoint
        put.checkpoint.CopyFrom(Checkpoint(id=checkpoint_id, v=draw(st.sampled_from([4] * 9 + [1, 0, 9]))))
        put.parent_checkpoint_id = draw(st.sampled_from(["", *_IDS]))
        put.metadata.json = json.dumps(draw(st.sampled_from(_METADATA)))
        style = draw(st.sampled_from([_VERSIONS[:5], _VERSIONS[5:8], _VERSIONS]))
        put.checkpoint.channel_versions.update(draw(st.dictionaries(_channels, st.sampled_from(style))))
        for name in put.checkpoint.channel_versions:
            if draw(st.booleans()):
                put.checkpoint.channel_values[name].CopyFrom(draw(_storable))
        for name, versions in draw(st.dictionaries(_nodes, st.dictionaries(_channels, _versions), max_size=3)).items():
            put.checkpoint.versions_seen[name].versions.update(versions)
        if draw(_one_in(3)):
            writes = [Write(idx=idx, channel=draw(_channels), value=draw(_storable)) for idx in (-3, 0, 1)]
            task_id = draw(
                st.sampled_from(["T", "11111111-2222-5333-8444-555555555555"])
            )  # or as LangGraph.js makes it
            ops.append(CommitOp(put_writes=WritesPut(checkpoint_id=checkpoint_id, task_id=task_id, writes=writes)))
    return ops


@st.composite
def _updates(draw: st.DrawFn, nodes: list[str], depth: int = 1) -> StateUpdate:
    special = ["", "nowhere", "__end__", "__input__", "__copy__"]
    update = StateUpdate(as_node=draw(st.sampled_from([*nodes * 4, *special])))
    update.task_id = draw(st.sampled_from(["", "", "", "T", "00000000-0000-0000-0000-000000000000"]))
    match draw(st.sampled_from(["writes", "writes", "value", ""])):
        case "writes":
            for name in draw(st.lists(_channels, max_size=4)):
                update.writes.add(channel=name, values=draw(st.lists(_values, max_size=2)))
        case "value":
            update.value.CopyFrom(draw(_values))
    if draw(_one_in(4)):
        update.goto.CopyFrom(Goto(targets=draw(st.lists(_targets(nodes), max_size=3))))
    if depth and draw(_one_in(2 if update.as_node == "__copy__" else 20)):
        update.then.extend(draw(st.lists(_updates(nodes, depth - 1), max_size=2)))
    return update


@st.composite
def _targets(draw: st.DrawFn, nodes: list[str]) -> GotoTarget:
    target, name = GotoTarget(), draw(st.sampled_from([*nodes, "__end__", "nowhere"]))
    if draw(st.booleans()):
        target.node = name
    else:
        target.send.node = name
        if draw(st.booleans()):
            target.send.input.CopyFrom(draw(_values))
    return target


@st.composite
def _requests(draw: st.DrawFn, nodes: list[str]) -> UpdateStateRequest:
    several = st.lists(_updates(nodes), min_size=2, max_size=3)
    updates = st.lists(_updates(nodes), min_size=1, max_size=1) | several
    supersteps = st.builds(lambda given: Superstep(updates=given), updates)
    request = UpdateStateRequest(supersteps=draw(st.lists(supersteps, min_size=1, max_size=2)))
    request.metadata = draw(st.sampled_from(["", "", "", '{"counters_since_delta_snapshot":{"d":[3,3]}}']))
    if draw(_one_in(10)):
        request.checkpoint_ns = draw(st.sampled_from(["a:T", "a", "b:T|1", "nowhere", "|", "a:T|b:T"]))
    if draw(_one_in(4)):
        request.checkpoint_id = draw(st.sampled_from(_IDS))
    if draw(_one_in(5)):
        request.precondition.expected_head = draw(st.sampled_from(["", *_IDS]))
    return request


class _Thread:
    """A thread of its own, and all that is stored of it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.id = f"t{next(_numbers)}"
        self._states, self._checkpoints = StatesStub(channel), CheckpointsStub(channel)

    def stored(self) -> list[CheckpointTuple]:
        """The checkpoints, newest commit first."""
        listing = self._checkpoints.ListCheckpoints(ListCheckpointsRequest(thread_id=self.id))
        return [answer.checkpoint_tuple for answer in listing]

    def state(self) -> tuple[object, ...]:
        """The present, but for ids and times."""
        found = self._states.GetState(GetStateRequest(thread_id=self.id)).snapshot
        held = {name: (value.encoding, _UUID.sub(b"", value.data)) for name, value in found.values.items()}
        tasks = [(task.name, str(task.path)) for task in found.tasks]
        return held, _UUID.sub(b"", found.root_value.data), list(found.next), tasks, found.metadata, found.warnings

    def update(self, request: UpdateStateRequest) -> UpdateStateResponse | None:
        """Send an update; None when it is refused, which must be as the contract says and leave nothing behind."""
        request.thread_id = self.id
        before = self.stored()
        try:
            return self._states.UpdateState(request)
        except grpc.RpcError as error:
            refusal: Any = error
            assert (refusal.code().name, error_reason(refusal)) in _REFUSALS, refusal.details()
            assert refusal.details()
            assert self.stored() == before
            return None

    def check(self, answer: UpdateStateResponse) -> None:
        """The head is the one that the update made, and it can be read."""
        newest = self.stored()[0]
        assert (newest.checkpoint.id, newest.parent_checkpoint_id) == (
            answer.config.checkpoint_id,
            answer.parent_config.checkpoint_id,
        )
        assert newest.checkpoint.channel_values.keys() <= newest.checkpoint.channel_versions.keys()
        for checkpoint_id in (None, newest.checkpoint.id):
            place = GetStateRequest(
                thread_id=self.id,
                checkpoint_ns=answer.config.checkpoint_ns,
                checkpoint_id=checkpoint_id,
                subgraphs=True,
            )
            assert self._states.GetState(place).snapshot.config == answer.config


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as plain:
        yield of_tenant(plain, "fuzz")


def _prepared(channel: grpc.Channel, data: st.DataObject) -> tuple[_Thread, GraphRef, list[str]] | None:
    """A thread with random checkpoints, and a random graph with its nodes; None when that is refused."""
    spec = data.draw(_specs(), "graph")
    try:
        registered = StatesStub(channel).RegisterGraph(RegisterGraphRequest(graph_name="g", spec=spec))
    except grpc.RpcError as error:
        refusal: Any = error
        assert error_reason(refusal) == "INVALID_FIELD"
        return None
    thread = _Thread(channel)
    if ops := data.draw(_checkpoints(), "checkpoints"):
        CheckpointsStub(channel).Commit(CommitRequest(thread_id=thread.id, ops=ops))
    return thread, GraphRef(hash=registered.graph_hash), [node.name for node in spec.nodes]


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_asked_there_is_a_documented_answer(channel: grpc.Channel, data: st.DataObject) -> None:
    if (prepared := _prepared(channel, data)) is None:
        return
    thread, graph, nodes = prepared
    for _ in range(3):
        request = data.draw(_requests(nodes), "update")
        request.graph.CopyFrom(graph)
        if (answer := thread.update(request)) is not None:
            thread.check(answer)


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_supersteps_in_one_request_are_as_in_many(channel: grpc.Channel, data: st.DataObject) -> None:
    """What a superstep builds on is what a read of the checkpoint before it would give."""
    if (prepared := _prepared(channel, data)) is None:
        return
    together, graph, nodes = prepared
    apart = _Thread(channel)
    if together.stored():
        ThreadsStub(channel).CopyThread(CopyThreadRequest(source_thread_id=together.id, target_thread_id=apart.id))
    supersteps = [step for _ in range(2) for step in data.draw(_requests(nodes), "update").supersteps]
    requests = [UpdateStateRequest(graph=graph, supersteps=[step]) for step in supersteps]
    answered = all(apart.update(request) is not None for request in requests)
    assert (together.update(UpdateStateRequest(graph=graph, supersteps=supersteps)) is not None) == answered
    if answered:
        assert together.state() == apart.state()
