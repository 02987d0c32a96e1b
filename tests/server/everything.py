"""All that a tenant can read, to compare before and after."""

from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from checkpointd.v1.checkpoints_pb2 import GetChannelHistoryRequest, GetCheckpointRequest, ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import GetThreadRequest, ListThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub


def everything(channel: grpc.Channel) -> dict[str, Any]:
    """What every rpc that reads tells about every thread and checkpoint, but for what counts or times the commits."""
    checkpoints, threads = CheckpointsStub(channel), ThreadsStub(channel)
    found: dict[str, Any] = {}
    for thread in threads.ListThreads(ListThreadsRequest(page_size=1000)).threads:
        name = thread.thread_id
        heads = threads.GetThread(GetThreadRequest(thread_id=name)).heads
        found[name] = [dict(thread.labels), thread.owner, *(MessageToDict(head) for head in heads)]
        for head in heads:
            place: dict[str, Any] = {"thread_id": name, "checkpoint_ns": head.checkpoint_ns}
            listing = ListCheckpointsRequest(thread_id=name, checkpoint_ns=head.checkpoint_ns)
            for entry in [answer.checkpoint_tuple for answer in checkpoints.ListCheckpoints(listing)]:
                key = {**place, "checkpoint_id": entry.checkpoint.id}
                got = checkpoints.GetCheckpoint(GetCheckpointRequest(**key)).checkpoint_tuple
                assert got == entry
                channels = entry.checkpoint.channel_versions.keys() | {w.write.channel for w in entry.pending_writes}
                history = checkpoints.GetChannelHistory(GetChannelHistoryRequest(channels=channels, **key))
                for write in entry.pending_writes:
                    if write.write.idx < 0:
                        write.ClearField("sequence")  # the last one stored wins, and its commit is the last one
                found[f"{name}/{head.checkpoint_ns}/{entry.checkpoint.id}"] = (
                    MessageToDict(entry),
                    MessageToDict(history),
                )
    return found
