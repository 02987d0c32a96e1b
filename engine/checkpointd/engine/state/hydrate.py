"""The channels of a graph as a checkpoint holds them (langgraph.pregel._checkpoint.channels_from_checkpoint)."""

from collections.abc import Iterator, Mapping

from checkpointd.engine.state import channels as kinds
from checkpointd.engine.state import values
from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.folded import BinaryOperatorValue, DeltaValue
from checkpointd.engine.state.tasks import SENDS
from checkpointd.v1.checkpoints_pb2 import ChannelHistory
from checkpointd.v1.core_pb2 import Checkpoint, Value
from checkpointd.v1.graph_pb2 import ChannelSpec, GraphSpec

Histories = Mapping[str, ChannelHistory]

# The first version of a checkpoint's shape that keeps Sends in a channel.
_SENDS_IN_CHANNEL = 4


def channel(spec: ChannelSpec, stored: Value | None, style: str = values.MSGPACK) -> Channel:
    """The channel of a description with the checkpoint's value of it. Raises Opaque: see Channel."""
    made = _of_kind(spec, stored)
    made.style = style
    return made


def _of_kind(spec: ChannelSpec, stored: Value | None) -> Channel:  # noqa: PLR0911 (one line a kind)
    match spec.WhichOneof("kind"):
        case "last_value":
            return kinds.LastValue(stored)
        case "any_value":
            return kinds.AnyValue(stored)
        case "ephemeral":
            return kinds.EphemeralValue(stored, spec.ephemeral.guard)
        case "untracked":
            return kinds.UntrackedValue(spec.untracked.guard)
        case "last_value_after_finish":
            return kinds.LastValueAfterFinish(stored)
        case "barrier":
            return kinds.BarrierValue(stored, spec.barrier)
        case "topic":
            return kinds.TopicValue(stored, spec.topic.accumulate)
        case "binop":
            return BinaryOperatorValue(stored, spec.binop)
        case "delta":
            return DeltaValue(stored, spec.delta)
    return kinds.OpaqueValue(stored)


def channels_to_replay(spec: GraphSpec, checkpoint: Checkpoint) -> list[str]:
    """The channels whose value only the history tells: written once, and not stored here.

    A binary operator stores its value at every version, so one without was a delta channel when it was written.
    """
    return [
        described.name
        for described in spec.channels
        if described.WhichOneof("kind") in ("delta", "binop")
        and described.name in checkpoint.channel_versions
        and described.name not in checkpoint.channel_values
    ]


def style_of(spec: GraphSpec, checkpoint: Checkpoint) -> str:
    """The encoding of what the server adds to a checkpoint of its own (values.style_of)."""
    return values.style_of(checkpoint.channel_values.values(), _described_values(spec))


def _described_values(spec: GraphSpec) -> Iterator[Value]:
    """The values that a description holds, as whoever registered it writes them."""
    for described in spec.channels:
        yield described.binop.initial
        yield described.delta.initial
    for node in spec.nodes:
        for write in node.static_writes:
            yield write.value


def hydrate(spec: GraphSpec, checkpoint: Checkpoint, histories: Histories) -> tuple[dict[str, Channel], list[str]]:
    """The channels by name, and warnings about those whose stored value can't be what the description says."""
    style = style_of(spec, checkpoint)
    channels: dict[str, Channel] = {}
    warnings: list[str] = []
    for described in spec.channels:
        name = described.name
        try:
            channels[name] = _channel(described, checkpoint, histories, style)
        except (Opaque, Refused) as problem:
            channels[name] = channel(described, None, style)
            warnings.append(
                f"the stored value of channel {name!r} {problem}, so it counts as empty: was the thread written by "
                "another version of the graph?"
            )
    return channels, warnings


def _channel(described: ChannelSpec, checkpoint: Checkpoint, histories: Histories, style: str) -> Channel:
    name = described.name
    history = histories.get(name)
    if history is None:
        return channel(described, _stored(name, checkpoint), style)
    rebuilt = channel(described, history.seed if history.HasField("seed") else None, style)
    assert isinstance(rebuilt, BinaryOperatorValue | DeltaValue)
    rebuilt.replay(written.write.value for written in history.writes)
    return rebuilt


def _stored(name: str, checkpoint: Checkpoint) -> Value | None:
    if name in checkpoint.channel_values:
        return checkpoint.channel_values[name]
    if name == SENDS and 0 < checkpoint.v < _SENDS_IN_CHANNEL and "pending_sends" in checkpoint.extra:
        return checkpoint.extra["pending_sends"]
    return None
