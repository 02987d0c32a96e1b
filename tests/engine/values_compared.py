"""Is all that a server gives back of a thread as the model of its large values has it?"""

from checkpointd.changes import hash_of
from checkpointd.engine import Engine
from checkpointd.v1.checkpoints_pb2 import GetChannelHistoryRequest, GetCheckpointRequest
from checkpointd.v1.core_pb2 import CheckpointTuple, HeldValue
from tests.engine.reading import TENANT, listed
from tests.engine.values_model import CHANNELS, Content, Kept, Thread


async def compare(engine: Engine, thread_id: str, model: Thread) -> None:
    """Assert that a server gives back what the model has, and no more: lists, single ones, and channel histories."""
    found = {(one.checkpoint_ns, one.checkpoint.id): one for one in await listed(engine, thread_id)}
    assert found.keys() == {(ns, checkpoint_id) for ns, checkpoint_id, _ in model.all()}
    for ns, checkpoint_id, kept in model.all():
        namespace = model.at(ns)
        expected = {channel: namespace.values[channel, kept.versions[channel]] for channel in kept.own}
        assert found[ns, checkpoint_id].parent_checkpoint_id == kept.parent
        assert _values(found[ns, checkpoint_id]) == expected
        await _held(engine, thread_id, ns, checkpoint_id, kept, expected)
        wanted = [channel for channel in CHANNELS if not model.cut or channel not in kept.own]
        if wanted:
            asked = GetChannelHistoryRequest(
                thread_id=thread_id, checkpoint_ns=ns, checkpoint_id=checkpoint_id, channels=wanted
            )
            histories = (await engine.checkpoints.get_channel_history(TENANT, asked)).histories
            for channel in wanted:
                seed = histories[channel].seed if histories[channel].HasField("seed") else None
                assert (seed and (seed.encoding, seed.data)) == namespace.seed(checkpoint_id, channel)


async def _held(
    engine: Engine, thread_id: str, ns: str, checkpoint_id: str, kept: Kept, expected: dict[str, Content]
) -> None:
    """Get a checkpoint by someone who has one of its values, and takes another one for the other."""
    asked = GetCheckpointRequest(thread_id=thread_id, checkpoint_ns=ns, checkpoint_id=checkpoint_id)
    left_out = set()
    for number, (channel, (encoding, data)) in enumerate(sorted(expected.items()), start=len(checkpoint_id) + kept.seq):
        match number % 4:
            case 0:
                asked.held_values.append(
                    HeldValue(channel=channel, version="v0", hash=hash_of(data), encoding=encoding)
                )
            case 1:
                other = HeldValue(
                    channel=channel, version=kept.versions[channel], hash=hash_of(data) ^ 1, encoding="bytes"
                )
                asked.held_values.append(other)
            case 2:
                right = HeldValue(
                    channel=channel, version=kept.versions[channel], hash=hash_of(data), encoding=encoding
                )
                asked.held_values.append(right)
                left_out.add(channel)
    answer = await engine.checkpoints.get_checkpoint(TENANT, asked)
    assert set(answer.held_channels) == left_out
    sent = {channel: value for channel, value in expected.items() if channel not in left_out}
    assert _values(answer.checkpoint_tuple) == sent


def _values(found: CheckpointTuple) -> dict[str, Content]:
    return {channel: (value.encoding, value.data) for channel, value in found.checkpoint.channel_values.items()}
