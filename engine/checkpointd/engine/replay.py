"""Reading what rebuilds the channels of a checkpoint that are stored as changes."""

from checkpointd.engine.errors import CheckpointNotFound
from checkpointd.engine.graph_at import checkpoint_key
from checkpointd.engine.reads import Reads
from checkpointd.engine.state.hydrate import channels_to_replay
from checkpointd.v1.checkpoints_pb2 import ChannelHistory
from checkpointd.v1.core_pb2 import CheckpointTuple
from checkpointd.v1.graph_pb2 import GraphSpec


async def replayed_histories(
    reads: Reads, tenant: str, spec: GraphSpec, found: CheckpointTuple
) -> dict[str, ChannelHistory]:
    """The histories of the channels that a checkpoint does not hold whole, if there are any.

    Raises:
        CheckpointNotFound: it is removed meanwhile.
    """
    channels = channels_to_replay(spec, found.checkpoint)
    if not channels:
        return {}
    key = checkpoint_key(tenant, found.thread_id, found.checkpoint_ns, found.checkpoint.id)
    histories = await reads.histories("history_by_id", key, channels)
    if histories is None:
        raise CheckpointNotFound(found.thread_id, found.checkpoint_ns, found.checkpoint.id)
    return histories
