"""LangGraph's configs: which thread, namespace and checkpoint a call is about."""

from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from checkpointd.client.errors import InvalidRequest
from checkpointd.v1.states_pb2 import StateConfig


class Place(NamedTuple):
    """A checkpoint, or with an empty checkpoint_id the head of a namespace."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str


def place_of(config: RunnableConfig) -> Place:
    """Where a config points to. Raises InvalidRequest when it names no thread."""
    configurable = config.get("configurable") or {}
    thread_id = configurable.get("thread_id")
    if thread_id is None or thread_id == "":
        raise InvalidRequest(
            'the config names no thread; give it {"configurable": {"thread_id": ...}}',
            reason="INVALID_FIELD",
            metadata={"field": "thread_id"},
        )
    checkpoint_ns, checkpoint_id = configurable.get("checkpoint_ns") or "", configurable.get("checkpoint_id") or ""
    return Place(str(thread_id), str(checkpoint_ns), str(checkpoint_id))


def checkpoint_id_of(config: RunnableConfig | None) -> str:
    """The checkpoint that a config names; "" for none."""
    return str((config or {}).get("configurable", {}).get("checkpoint_id") or "")


def config_of(place: Place) -> RunnableConfig:
    """The config that points to a checkpoint."""
    return {"configurable": place._asdict()}


def read_config(message: StateConfig) -> RunnableConfig:
    """The config in a message: without a checkpoint when it names none."""
    configurable: dict[str, Any] = {"thread_id": message.thread_id, "checkpoint_ns": message.checkpoint_ns}
    if message.checkpoint_id:
        configurable["checkpoint_id"] = message.checkpoint_id
    if message.checkpoint_map:
        configurable["checkpoint_map"] = dict(message.checkpoint_map)
    return {"configurable": configurable}
