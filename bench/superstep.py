"""The superstep that is measured: one checkpoint with five messages of 200 characters, and what one task wrote.

In everything else as LangGraph makes it for a graph of MessagesState whose one node goes on and on: new versions of the
channels it wrote and of its trigger, what it has seen, its step and its parent.
"""

import itertools
import random
from functools import cache
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from bench.sides import Saver
from bench.text import Writer

MESSAGES, LENGTH = 5, 200

_VARIETY = 40  # different values of the channel, used over and over

_NODE = "answer"
_TRIGGER = f"branch:to:{_NODE}"


class Supersteps:
    """One thread, superstep after superstep. `checkpoint` makes the next one; it is stored by its user."""

    def __init__(self, saver: Saver, thread_id: str) -> None:
        self._saver = saver
        self._thread_id = thread_id
        self._numbers = itertools.count(-1)
        self._values = itertools.cycle(_values())
        self._written: list[AnyMessage] = []
        self._before = empty_checkpoint()
        self._version: str | None = None
        self.config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}

    def checkpoint(self) -> tuple[RunnableConfig, Checkpoint, CheckpointMetadata, ChannelVersions]:
        """The arguments of put() for the next superstep."""
        step = next(self._numbers)
        messages = next(self._values)
        for message in messages:  # no two values are the same
            message.id = f"{random.getrandbits(128):032x}"
        self._written = messages[-1:]
        version = self._saver.get_next_version(self._version, None)
        versions: ChannelVersions = {"messages": version, _TRIGGER: version}
        seen: ChannelVersions = {_TRIGGER: self._version} if self._version else {}
        self._version = version
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6(clock_seq=step))
        checkpoint["channel_values"] = {"messages": messages, _TRIGGER: None}
        checkpoint["channel_versions"] = self._before["channel_versions"] | versions
        checkpoint["versions_seen"] = {"__input__": {}, _NODE: seen}
        checkpoint["updated_channels"] = [_TRIGGER, "messages"]
        self._before = checkpoint
        metadata: CheckpointMetadata = {"source": "loop" if step >= 0 else "input", "step": step, "parents": {}}
        parent, self.config = self.config, self._at(checkpoint["id"])
        return parent, checkpoint, metadata, versions

    def writes(self) -> tuple[list[tuple[str, Any]], str, str]:
        """What the task that runs on the newest checkpoint writes: the arguments of put_writes() after the config."""
        return [("messages", self._written), (_TRIGGER, None)], str(uuid4()), f"~__pregel_pull, {_NODE}"

    def _at(self, checkpoint_id: str) -> RunnableConfig:
        return {"configurable": {"thread_id": self._thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}}


@cache
def _values() -> list[list[AnyMessage]]:
    """What the channel holds, one value after the other; made once, as many threads use them."""
    writer = Writer(seed=0)
    return [
        [
            kind(writer.prose(LENGTH))
            for kind, _ in zip(itertools.cycle((HumanMessage, AIMessage)), range(MESSAGES), strict=False)
        ]
        for _ in range(_VARIETY)
    ]
