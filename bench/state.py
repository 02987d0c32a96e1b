"""What the state of a thread's head costs on a long thread, beside a short one: `make bench-state`.

Starts a server with a PostgreSQL of its own. Two threads end in the same state of a real graph of five nodes, one after
10 checkpoints and one after 10,000. GetState of both is called in turn, in blocks, over gRPC; the figure is the median
of the blocks' ratios, which what else the machine does disturbs least.
"""

import tempfile
import time
from collections.abc import Iterator
from operator import add
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import grpc
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, CommitOp, WritesPut
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.states_pb2 import GetStateRequest
from checkpointd.v1.states_pb2_grpc import StatesStub
from tests.server_process import ServerProcess

SHORT, LONG = 10, 10_000
PAIRS, CALLS = 11, 300
TARGET = 1.3

_BATCH = 500  # ops in a Commit


class State(MessagesState):
    notes: Annotated[list[str], add]
    plan: list[str]
    score: float


def research(state: State) -> dict[str, Any]:
    return {"notes": [f"note {number}: {'what a source says ' * 5}" for number in range(5)]}


def outline(state: State) -> dict[str, Any]:
    if len(state["messages"]) > 2:  # the second run stops here
        interrupt({"question": "which plan?", "notes": state["notes"][:2]})
    return {"plan": [f"section {number}" for number in range(8)]}


def draft(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage("a paragraph of the text " * 40, id="draft")]}


def review(state: State) -> dict[str, Any]:
    return {"score": 0.75}


def publish(state: State) -> dict[str, Any]:
    return {"notes": ["published"]}


def workflow(saver: RemoteSaver) -> Any:
    graph: StateGraph[Any] = StateGraph(State)
    graph.add_sequence([research, outline, draft, review, publish])
    graph.add_edge(START, "research")
    return graph.compile(checkpointer=saver)


def run(graph: Any, thread_id: str, number: int) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    graph.invoke({"messages": [HumanMessage(f"question {number}", id=f"question-{number}")]}, config)


def repeated(templates: list[CheckpointTuple], count: int) -> Iterator[CommitOp]:
    """`count` checkpoints and their writes: a run over and over, to its end, each time with versions of its own."""
    parent = ""
    first = -count % len(templates)
    for number in range(first, first + count):
        again, place = divmod(number, len(templates))
        put, writes = _copy(templates, place, again)
        put.parent_checkpoint_id = parent
        parent = put.checkpoint.id
        yield CommitOp(put_checkpoint=put)
        for one in writes:
            yield CommitOp(put_writes=one)


def _copy(templates: list[CheckpointTuple], place: int, again: int) -> tuple[CheckpointPut, list[WritesPut]]:
    template = templates[place]
    put = CheckpointPut(checkpoint=template.checkpoint, metadata=template.metadata)
    put.checkpoint.id = str(uuid6())
    before = templates[place - 1].checkpoint.channel_versions if place else {}
    versions = put.checkpoint.channel_versions
    for channel in template.checkpoint.channel_values:
        if before.get(channel) == versions[channel]:
            del put.checkpoint.channel_values[channel]  # stored with the checkpoint before
    for version in (versions, *(seen.versions for seen in put.checkpoint.versions_seen.values())):
        for channel in list(version):
            step, _, tail = version[channel].partition(".")
            version[channel] = f"{int(step) + again * len(templates):032}.{tail}"
    writes = [
        WritesPut(checkpoint_id=put.checkpoint.id, task_id=one.task_id, task_path=one.task_path, writes=[one.write])
        for one in template.pending_writes
    ]
    return put, writes


def fill(client: Client, thread_id: str, ops: Iterator[CommitOp]) -> None:
    waiting: list[CommitOp] = []
    for op in ops:
        waiting.append(op)
        if len(waiting) == _BATCH:
            client.commit(thread_id=thread_id, ops=waiting)
            waiting.clear()
    if waiting:
        client.commit(thread_id=thread_id, ops=waiting)


def seconds(stub: Any, thread_id: str, calls: int) -> float:
    """The time of so many calls, one after the other."""
    request = GetStateRequest(thread_id=thread_id)
    began = time.perf_counter()
    for _ in range(calls):
        stub.GetState(request)
    return time.perf_counter() - began


def prepare(address: str) -> None:
    """Make the two threads."""
    with RemoteSaver.from_conn_string(address) as saver, Client(address) as client:
        graph = workflow(saver)
        saver.register(graph, "workflow")
        run(graph, "short", 1)
        templates = list(client.list_checkpoints(thread_id="short"))[::-1]
        second = SHORT - len(templates)  # checkpoints that the second run adds
        fill(client, "long", repeated(templates, LONG - second))
        for thread_id, count in (("short", SHORT), ("long", LONG)):
            run(graph, thread_id, 2)
            assert sum(1 for _ in client.list_checkpoints(thread_id=thread_id)) == count
        short, long = (saver.get_state({"configurable": {"thread_id": one}}) for one in ("short", "long"))
        assert (short.values, short.next) == (long.values, long.next)
        assert not long.warnings
        assert short.interrupts[0].value == long.interrupts[0].value


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        ServerProcess(Path(home) / "log", "--data-dir", str(Path(home) / "data")) as server,
    ):
        prepare(server.address)
        with grpc.insecure_channel(server.address) as channel:
            stub = StatesStub(channel)
            for thread_id in ("short", "long"):
                seconds(stub, thread_id, CALLS)
            pairs = [(seconds(stub, "short", CALLS), seconds(stub, "long", CALLS)) for _ in range(PAIRS)]
    ratios = sorted(long / short for short, long in pairs)
    short, long = (median(times) / CALLS * 1000 for times in zip(*pairs, strict=True))
    print(
        f"GetState of the head: {short:.2f} ms after {SHORT} checkpoints, {long:.2f} ms after {LONG}; "
        f"ratio {median(ratios):.2f} (of {PAIRS} pairs: {ratios[0]:.2f} to {ratios[-1]:.2f}), target at most {TARGET}"
    )


if __name__ == "__main__":
    main()
