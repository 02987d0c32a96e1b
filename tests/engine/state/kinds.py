"""Every kind of channel twice: LangGraph's own, and described."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from langgraph.channels import (
    AnyValue,
    BaseChannel,
    BinaryOperatorAggregate,
    DeltaChannel,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
    Topic,
    UntrackedValue,
)

from checkpointd.v1.core_pb2 import ChannelNames
from checkpointd.v1.graph_pb2 import (
    AnyValue as AnyValueSpec,
)
from checkpointd.v1.graph_pb2 import (
    Barrier,
    BinaryOperator,
    ChannelSpec,
    Delta,
    GraphSpec,
    NodeSpec,
    NodeUpdate,
    OpaqueChannel,
    Reducer,
    ReducerKind,
)
from checkpointd.v1.graph_pb2 import (
    EphemeralValue as EphemeralSpec,
)
from checkpointd.v1.graph_pb2 import (
    LastValue as LastValueSpec,
)
from checkpointd.v1.graph_pb2 import (
    LastValueAfterFinish as LastValueAfterFinishSpec,
)
from checkpointd.v1.graph_pb2 import (
    Topic as TopicSpec,
)
from checkpointd.v1.graph_pb2 import (
    UntrackedValue as UntrackedSpec,
)
from tests.engine.state.langgraph_values import dumped

Make = Callable[[], BaseChannel[Any, Any, Any]]

_NAMES = ("a", "b")
_ADD = Reducer(kind=ReducerKind.REDUCER_KIND_ADD)


class Kind(NamedTuple):
    make: Make
    spec: ChannelSpec
    of_names: bool = False  # takes names only
    of_lists: bool = False  # takes lists only


def add_lists(state: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
    """A reducer of a delta channel that is operator.add to the server: the writes themselves are the list's entries."""
    return [*state, *writes]


KINDS: dict[str, Kind] = {
    "last_value": Kind(lambda: LastValue(object), ChannelSpec(last_value=LastValueSpec())),
    "any_value": Kind(lambda: AnyValue(object), ChannelSpec(any_value=AnyValueSpec())),
    "ephemeral": Kind(lambda: EphemeralValue(object, False), ChannelSpec(ephemeral=EphemeralSpec())),
    "ephemeral_guard": Kind(lambda: EphemeralValue(object, True), ChannelSpec(ephemeral=EphemeralSpec(guard=True))),
    "untracked": Kind(lambda: UntrackedValue(object, False), ChannelSpec(untracked=UntrackedSpec())),
    "untracked_guard": Kind(lambda: UntrackedValue(object, True), ChannelSpec(untracked=UntrackedSpec(guard=True))),
    "after_finish": Kind(
        lambda: LastValueAfterFinish(object), ChannelSpec(last_value_after_finish=LastValueAfterFinishSpec())
    ),
    "barrier": Kind(
        lambda: NamedBarrierValue(str, set(_NAMES)), ChannelSpec(barrier=Barrier(names=_NAMES)), of_names=True
    ),
    "barrier_after_finish": Kind(
        lambda: NamedBarrierValueAfterFinish(str, set(_NAMES)),
        ChannelSpec(barrier=Barrier(names=_NAMES, after_finish=True)),
        of_names=True,
    ),
    "topic": Kind(lambda: Topic(object), ChannelSpec(topic=TopicSpec())),
    "topic_accumulate": Kind(lambda: Topic(object, True), ChannelSpec(topic=TopicSpec(accumulate=True))),
    "binop": Kind(
        lambda: BinaryOperatorAggregate(list, operator.add),
        ChannelSpec(binop=BinaryOperator(reducer=_ADD, initial=dumped([]))),
        of_lists=True,
    ),
    "binop_without_initial": Kind(
        lambda: BinaryOperatorAggregate(int | None, operator.add),  # type: ignore[arg-type]
        ChannelSpec(binop=BinaryOperator(reducer=_ADD)),
        of_lists=True,
    ),
    "delta": Kind(
        lambda: DeltaChannel(add_lists, list).from_checkpoint([]),
        ChannelSpec(delta=Delta(reducer=_ADD, initial=dumped([]), snapshot_frequency=1)),
        of_lists=True,
    ),
}


def graph_spec(channels: dict[str, ChannelSpec], nodes: list[NodeSpec], stream: list[str] | None = None) -> GraphSpec:
    """A description with these channels and nodes; all channels are the state unless `stream` names some."""
    spec = GraphSpec(nodes=nodes)
    for name in sorted(channels):
        described = spec.channels.add(name=name)
        described.MergeFrom(channels[name])
    spec.stream_channels.names.extend(sorted(channels) if stream is None else stream)
    return spec


def node(name: str, *triggers: str, **more: Any) -> NodeSpec:
    """A node that runs, is triggered by these channels, and keeps what it is given for no channel."""
    update = NodeUpdate(keys=ChannelNames())
    return NodeSpec(name=name, triggers=sorted(triggers), runnable=True, has_writers=True, update=update, **more)


def last_value() -> ChannelSpec:
    return ChannelSpec(last_value=LastValueSpec())


def trigger() -> ChannelSpec:
    """As LangGraph's `branch:to:NODE`."""
    return ChannelSpec(ephemeral=EphemeralSpec())


def folded(kind: str = "ADD", initial: object = None) -> ChannelSpec:
    reducer = Reducer(kind=ReducerKind.Value(f"REDUCER_KIND_{kind}"))
    binop = BinaryOperator(reducer=reducer)
    if initial is not None:
        binop.initial.CopyFrom(dumped(initial))
    return ChannelSpec(binop=binop)


def opaque() -> ChannelSpec:
    return ChannelSpec(opaque=OpaqueChannel(ref="Mine"))
