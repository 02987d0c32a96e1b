"""A saver's way into threads that LangGraph.js works on too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.langgraph.bridge.aliases import Aliases
from checkpointd.client.langgraph.bridge.ids import LEVEL, interrupt_id, of_call, parent_ns, task_ns
from checkpointd.client.langgraph.bridge.supposed import Supposed
from checkpointd.client.langgraph.bridge.tasks import Task, tasks_of, triggers_in
from checkpointd.client.langgraph.bridge.writes import INTERRUPT, from_js, given
from checkpointd.client.langgraph.checkpoints import read_tuple
from checkpointd.client.langgraph.configs import Place, config_of, place_of
from checkpointd.client.langgraph.values import Typed
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1.graph_pb2 import GraphSpec

# Reads a stored checkpoint, or the head of a namespace; None when there is none.
Read = Callable[[Place], core.CheckpointTuple | None]


class Bridge:
    """What is remembered of such threads. One object for a saver and its clones.

    Places are as Python names them, unless they are called stored.
    """

    def __init__(self, read: Read) -> None:
        """`read` reads what is stored; it is called rarely: where a name has to be found a level above or below."""
        self._read = read
        self._aliases = Aliases()
        self._supposed = Supposed()

    def stored(self, place: Place) -> Place:
        """Where a place is stored."""
        if not self._aliases:
            return place
        checkpoint_ns = self._aliases.stored_ns(place.thread_id, place.checkpoint_ns)
        return place._replace(checkpoint_ns=checkpoint_ns)

    def config(self, config: RunnableConfig) -> RunnableConfig:
        """A config, with the namespace where it is stored."""
        if not self._aliases:
            return config
        checkpoint_ns = self.stored(place_of(config)).checkpoint_ns
        return {**config, "configurable": {**config["configurable"], "checkpoint_ns": checkpoint_ns}}

    def settled(self, config: RunnableConfig | None) -> RunnableConfig | None:
        """As `config`, once it is clear where the namespace is stored. May read."""
        if not self._aliases or config is None or not config.get("configurable", {}).get("checkpoint_ns"):
            return config
        self._find(place_of(config)._replace(checkpoint_id=""))
        return self.config(config)

    def settle(self, place: Place, *, found: bool) -> bool:
        """Say whether something is stored at `stored(place)`. Returns whether that is elsewhere now: look again."""
        return self._aliases.settle(place.thread_id, place.checkpoint_ns, found=found)

    def forget(self, thread_id: str) -> None:
        """Forget a thread."""
        self._aliases.forget(thread_id)

    def check(self, config: RunnableConfig, task_id: str, task_path: str) -> None:
        """Before what a task wrote is stored: whether it is the task that LangGraph.js's writes were given to.

        Raises:
            UnknownTask: it is another one, as only the graph can tell.
        """
        if self._supposed:
            self._supposed.check(place_of(config), task_id, task_path)

    def may_read(self, message: core.CheckpointTuple) -> bool:
        """Whether `tuple_of` may have to read something else for a checkpoint."""
        return from_js(message.pending_writes)

    def tuple_of(
        self,
        message: core.CheckpointTuple,
        checkpoint_ns: str,
        serde: SerializerProtocol,
        graph: GraphSpec | None,
        values: Mapping[str, Typed] | None = None,
    ) -> CheckpointTuple:
        """The tuple that Python's LangGraph takes for a checkpoint, whoever worked on it.

        Args:
            message: the checkpoint as it is stored.
            checkpoint_ns: its namespace.
            serde: reads values.
            graph: the description of the root graph, if there is one.
            values: the channels' values, where they are not in the message.

        Raises:
            UnknownTask: see `given`.
        """
        found = read_tuple(message, serde, values)
        place = Place(message.thread_id, checkpoint_ns, message.checkpoint.id)
        if checkpoint_ns != message.checkpoint_ns:
            parent = message.parent_checkpoint_id
            found = found._replace(
                config=config_of(place),
                parent_config=config_of(place._replace(checkpoint_id=parent)) if parent else None,
            )
        if not from_js(message.pending_writes):
            return found
        called = of_call(checkpoint_ns)
        if called and not self._aliases.known(place.thread_id, called):
            self._learn(place._replace(checkpoint_ns=called), found, serde, graph)
        of_js = self._worked_on(place, found, message, graph)
        renamed = partial(self._renamed, place, serde, graph)
        writes = given(message.pending_writes, found.pending_writes or (), of_js, renamed)
        return found._replace(pending_writes=writes)

    def _tasks(self, place: Place, found: CheckpointTuple, graph: GraphSpec | None) -> Iterator[Task]:
        js_ns = self._aliases.js_ns(place.thread_id, place.checkpoint_ns)
        step = found.metadata.get("step", -1) + 1
        return tasks_of(found.checkpoint, step, place.checkpoint_ns, js_ns, triggers_in(graph, place.checkpoint_ns))

    def _worked_on(
        self, place: Place, found: CheckpointTuple, message: core.CheckpointTuple, graph: GraphSpec | None
    ) -> dict[str, Task]:
        """By LangGraph.js's id, the tasks of a checkpoint that it has stored writes of. They are remembered."""
        ids = {write.task_id for write in message.pending_writes if not write.task_path}
        of_js = {js_id: task for task in self._tasks(place, found, graph) for js_id in task.js_ids if js_id in ids}
        for js_id, task in of_js.items():
            own_ns = task_ns(place.checkpoint_ns, task.name, task.python_id)
            self._aliases.remember(place.thread_id, own_ns, f"{task.name}:{js_id}")
            if not task.certain:
                self._supposed.remember(place, task.name, task.python_id)
        return of_js

    def _learn(self, place: Place, found: CheckpointTuple, serde: SerializerProtocol, graph: GraphSpec | None) -> None:
        """Learn what LangGraph.js calls a namespace, from the checkpoint above whose task it belongs to."""
        above = parent_ns(place.checkpoint_ns)
        parents = found.metadata.get("parents", {})
        checkpoint_id = parents.get(above) or parents.get(self._aliases.js_ns(place.thread_id, above))
        at = Place(place.thread_id, above, checkpoint_id or "")
        message = self._find(at) if checkpoint_id else None
        if message is None:
            return
        part = place.checkpoint_ns.rpartition(LEVEL)[2]
        for task in self._tasks(at, read_tuple(message, serde), graph):
            if part == f"{task.name}:{task.python_id}":
                self._aliases.remember(place.thread_id, place.checkpoint_ns, f"{task.name}:{task.js_ids[0]}")
                # What led here was stored under Python's name.
                self.settle(place, found=False)

    def _find(self, place: Place) -> core.CheckpointTuple | None:
        """What is stored of a place, under whichever name."""
        while (message := self._read(self.stored(place))) is None:
            if not self.settle(place, found=False):
                return None
        self.settle(place, found=True)
        return message

    def _renamed(self, place: Place, serde: SerializerProtocol, graph: GraphSpec | None, js_id: str, task: Task) -> str:
        """Python's id of an interrupt of a task, or of a graph that it calls; its own where it has none."""
        own_ns = task_ns(place.checkpoint_ns, task.name, task.python_id)
        js_ns = self._aliases.js_ns(place.thread_id, own_ns)
        if js_id == interrupt_id(js_ns):
            return interrupt_id(own_ns)
        below = Place(place.thread_id, own_ns, "")
        if (message := self._find(below)) is None:
            return js_id
        below = below._replace(checkpoint_id=message.checkpoint.id)
        found = read_tuple(message, serde)
        for task_id, one in self._worked_on(below, found, message, graph).items():
            if any(write.task_id == task_id and write.write.channel == INTERRUPT for write in message.pending_writes):
                renamed = self._renamed(below, serde, graph, js_id, one)
                if renamed != js_id:
                    return renamed
        return js_id
