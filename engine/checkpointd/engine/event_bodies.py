"""What is written of an event, in the contract's messages. Pure.

A body is a serialised WatchResponse with one event, without what the row in the database has. Bodies, one after the
other, are one body, as messages of the contract's form are.
"""

from collections.abc import Collection, Mapping
from typing import Any

from checkpointd.v1.watch_pb2 import WatchEvent, WatchEventKind, WatchResponse

_INTERRUPT, _ERROR = "__interrupt__", "__error__"

# LangGraph's have a dozen characters.
_LONGEST_SOURCE = 64


def body(event: WatchEvent) -> bytes:
    """The body of one event."""
    return WatchResponse(events=[event]).SerializeToString()


def checkpoint_body(checkpoint_ns: str, checkpoint_id: str, metadata: Mapping[str, Any]) -> bytes:
    """That a checkpoint was stored."""
    run_id, source, step = metadata.get("run_id"), metadata.get("source"), metadata.get("step")
    return body(
        WatchEvent(
            kind=WatchEventKind.WATCH_EVENT_KIND_CHECKPOINT,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            run_id=run_id if isinstance(run_id, str) else "",
            source=source if isinstance(source, str) and len(source) <= _LONGEST_SOURCE else "",
            step=step if type(step) is int and abs(step) < 1 << 63 else 0,
        )
    )


def writes_body(checkpoint_ns: str, checkpoint_id: str, task_id: str, channels: Collection[str]) -> bytes:
    """That a task's writes were stored, to these channels."""
    return body(
        WatchEvent(
            kind=WatchEventKind.WATCH_EVENT_KIND_WRITES,
            checkpoint_ns=checkpoint_ns,
            checkpoint_id=checkpoint_id,
            task_id=task_id,
            interrupt=_INTERRUPT in channels,
            error=_ERROR in channels,
        )
    )


def removal_body(kind: WatchEventKind.ValueType, removed_checkpoints: int) -> bytes:
    """That a thread was deleted, or that checkpoints left it."""
    return body(WatchEvent(kind=kind, removed_checkpoints=removed_checkpoints))
