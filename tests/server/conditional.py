"""Writes of every kind that takes a precondition, and what a tenant holds before and after them."""

from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from checkpointd.v1.checkpoints_pb2 import CheckpointPut, WritesPut
from checkpointd.v1.core_pb2 import Precondition
from checkpointd.v1.states_pb2 import GraphRef, RegisterGraphRequest, StateUpdate, Superstep, UpdateStateRequest
from checkpointd.v1.threads_pb2 import GetThreadRequest, ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.engine.state.kinds import graph_spec, last_value, node, trigger
from tests.engine.state.langgraph_values import dumped
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes, writes_put
from tests.server.everything import everything
from tests.server.wire import METHODS, invoke

# Ids as LangGraph makes them; an update is made on no others.
C0, C1 = "1f0b6b1e-5a3c-6b7a-8001-000000000000", "1f0b6b1e-5a3c-6b7a-8001-000000000001"

# The rpcs that take a precondition, and those of them that move the head.
CONDITIONAL = [name for name, method in METHODS.items() if "precondition" in method.input_type.fields_by_name]
MOVING = [name for name in CONDITIONAL if name != "PutWrites"]


def graph() -> RegisterGraphRequest:
    """A graph named `g` whose node `a` writes x."""
    spec = graph_spec({"x": last_value(), "to": trigger()}, [node("a", "to")], ["x"])
    spec.nodes[0].update.keys.names.append("x")
    return RegisterGraphRequest(graph_name="g", spec=spec)


def update(thread_id: str, data: object) -> UpdateStateRequest:
    """An update as `a` of `g`, which must be registered."""
    supersteps = [Superstep(updates=[StateUpdate(as_node="a", value=dumped({"x": data}))])]
    return UpdateStateRequest(thread_id=thread_id, graph=GraphRef(name="g"), supersteps=supersteps)


def write(rpc: str, name: str, thread_id: str = "t", *, on: str = C1) -> Any:
    """A request of that kind to store something of that name. Writes belong to the checkpoint `on`. None has values, so
    that an update can be made on any."""
    match rpc:
        case "PutCheckpoint":
            return put_checkpoint(thread_id, name, metadata={"name": name})
        case "PutWrites":
            return put_writes(thread_id, on, name, [(0, "x", name), (-1, "x", name)])
        case "Commit":
            of_both = writes_put(on, name, [(0, "x", name)]), checkpoint_put(name, parent=on)
            return commit(thread_id, *of_both)
        case "UpdateState":
            return update(thread_id, name)
        case _:
            raise AssertionError(f"{rpc} is new: say how it writes")


def puts(request: Any) -> list[CheckpointPut | WritesPut]:
    """What a request of the service Checkpoints is to store."""
    return [request.put] if hasattr(request, "put") else [getattr(op, op.WhichOneof("op")) for op in request.ops]


def conditioned(request: Any, *, head: str | None = None, token: int = 0) -> Any:
    """The request, with this precondition."""
    request.precondition.CopyFrom(Precondition(expected_head=head, fencing_token=token))
    return request


def send(channel: grpc.Channel, request: Any) -> Any:
    """Send a request of an rpc that gives one answer."""
    (answer,) = invoke(channel, request.DESCRIPTOR.name.removesuffix("Request"), request)
    return answer


def head_of(channel: grpc.Channel, thread_id: str = "t") -> str:
    """The head of the root namespace."""
    heads = ThreadsStub(channel).GetThread(GetThreadRequest(thread_id=thread_id)).heads
    return next(head.checkpoint_id for head in heads if not head.checkpoint_ns)


def whole(channel: grpc.Channel) -> tuple[Any, Any]:
    """All that a tenant can read, with what counts and times the commits of its threads."""
    listed = ThreadsStub(channel).ListThreads(ListThreadsRequest(page_size=1000)).threads
    for thread in listed:
        thread.ClearField("status")  # which leases have a part in
    return everything(channel), [MessageToDict(thread) for thread in listed]
