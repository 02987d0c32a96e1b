"""A small server of the contract that keeps checkpoints in memory, and tells what came and what it answered.

It knows values sent as changes, or, as an older one, passes over all that belongs to them.
"""

import threading
from typing import Any

import grpc

from checkpointd.changes import apply, hash_of
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1 import threads_pb2 as threads
from tests.client.scripted_server import Failure, ScriptedServer

# thread, namespace, channel, version
_Key = tuple[str, str, str, str]


class KeepingServer(ScriptedServer):
    """`requests` and `sent` are what came and was answered of PutCheckpoint, Commit and GetCheckpoint, in order."""

    def __init__(self, *, takes_changes: bool = True) -> None:
        self.takes_changes = takes_changes
        self.values: dict[_Key, core.Value] = {}
        self.requests: list[Any] = []
        self.sent: list[Any] = []
        self._found: dict[str, list[core.CheckpointTuple]] = {}
        self._lock = threading.RLock()
        super().__init__(options=(("grpc.max_receive_message_length", -1),))

    @property
    def puts(self) -> list[checkpoints.CheckpointPut]:
        """What was put by PutCheckpoint, refused or not."""
        return [one.put for one in self.requests if isinstance(one, checkpoints.PutCheckpointRequest)]

    @property
    def gets(self) -> list[checkpoints.GetCheckpointRequest]:
        return [one for one in self.requests if isinstance(one, checkpoints.GetCheckpointRequest)]

    def forget_traffic(self) -> None:
        self.requests.clear()
        self.sent.clear()

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes of the requests and of the answers."""
        return sum(one.ByteSize() for one in self.requests), sum(one.ByteSize() for one in self.sent)

    def lose(self, thread_id: str) -> None:
        """Drop all values of a thread, as if it had been pruned by somebody."""
        self.values = {key: value for key, value in self.values.items() if key[0] != thread_id}

    def spoil(self, thread_id: str) -> None:
        """Change all values of a thread, as if somebody had deleted it and made it anew."""
        for key, value in self.values.items():
            if key[0] == thread_id:
                value.data = value.data[::-1]

    def PutCheckpoint(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.requests.append(request)
            self._demand(request, request.put.checkpoint_ns, context)
            self._put(request.thread_id, request.put, context)
            return self._answer(checkpoints.PutCheckpointResponse(sequence=1, takes_changes=self.takes_changes))

    def Commit(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.requests.append(request)
            for op in request.ops:
                if op.HasField("put_checkpoint"):
                    self._put(request.thread_id, op.put_checkpoint, context)
            return self._answer(checkpoints.CommitResponse(checkpoint_sequences=[1]))

    def GetCheckpoint(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.requests.append(request)
            for found in self._in(request.thread_id, request.checkpoint_ns):
                if request.checkpoint_id in ("", found.checkpoint.id):
                    return self._answer(self._told(found, request))
        return Failure(grpc.StatusCode.NOT_FOUND, "none", "CHECKPOINT_NOT_FOUND").abort(context)

    def ListCheckpoints(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            listed = self._in(request.thread_id, request.checkpoint_ns)
        for found in listed:
            told = self._told(found, checkpoints.GetCheckpointRequest())
            yield checkpoints.ListCheckpointsResponse(checkpoint_tuple=told.checkpoint_tuple)

    def DeleteThread(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self._found.pop(request.thread_id, None)
            self.lose(request.thread_id)
            return threads.DeleteThreadResponse()

    def _answer(self, answer: Any) -> Any:
        self.sent.append(answer)
        return answer

    def _in(self, thread_id: str, checkpoint_ns: str) -> list[core.CheckpointTuple]:
        """Newest first."""
        return [one for one in self._found.get(thread_id, [])[::-1] if one.checkpoint_ns == checkpoint_ns]

    def _demand(self, request: Any, checkpoint_ns: str, context: grpc.ServicerContext) -> None:
        if not request.precondition.HasField("expected_head"):
            return
        heads = [one.checkpoint.id for one in self._in(request.thread_id, checkpoint_ns)[:1]]
        if heads != list(filter(None, [request.precondition.expected_head])):
            Failure(grpc.StatusCode.ABORTED, "moved", "HEAD_MOVED").abort(context)

    def _put(self, thread_id: str, put: checkpoints.CheckpointPut, context: grpc.ServicerContext) -> None:
        values = {channel: core.Value.FromString(one.SerializeToString()) for channel, one in _whole(put)}
        if self.takes_changes:
            for channel, told in put.channel_changes.items():
                assert channel not in values
                base = self.values.get((thread_id, put.checkpoint_ns, channel, told.base_version))
                if base is None or hash_of(base.data) != told.base_hash:
                    Failure(grpc.StatusCode.FAILED_PRECONDITION, "no base", "BASE_MISMATCH").abort(context)
                assert base is not None
                data = apply(base.data, told.pieces, 64 << 20)
                assert hash_of(data) == told.hash
                values[channel] = core.Value(encoding=told.encoding, data=data)
        for channel, value in values.items():
            version = put.checkpoint.channel_versions[channel]
            self.values.setdefault((thread_id, put.checkpoint_ns, channel, version), value)
        found = core.CheckpointTuple(
            thread_id=thread_id,
            checkpoint_ns=put.checkpoint_ns,
            checkpoint=put.checkpoint,
            metadata=put.metadata,
            parent_checkpoint_id=put.parent_checkpoint_id,
        )
        found.checkpoint.ClearField("channel_values")
        self._found.setdefault(thread_id, []).append(found)

    def _told(self, found: core.CheckpointTuple, request: checkpoints.GetCheckpointRequest) -> Any:
        answer = checkpoints.GetCheckpointResponse(checkpoint_tuple=found, takes_changes=self.takes_changes)
        held = {(one.channel, one.version, one.hash) for one in request.held_values if self.takes_changes}
        for channel, version in found.checkpoint.channel_versions.items():
            value = self.values.get((found.thread_id, found.checkpoint_ns, channel, version))
            if value is None:
                continue
            if (channel, version, hash_of(value.data)) in held:
                answer.held_channels.append(channel)
            else:
                answer.checkpoint_tuple.checkpoint.channel_values[channel].CopyFrom(value)
        return answer


def _whole(put: checkpoints.CheckpointPut) -> list[tuple[str, core.Value]]:
    return list(put.checkpoint.channel_values.items())
