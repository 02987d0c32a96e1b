"""The two languages, each behind the same calls: what a program in it does with a graph and a thread."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from checkpointd.client.langgraph import RemoteSaver
from tests.languages.graphs import Graph, Ran, compiled
from tests.server_process import environment

_DRIVER = Path(__file__).parents[2] / "client" / "typescript" / "test" / "languages" / "driver.mjs"


class Failed(Exception):
    """The call raised; the text begins with the error's name."""


class Seen(NamedTuple):
    """A thread after a call, as the language's own get_state shows it."""

    log: list[str]
    messages: list[list[Any]]  # type, content and the tool calls' names and arguments
    next: list[str]
    interrupts: dict[str, Any]  # by id
    ran: list[str]  # the nodes that ran in this call, sorted: siblings have no order


class Side(Protocol):
    """One language. A thread is on the test's tenant; a checkpoint is named by its id."""

    name: str

    def invoke(self, graph: str, thread: str, given: Any, checkpoint: str = "") -> Seen:
        """Run the graph with an input; None to go on."""

    def resume(self, graph: str, thread: str, answer: Any) -> Seen:
        """Run the graph with an answer, or with answers by interrupt id."""

    def update(self, graph: str, thread: str, values: Any, as_node: str) -> Seen:
        """Update the state as a node."""

    def look(self, graph: str, thread: str) -> Seen:
        """Look, and run nothing."""

    def history(self, graph: str, thread: str) -> list[tuple[str, list[str]]]:
        """The ids of the checkpoints, newest first, each with what runs next."""

    def close(self) -> None:
        """Be done."""


class Python:
    """LangGraph for Python, in this process: a saver and a graph of its own for each call, as if it was another."""

    name = "python"

    def __init__(self, address: str, tenant: str, *, register: bool = False) -> None:
        self._address, self._tenant, self._register = address, tenant, register

    def _saver(self) -> RemoteSaver:
        return RemoteSaver(self._address, tenant=self._tenant)

    def invoke(self, graph: str, thread: str, given: Any, checkpoint: str = "") -> Seen:
        with self._saver() as saver:
            ran: Ran = []
            built = self._graph(graph, saver, ran)
            try:
                built.invoke(given, _config(thread, checkpoint))
            except Exception as error:
                raise Failed(f"{type(error).__name__}: {error}") from error
            return _seen(built, thread, ran)

    def resume(self, graph: str, thread: str, answer: Any) -> Seen:
        return self.invoke(graph, thread, Command(resume=answer))

    def update(self, graph: str, thread: str, values: Any, as_node: str) -> Seen:
        with self._saver() as saver:
            built = self._graph(graph, saver, [])
            built.update_state(_config(thread), values, as_node)
            return _seen(built, thread, [])

    def look(self, graph: str, thread: str) -> Seen:
        with self._saver() as saver:
            return _seen(self._graph(graph, saver, []), thread, [])

    def history(self, graph: str, thread: str) -> list[tuple[str, list[str]]]:
        with self._saver() as saver:
            states = self._graph(graph, saver, []).get_state_history(_config(thread))
            return [(state.config["configurable"]["checkpoint_id"], list(state.next)) for state in states]

    def close(self) -> None:
        pass

    def _graph(self, name: str, saver: RemoteSaver, ran: Ran) -> Graph:
        graph = compiled(name, saver, ran)
        if self._register:
            saver.register(graph, name)
        return graph


def _config(thread: str, checkpoint: str = "") -> RunnableConfig:
    configurable = {"thread_id": thread} | ({"checkpoint_id": checkpoint} if checkpoint else {})
    return {"configurable": configurable}


def _seen(graph: Graph, thread: str, ran: Ran) -> Seen:
    state = graph.get_state(_config(thread))
    values = cast(dict[str, Any], state.values)
    return Seen(
        values.get("log", []),
        [_message(message) for message in values.get("messages", [])],
        list(state.next),
        {interrupt.id: interrupt.value for task in state.tasks for interrupt in task.interrupts},
        sorted(ran),
    )


def _message(message: BaseMessage) -> list[Any]:
    calls = [[call["name"], call["args"]] for call in getattr(message, "tool_calls", [])]
    return [message.type, message.content, calls]


class JavaScript:
    """LangGraph.js, in a process of Node's: a saver and a graph of its own for each call."""

    name = "javascript"

    def __init__(self, address: str, tenant: str) -> None:
        node = shutil.which("node")
        assert node is not None, "node is not on the PATH"
        self._process = subprocess.Popen(
            [node, "--unhandled-rejections=strict", str(_DRIVER), address, tenant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def invoke(self, graph: str, thread: str, given: Any, checkpoint: str = "") -> Seen:
        return self._call(do="invoke", graph=graph, thread=thread, given=given, checkpoint=checkpoint)

    def resume(self, graph: str, thread: str, answer: Any) -> Seen:
        return self._call(do="resume", graph=graph, thread=thread, given=answer)

    def update(self, graph: str, thread: str, values: Any, as_node: str) -> Seen:
        return self._call(do="update", graph=graph, thread=thread, given=values, as_node=as_node)

    def look(self, graph: str, thread: str) -> Seen:
        return self._call(do="look", graph=graph, thread=thread)

    def history(self, graph: str, thread: str) -> list[tuple[str, list[str]]]:
        return [(one, after) for one, after in self._ask(do="history", graph=graph, thread=thread)]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _call(self, **what: Any) -> Seen:
        return Seen(**self._ask(**what))

    def _ask(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["done"]
