"""All that can be seen of a thread, as plain data: what is stored, and what LangGraph makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import CheckpointTuple, PendingWrite, Value
from tests.states.corpus.playing import Graph
from tests.states.updates.naming import Names

_EDGE = "branch:to:"
_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


class Place(NamedTuple):
    """One thread, and those who can look at it."""

    graph: Graph
    saver: RemoteSaver
    client: Client
    thread_id: str

    def config(self, **configurable: Any) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread_id, **configurable}}

    def rows(self) -> list[CheckpointTuple]:
        """The stored checkpoints of all namespaces, oldest commit first."""
        return list(self.client.list_checkpoints(thread_id=self.thread_id))[::-1]


class Stored(NamedTuple):
    """A stored value."""

    encoding: str
    data: bytes


def stored(value: Value, names: Names) -> Stored:
    return Stored(value.encoding, names.data(value.data))


def photo(place: Place, names: Names) -> dict[str, Any]:
    """The rows, and the states: of the head with the subgraphs' own, and the history of each namespace."""
    rows = place.rows()
    return {
        "rows": [row(one, names) for one in rows],
        "state": state(place, names),
        "histories": {
            names.text(checkpoint_ns): history(place, names, checkpoint_ns)
            for checkpoint_ns in dict.fromkeys(one.checkpoint_ns for one in rows)
        },
    }


def row(found: CheckpointTuple, names: Names) -> dict[str, Any]:
    """A stored checkpoint, its metadata and its writes."""
    checkpoint = found.checkpoint
    # One that was there before keeps its time; of another one only the form is known.
    is_new = not names.is_known(checkpoint.id)
    return {
        "checkpoint_ns": names.text(found.checkpoint_ns),
        "id": names.text(checkpoint.id),
        "parent": names.text(found.parent_checkpoint_id),
        "v": checkpoint.v,
        "ts": "<now>" if is_new and _TS.fullmatch(checkpoint.ts) else checkpoint.ts,
        "channel_versions": {
            name: names.version(version) for name, version in sorted(checkpoint.channel_versions.items())
        },
        "versions_seen": {
            node: {name: names.version(version) for name, version in sorted(seen.versions.items())}
            for node, seen in sorted(checkpoint.versions_seen.items())
        },
        "updated_channels": list(checkpoint.updated_channels.names)
        if checkpoint.HasField("updated_channels")
        else None,
        "channel_values": {name: stored(value, names) for name, value in sorted(checkpoint.channel_values.items())},
        "extra": {name: stored(value, names) for name, value in sorted(checkpoint.extra.items())},
        "metadata": names.plain(json.loads(found.metadata.json or "{}")),
        "native metadata": stored(found.metadata.native, names) if found.metadata.HasField("native") else None,
        **_writes(found.pending_writes, names),
    }


def _writes(pending: Iterable[PendingWrite], names: Names) -> dict[str, Any]:
    """Writes in order; apart from them, the order of those that are edges."""
    writes = [_write(one, names) for one in pending]
    # Where an edge stands among other edges means nothing; where it stands among other writes is kept.
    edges = [write for write in writes if write["channel"].startswith(_EDGE)]
    order = " ".join(write["channel"] for write in edges)
    for write, channel in zip(edges, sorted(write["channel"] for write in edges), strict=True):
        write["channel"] = channel
    return {"pending_writes": writes, "edges": order}


def _write(pending: PendingWrite, names: Names) -> dict[str, Any]:
    return {
        "task_path": names.text(pending.task_path),
        "task_id": names.text(pending.task_id),
        "idx": pending.write.idx,
        "channel": pending.write.channel,
        "value": stored(pending.write.value, names),
    }


def state(place: Place, names: Names) -> Any:
    """The head's state as LangGraph tells it, or what it raises."""
    try:
        return _snapshot(place.graph.get_state(place.config(), subgraphs=True), names)
    except Exception as error:  # LangGraph may raise anything that the graph's own code does
        return names.plain(error)


def history(place: Place, names: Names, checkpoint_ns: str) -> list[Any]:
    """The states of a namespace as LangGraph tells them, down to the first that it can't."""
    found = []
    try:
        for one in place.graph.get_state_history(place.config(checkpoint_ns=checkpoint_ns)):
            found.append(_snapshot(one, names))  # noqa: PERF401 - those before a failure count
    except Exception as error:  # as above
        found.append(names.plain(error))
    return found


def _snapshot(snapshot: Any, names: Names) -> Any:
    """A snapshot. The times of checkpoints that were not there before are left to the rows."""
    kind, told = names.plain(snapshot)
    _forget_times(told, names)
    return (kind, told)


def _forget_times(told: dict[str, Any], names: Names) -> None:
    # The id of a checkpoint that was there before was not renamed.
    if not names.is_known(told["config"]["configurable"].get("checkpoint_id", "")) and told["created_at"]:
        told["created_at"] = "<now>"
    for _, task in told["tasks"]:
        match task["state"]:
            case ("StateSnapshot", inner):
                _forget_times(inner, names)
