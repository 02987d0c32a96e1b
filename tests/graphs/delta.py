"""A graph whose state is stored as changes (DeltaChannel), moves to play on it, and what can be seen of a thread.

Nodes write the same to `log`, a DeltaChannel, and to `plain`, which is stored whole: they must be equal at every
checkpoint, whatever has been done to the thread.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite, StateSnapshot

from tests.graphs.configs import thread

CHANNELS = ["log", "marks"]


def extend(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    """The reducer of `log`."""
    return [*state, *(line for lines in writes for line in lines)]


def merge(state: dict[str, int], writes: Sequence[dict[str, int]]) -> dict[str, int]:
    """The reducer of `marks`: the last one of a name stays."""
    return {name: mark for marks in [state, *writes] for name, mark in marks.items()}


def delta_graph(saver: BaseCheckpointSaver[str], frequency: int) -> CompiledStateGraph[Any]:
    """speak -> left and right side by side -> close, which overwrites when the mode is "reset"."""

    class State(TypedDict, total=False):
        mode: str
        turn: int
        log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=frequency)]
        marks: Annotated[dict[str, int], DeltaChannel(merge, dict, snapshot_frequency=2 * frequency + 1)]
        plain: Annotated[list[str], add]

    def both(line: str) -> State:
        return {"log": [line], "plain": [line]}

    def speak(state: State) -> State:
        turn = state.get("turn", 0) + 1
        return {**both(f"speak {turn}"), "turn": turn, "marks": {"speak": turn, f"turn {turn}": turn}}

    def left(state: State) -> State:
        return {**both("left"), "marks": {"side": 1}}

    def right(state: State) -> State:
        return {**both("right"), "marks": {"side": 2}}

    def close(state: State) -> dict[str, Any]:
        if state.get("mode") == "reset":
            return {"log": Overwrite(["anew"]), "plain": Overwrite(["anew"]), "marks": Overwrite({"anew": 1})}
        return {"mode": "closed"}

    graph = StateGraph(State)
    for node in (speak, left, right):
        graph.add_node(node)
    graph.add_node("close", close)
    graph.add_edge(START, "speak")
    for side in ("left", "right"):
        graph.add_edge("speak", side)
    graph.add_edge(["left", "right"], "close")
    return graph.compile(checkpointer=saver)


@dataclass(frozen=True)
class Move:
    """Something done to a thread; `back` counts checkpoints from the head (modulo their number)."""

    kind: Literal["say", "say async", "say at exit", "say and stop", "go on", "replay", "note", "overwrite"]
    mode: str = ""
    back: int = 0

    def play(self, app: CompiledStateGraph[Any], thread_id: str) -> None:
        """Do it."""
        at = thread(thread_id)
        said = {"mode": self.mode, "log": [self.kind], "plain": [self.kind]}
        if self.kind == "say":
            app.invoke(said, at)
        elif self.kind == "say async":
            asyncio.run(app.ainvoke(said, at))
        elif self.kind == "say at exit":
            app.invoke(said, at, durability="exit")
        elif self.kind == "say and stop":
            app.invoke(said, at, interrupt_before=["close"])
        elif self.kind == "go on":
            app.invoke(None, at)
        else:
            states = list(app.get_state_history(at))
            target = states[self.back % len(states)].config
            if self.kind == "note":
                target = app.update_state(target, {"log": ["note"], "plain": ["note"]}, as_node="speak")
            elif self.kind == "overwrite":
                new = {"log": Overwrite(["by hand"]), "plain": Overwrite(["by hand"])}
                target = app.update_state(target, new, as_node="speak")
            app.invoke(None, target)


class Seen(NamedTuple):
    """What can be seen of one checkpoint; ids, which no two runs share, stand as numbers in the order met."""

    place: int
    parent: int | None
    values: dict[str, Any]
    next: tuple[str, ...]
    source: str | None
    step: int | None
    counters: dict[str, Any] | None
    stored: list[str]
    results: list[tuple[str, Any]]
    histories: dict[str, tuple[Any, list[tuple[int, Any]]]]


class Witness:
    """Writes down what can be seen of a thread."""

    def __init__(self, saver: BaseCheckpointSaver[str], app: CompiledStateGraph[Any]) -> None:
        self._saver = saver
        self._app = app
        self._numbers: dict[str, int] = {}

    def see(self, thread_id: str) -> list[Seen]:
        """All checkpoints of the root graph, oldest first."""
        states = list(self._app.get_state_history(thread(thread_id)))
        return [self._see(state) for state in reversed(states)]

    def _see(self, state: StateSnapshot) -> Seen:
        assert state.values.get("log", []) == state.values.get("plain", []), "stored as changes and stored whole differ"
        stored = self._saver.get_tuple(state.config)
        assert stored is not None
        return Seen(
            place=self._number(state.config),
            parent=self._number(state.parent_config) if state.parent_config else None,
            values=state.values,
            next=state.next,
            source=stored.metadata.get("source"),
            step=stored.metadata.get("step"),
            counters=stored.metadata.get("counters_since_delta_snapshot"),
            stored=sorted(stored.checkpoint["channel_values"]),
            results=[(task.name, task.result) for task in state.tasks],
            histories=self._histories(state.config),
        )

    def _number(self, named: RunnableConfig | str) -> int:
        name = named if isinstance(named, str) else named["configurable"]["checkpoint_id"]
        return self._numbers.setdefault(name, len(self._numbers))

    def _histories(self, config: RunnableConfig) -> dict[str, tuple[Any, list[tuple[int, Any]]]]:
        found = self._saver.get_delta_channel_history(config=config, channels=CHANNELS)
        assert list(found) == CHANNELS
        return {
            channel: (
                unwrapped(history.get("seed", "no seed")),
                [(self._number(task_id), unwrapped(value)) for task_id, _, value in history["writes"]],
            )
            for channel, history in found.items()
        }


def unwrapped(value: Any) -> Any:
    """A seed or a write in a form that compares by what it holds."""
    return ("snapshot", value.value) if isinstance(value, _DeltaSnapshot) else value
