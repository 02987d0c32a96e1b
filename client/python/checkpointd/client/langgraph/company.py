"""Which writes of tasks may wait for the checkpoint that follows them, to be sent with it in one message.

In a run nobody waits for what a task has written to be stored, and the next checkpoint is put within about a
millisecond. A message costs both sides far more than what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from checkpointd.client.langgraph import runs

# What stands for more than a channel: errors, interrupts and what answers them, which are waited for, or are the last
# that a run writes; not so the outcomes below.
_SPECIAL = "__"
_ORDINARY = ("__pregel_tasks", "__no_writes__", "__return__")

# In the metadata of a checkpoint that has delta channels.
_DELTA = "counters_since_delta_snapshot"


class Company:
    """What is known of a saver's graphs. One object for the saver and its clones."""

    def __init__(self, *, ordered: bool) -> None:
        """`ordered` says that checkpoints wait for the writes before them: then those would only lose time."""
        self._ordered = ordered

    def put(self, metadata: Mapping[str, Any]) -> None:
        """Look at a checkpoint. LangGraph holds back those of graphs with delta channels until writes are stored."""
        if _DELTA in metadata:
            self._ordered = True

    def follows(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]]) -> bool:
        """Whether a checkpoint will soon follow what a task wrote, without waiting for it."""
        return (
            not self._ordered
            and runs.is_run(config)
            and not runs.saves_at_end(config)
            # What waits is in one of so many threads or tasks, and so is what it waits for.
            and config.get("max_concurrency") is None
            and all(channel[:2] != _SPECIAL or channel in _ORDINARY for channel, _ in writes)
        )
