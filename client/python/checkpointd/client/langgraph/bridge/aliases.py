"""Namespaces of subgraphs: each language names them after its own id of the task that calls the subgraph."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass

from checkpointd.client.langgraph.bridge.ids import LEVEL, below, parent_ns

# How many to remember. Only those of tasks that LangGraph.js worked on are.
_MOST = 10_000


@dataclass(slots=True)
class _Alias:
    js_part: str  # what LangGraph.js calls the last part of the namespace
    stored_by_js: bool | None = None  # whether the checkpoints are there; None while nobody has looked


class Aliases:
    """Which namespaces, by Python's name, have another name in LangGraph.js, and under which one they are stored.

    One object for a saver and its clones; all methods may be called from any thread.
    """

    def __init__(self) -> None:
        self.start_anew()
        _all.add(self)

    def start_anew(self) -> None:
        """Remember nothing. In a child of this process, where the lock may be held by a thread that is not there."""
        self._lock = threading.Lock()
        self._aliases: OrderedDict[tuple[str, str], _Alias] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._aliases)

    def remember(self, thread_id: str, checkpoint_ns: str, js_part: str) -> None:
        """LangGraph.js has another name for the last part of a namespace."""
        with self._lock:
            key = thread_id, checkpoint_ns
            if key not in self._aliases:
                self._aliases[key] = _Alias(js_part)
            self._aliases.move_to_end(key)
            if len(self._aliases) > _MOST:
                self._aliases.popitem(last=False)

    def forget(self, thread_id: str) -> None:
        """Forget a thread."""
        with self._lock:
            for key in [key for key in self._aliases if key[0] == thread_id]:
                del self._aliases[key]

    def known(self, thread_id: str, checkpoint_ns: str) -> bool:
        """Whether LangGraph.js's name of a namespace is known."""
        return (thread_id, checkpoint_ns) in self._aliases

    def js_ns(self, thread_id: str, checkpoint_ns: str) -> str:
        """What LangGraph.js calls a namespace."""
        return self._named(thread_id, checkpoint_ns, stored=False)

    def stored_ns(self, thread_id: str, checkpoint_ns: str) -> str:
        """Under which name a namespace is stored, as far as is known."""
        return self._named(thread_id, checkpoint_ns, stored=True)

    def _named(self, thread_id: str, checkpoint_ns: str, *, stored: bool) -> str:
        if not checkpoint_ns:
            return ""
        part = checkpoint_ns.rpartition(LEVEL)[2]
        alias = self._aliases.get((thread_id, checkpoint_ns))
        if alias is not None and not (stored and alias.stored_by_js is False):
            part = alias.js_part
        return below(self._named(thread_id, parent_ns(checkpoint_ns), stored=stored), part)

    def settle(self, thread_id: str, checkpoint_ns: str, *, found: bool) -> bool:
        """Say whether something was found under the stored name. Returns whether to look again, under the other one."""
        with self._lock:
            alias = self._aliases.get((thread_id, checkpoint_ns))
            if alias is None:
                return False
            if found:
                alias.stored_by_js = alias.stored_by_js is not False
                return False
            # The first look is under LangGraph.js's name, the second under Python's; after that, nobody knows again.
            again = alias.stored_by_js is None
            alias.stored_by_js = False if again else None
            return again


_all: weakref.WeakSet[Aliases] = weakref.WeakSet()


def _start_anew() -> None:
    for aliases in list(_all):
        aliases.start_anew()


os.register_at_fork(after_in_child=_start_anew)
