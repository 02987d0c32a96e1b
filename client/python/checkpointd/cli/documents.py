"""Answers as JSON documents, with the names of the contract's fields. The command's promise to scripts: names stay.

What JSON can't hold is an object with one key that begins with `$`: `$bytes` and `$opaque` in base64 (the latter with
`$encoding` beside it), `$float` (`nan`, `inf`, `-inf`), `$map` (pairs, for keys that are no strings), and `$class` with
the `parts` that the object is made from. They are for reading: `checkpointd update` takes none of them.
"""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from checkpointd.cli.decoding import decode
from checkpointd.cli.instances import DEEPEST, Instance, Opaque
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.states_pb2 import StateConfig, StateInterrupt, StateSnapshot, StateTask, TaskResult
from checkpointd.v1.threads_pb2 import Thread, ThreadStatus

_TOO_DEEP = {"$cut": "nested too deeply"}


def jsonable(data: Any, depth: int = 0) -> Any:
    """Decoded data as what `json` can write."""
    made = data
    if isinstance(data, float):
        made = data if math.isfinite(data) else {"$float": str(data)}
    elif isinstance(data, bytes):
        made = {"$bytes": base64.b64encode(data).decode()}
    elif isinstance(data, Opaque):
        made = {"$opaque": base64.b64encode(data.data).decode(), "$encoding": data.encoding}
    elif isinstance(data, dict | list | tuple | Instance):
        made = _nested(data, depth + 1) if depth < DEEPEST else _TOO_DEEP
    elif not (data is None or isinstance(data, str | bool | int)):
        made = str(data)  # a date or the like, that was the key of a map
    return made


def _nested(data: Any, depth: int) -> Any:
    if isinstance(data, Instance):
        return {"$class": data.class_name, "parts": jsonable(data.parts, depth)}
    if not isinstance(data, dict):
        return [jsonable(item, depth) for item in data]
    if all(isinstance(key, str) for key in data):
        return {key: jsonable(item, depth) for key, item in data.items()}
    return {"$map": [[jsonable(key, depth), jsonable(item, depth)] for key, item in data.items()]}


def value_document(value: Value) -> Any:
    """A stored value."""
    return jsonable(decode(value))


def thread_document(thread: Thread) -> dict[str, Any]:
    """A thread, as in a list."""
    return {
        "thread_id": thread.thread_id,
        "created_at": _time(thread.created_at),
        "updated_at": _time(thread.updated_at),
        "sequence": thread.sequence,
        "status": status_of(thread),
        "owner": thread.owner,
        "labels": dict(thread.labels),
    }


def status_of(thread: Thread) -> str:
    """The status as people write it; empty when the server does not tell."""
    return ThreadStatus.Name(thread.status).removeprefix("THREAD_STATUS_").lower() if thread.status else ""


def _time(time: Timestamp) -> str:
    return time.ToJsonString()


def config_document(config: StateConfig) -> dict[str, Any]:
    """Where a checkpoint is."""
    return {
        "thread_id": config.thread_id,
        "checkpoint_ns": config.checkpoint_ns,
        "checkpoint_id": config.checkpoint_id,
        "checkpoint_map": dict(sorted(config.checkpoint_map.items())),
    }


def snapshot_document(snapshot: StateSnapshot) -> dict[str, Any]:
    """A state. `values` is the bare value where the graph's state is one."""
    return {
        "config": config_document(snapshot.config),
        "parent_config": config_document(snapshot.parent_config) if snapshot.HasField("parent_config") else None,
        "created_at": snapshot.created_at,
        "metadata": metadata(snapshot),
        "values": values_document(snapshot),
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "interrupts": [_interrupt(one) for one in snapshot.interrupts],
        "unresolved": [
            {
                "channel": one.channel,
                "base": value_document(one.base) if one.HasField("base") else None,
                "writes": [value_document(write) for write in one.writes],
            }
            for one in sorted(snapshot.unresolved, key=lambda one: one.channel)
        ],
        "warnings": list(snapshot.warnings),
    }


def values(snapshot: StateSnapshot, read: Callable[[Value], Any] = decode) -> Any:
    """The values of a state by channel, in order of name; of a graph whose state is one bare value, that."""
    if snapshot.HasField("root_value"):
        return read(snapshot.root_value)
    return {name: read(value) for name, value in sorted(snapshot.values.items())}


def values_document(snapshot: StateSnapshot) -> Any:
    """The same for JSON."""
    return values(snapshot, value_document)


def metadata(snapshot: StateSnapshot) -> dict[str, Any]:
    """The metadata of a state's checkpoint."""
    try:
        parsed = json.loads(snapshot.metadata.json or "{}")
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _task(task: StateTask) -> dict[str, Any]:
    path: list[str | int] = (
        ["__pregel_push", task.path.push] if task.path.HasField("push") else ["__pregel_pull", task.path.pull]
    )
    return {
        "id": task.id,
        "name": task.name,
        "path": path,
        "error": value_document(task.error) if task.HasField("error") else None,
        "interrupts": [_interrupt(one) for one in task.interrupts],
        "result": jsonable(result(task.result)) if task.HasField("result") else None,
        "subgraph": config_document(task.subgraph) if task.HasField("subgraph") else None,
        "subgraph_state": snapshot_document(task.subgraph_state) if task.HasField("subgraph_state") else None,
    }


def result(given: TaskResult) -> Any:
    """What a finished task gave: a bare value, or by channel, `{"$writes": [...]}` for several to one channel."""
    if given.HasField("value"):
        return decode(given.value)
    return {
        one.channel: decode(one.values[0]) if len(one.values) == 1 else {"$writes": [decode(v) for v in one.values]}
        for one in given.writes
    }


def _interrupt(one: StateInterrupt) -> dict[str, Any]:
    return {
        "id": one.id,
        "value": value_document(one.value),
        "response_schema": value_document(one.response_schema) if one.HasField("response_schema") else None,
    }
