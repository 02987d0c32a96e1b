"""What tests read back from an engine, in forms that are easy to compare."""

from checkpointd.engine import Engine
from checkpointd.v1.checkpoints_pb2 import GetChannelHistoryRequest, GetCheckpointRequest, ListCheckpointsRequest
from checkpointd.v1.core_pb2 import CheckpointTuple

TENANT = "tests"


async def get(engine: Engine, thread_id: str, checkpoint_id: str = "", ns: str = "") -> CheckpointTuple:
    request = GetCheckpointRequest(thread_id=thread_id, checkpoint_ns=ns, checkpoint_id=checkpoint_id)
    return (await engine.checkpoints.get_checkpoint(TENANT, request)).checkpoint_tuple


async def listed(engine: Engine, thread_id: str = "", *, tenant: str = TENANT, **more: object) -> list[CheckpointTuple]:
    request = ListCheckpointsRequest(thread_id=thread_id, **more)  # type: ignore[arg-type]
    return [response.checkpoint_tuple async for response in engine.checkpoints.list_checkpoints(tenant, request)]


async def ids(engine: Engine, thread_id: str = "", *, tenant: str = TENANT, **more: object) -> list[str]:
    return [found.checkpoint.id for found in await listed(engine, thread_id, tenant=tenant, **more)]


def values(found: CheckpointTuple) -> dict[str, bytes]:
    return {channel: value.data for channel, value in found.checkpoint.channel_values.items()}


def writes(found: CheckpointTuple) -> list[tuple[str, int, str, bytes]]:
    return [(w.task_id, w.write.idx, w.write.channel, w.write.value.data) for w in found.pending_writes]


async def history(
    engine: Engine, thread_id: str, *channels: str, ns: str = "", checkpoint_id: str = ""
) -> dict[str, tuple[bytes | None, list[bytes]]]:
    """For each channel its seed and the data of its writes."""
    request = GetChannelHistoryRequest(
        thread_id=thread_id, checkpoint_ns=ns, checkpoint_id=checkpoint_id, channels=channels
    )
    response = await engine.checkpoints.get_channel_history(TENANT, request)
    return {
        channel: (found.seed.data if found.HasField("seed") else None, [w.write.value.data for w in found.writes])
        for channel, found in response.histories.items()
    }
