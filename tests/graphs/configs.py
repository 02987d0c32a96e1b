"""How a test names a thread or a checkpoint."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot


def thread(thread_id: str) -> RunnableConfig:
    """The head of a thread."""
    return {"configurable": {"thread_id": thread_id}}


def checkpoint(thread_id: str, checkpoint_id: str) -> RunnableConfig:
    """One checkpoint of a thread's root graph, named as a person would: by thread and id."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_id": checkpoint_id}}


def id_of(snapshot: StateSnapshot) -> str:
    """The checkpoint that a snapshot shows."""
    return str(snapshot.config["configurable"]["checkpoint_id"])


def parent_of(snapshot: StateSnapshot) -> str | None:
    """The checkpoint that a snapshot's checkpoint came from."""
    return str(snapshot.parent_config["configurable"]["checkpoint_id"]) if snapshot.parent_config else None
