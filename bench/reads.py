"""Reads of long threads: of ours beside a short one, and of a list's first item."""

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import grpc

from bench.long_threads import LONG, SHORT, prepare
from bench.pairs import in_turn, milliseconds, paired
from bench.row import Row, at_most
from bench.sides import Bench, Saver
from bench.superstep import Supersteps
from bench.workflow import at
from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.checkpoints_pb2 import CHECKPOINT_VIEW_METADATA
from checkpointd.v1.states_pb2 import GetStateRequest
from checkpointd.v1.states_pb2_grpc import StatesStub

LISTED = 1000


def heads(bench: Bench) -> Iterator[Row]:
    """The head of a thread of 10,000 checkpoints beside that of 10, both of ours: its tuple, and its state."""
    address = bench.sides.ours.address
    prepare(address)
    with RemoteSaver.from_conn_string(address) as saver:
        yield _long_by_short(bench, "get_tuple", lambda thread_id: saver.get_tuple(at(thread_id)))
    with grpc.insecure_channel(address) as channel:
        get = StatesStub(channel).GetState
        yield _long_by_short(bench, "GetState", lambda thread_id: get(GetStateRequest(thread_id=thread_id)))


def _long_by_short(bench: Bench, name: str, read: Callable[[str], object]) -> Row:
    def block(thread_id: str) -> float:
        return milliseconds(bench.effort.seconds / 2, lambda: read(thread_id))

    for thread_id in ("short", "long"):
        block(thread_id)
    name = f"{name} of the head at {LONG:,} by {SHORT}"
    pairs = in_turn(name, lambda: block("long"), lambda: block("short"), bench.effort, float)
    return paired(name, "ms", pairs, at_most(1.3), f"ours both: {LONG:,} checkpoints by {SHORT}")


def listing(bench: Bench) -> Iterator[Row]:
    """The first item of a list of 1,000 checkpoints, of which only the metadata is wanted."""
    thread_id = f"listed-{uuid4()}"
    with (
        bench.sides.ours.saver() as ours,
        bench.sides.theirs.saver() as theirs,
        Client(bench.sides.ours.address) as client,
    ):
        for saver in (ours, theirs):
            steps = Supersteps(saver, thread_id)
            for _ in range(LISTED):
                saver.put(*steps.checkpoint())

        def first_of_ours() -> None:
            with closing(client.list_checkpoints(thread_id=thread_id, view=CHECKPOINT_VIEW_METADATA)) as found:  # type: ignore[type-var]
                next(found)

        def first_of_theirs(saver: Saver) -> None:
            with closing(saver.list(at(thread_id))) as found:  # type: ignore[type-var]
                next(found)

        first_of_ours()
        name = f"list of {LISTED:,}, metadata, first item"
        pairs = in_turn(
            name,
            lambda: milliseconds(bench.effort.seconds / 2, first_of_ours),
            lambda: milliseconds(bench.effort.seconds / 2, lambda: first_of_theirs(theirs)),
            bench.effort,
            float,
        )
    note = "ours: Client.list_checkpoints of the METADATA view; theirs: saver.list, which has no such view"
    yield paired(name, "ms", pairs, at_most(0.2), note)
