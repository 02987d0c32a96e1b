"""Short ways to write the contract's messages in tests."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from checkpointd.v1.checkpoints_pb2 import (
    CheckpointPut,
    CommitOp,
    CommitRequest,
    PutCheckpointRequest,
    PutWritesRequest,
    WritesPut,
)
from checkpointd.v1.core_pb2 import Value


def value(data: bytes | str) -> Value:
    return Value(encoding="bytes", data=data.encode() if isinstance(data, str) else data)


def checkpoint_put(
    checkpoint_id: str,
    *,
    parent: str = "",
    ns: str = "",
    values: Mapping[str, bytes | str] | None = None,
    versions: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> CheckpointPut:
    """A checkpoint whose channels have the versions given, or for `values` ones made from the checkpoint's id."""
    put = CheckpointPut(checkpoint_ns=ns, parent_checkpoint_id=parent)
    put.checkpoint.id = checkpoint_id
    put.checkpoint.v = 4
    put.checkpoint.channel_versions.update(dict.fromkeys(values or {}, f"v{checkpoint_id}"))
    put.checkpoint.channel_versions.update(versions or {})
    for channel, data in (values or {}).items():
        put.checkpoint.channel_values[channel].CopyFrom(value(data))
    put.metadata.json = json.dumps(metadata or {})
    return put


def put_checkpoint(thread_id: str, checkpoint_id: str, **more: Any) -> PutCheckpointRequest:
    return PutCheckpointRequest(thread_id=thread_id, put=checkpoint_put(checkpoint_id, **more))


def writes_put(
    checkpoint_id: str, task_id: str, writes: Sequence[tuple[int, str, bytes | str]], *, ns: str = "", path: str = ""
) -> WritesPut:
    """What a task wrote, as (idx, channel, data)."""
    put = WritesPut(checkpoint_ns=ns, checkpoint_id=checkpoint_id, task_id=task_id, task_path=path)
    for idx, channel, data in writes:
        put.writes.add(idx=idx, channel=channel, value=value(data))
    return put


def put_writes(
    thread_id: str, checkpoint_id: str, task_id: str, writes: Sequence[tuple[int, str, bytes | str]], **more: str
) -> PutWritesRequest:
    return PutWritesRequest(thread_id=thread_id, put=writes_put(checkpoint_id, task_id, writes, **more))


def commit(thread_id: str, *ops: CheckpointPut | WritesPut) -> CommitRequest:
    request = CommitRequest(thread_id=thread_id)
    for op in ops:
        request.ops.append(CommitOp(put_checkpoint=op) if isinstance(op, CheckpointPut) else CommitOp(put_writes=op))
    return request
