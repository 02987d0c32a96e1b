"""What a saver makes of tasks that LangGraph.js worked on, where Python's LangGraph can't be sure which ones they are.

The threads of both languages are in `tests/languages`; here a Python graph's own thread gets writes as LangGraph.js
would have stored them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Interrupt, interrupt

from checkpointd.client import UnknownTask
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph.bridge.ids import PULL, interrupt_id, js_task_id, task_ns
from tests.server_process import ServerProcess

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}


class State(TypedDict):
    """What was said."""

    said: Annotated[list[str], lambda left, right: left + right]


def _ask(state: Any) -> Any:
    return {"said": [interrupt("well?")]}


@pytest.fixture
def saver(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    with RemoteSaver(server.address, tenant=tenant) as saver:
        yield saver


def _graph(saver: RemoteSaver, *, joined: bool) -> Any:
    """One that asks. `joined`: the node that asks has a second trigger, which nothing has written to yet."""
    graph: Any = StateGraph(State)
    graph.add_node("ask", _ask)
    graph.add_node("also", lambda _: {})
    graph.add_node("never", lambda _: {})
    graph.add_edge(START, "also")
    graph.add_edge(START, "ask")
    if joined:
        graph.add_edge(["never", "ask"], "ask")
    # Stopped before anything ran, so that LangGraph.js can do what comes next.
    return graph.compile(checkpointer=saver, interrupt_before=["ask"])


def _js_asked(saver: RemoteSaver, graph: Any) -> str:
    """Let LangGraph.js have run the node up to its question. Returns its id of the task."""
    graph.invoke({"said": []}, CONFIG)
    config = saver.get_tuple(CONFIG).config  # type: ignore[union-attr]
    checkpoint_id = uuid.UUID(config["configurable"]["checkpoint_id"])
    task_id = js_task_id(checkpoint_id, "", 1, "ask", PULL, ["branch:to:ask"])
    asked = Interrupt("well?", interrupt_id(task_ns("", "ask", task_id)))
    saver.put_writes(config, [("__interrupt__", [asked])], task_id)
    return task_id


def test_a_question_of_langgraph_js_gets_pythons_id_and_is_answered_by_it(saver: RemoteSaver) -> None:
    graph = _graph(saver, joined=False)
    task_id = _js_asked(saver, graph)
    ((asked,),) = [task.interrupts for task in graph.get_state(CONFIG).tasks if task.interrupts]
    assert asked.value == "well?"
    assert asked.id != interrupt_id(task_ns("", "ask", task_id))
    assert graph.invoke(Command(resume={asked.id: "yes"}), CONFIG)["said"] == ["yes"]


def test_an_answer_for_a_task_that_is_none_of_the_graphs_is_an_error(saver: RemoteSaver) -> None:
    graph = _graph(saver, joined=False)
    _js_asked(saver, graph)
    config = saver.get_tuple(CONFIG).config  # type: ignore[union-attr]
    saver.put_writes(config, [("__resume__", ["yes"])], str(uuid.uuid5(uuid.NAMESPACE_DNS, "another task")))
    with pytest.raises(UnknownTask, match="an answer is stored for task"):
        graph.get_state(CONFIG)
    with pytest.raises(UnknownTask, match="go on in the language that began it"):
        graph.invoke(Command(resume="no"), CONFIG)


def test_another_write_of_a_task_that_is_none_of_the_graphs_changes_nothing(saver: RemoteSaver) -> None:
    graph = _graph(saver, joined=False)
    _js_asked(saver, graph)
    config = saver.get_tuple(CONFIG).config  # type: ignore[union-attr]
    saver.put_writes(config, [("said", ["lost"])], str(uuid.uuid5(uuid.NAMESPACE_DNS, "another task")))
    assert graph.invoke(Command(resume="yes"), CONFIG)["said"] == ["yes"]


def test_a_node_with_a_trigger_that_its_channels_do_not_show_is_an_error(saver: RemoteSaver) -> None:
    graph = _graph(saver, joined=True)
    _js_asked(saver, graph)
    with pytest.raises(UnknownTask, match=r"saver\.register\(graph\)"):
        graph.invoke(Command(resume="yes"), CONFIG)


def test_a_registered_graph_says_what_triggers_its_nodes(saver: RemoteSaver) -> None:
    graph = _graph(saver, joined=True)
    saver.register(graph)
    _js_asked(saver, graph)
    assert graph.invoke(Command(resume="yes"), CONFIG)["said"] == ["yes"]


async def test_it_is_the_same_in_an_event_loop(saver: RemoteSaver) -> None:
    graph = _graph(saver, joined=False)
    _js_asked(saver, graph)
    ((asked,),) = [task.interrupts for task in (await graph.aget_state(CONFIG)).tasks if task.interrupts]
    assert (await graph.ainvoke(Command(resume={asked.id: "yes"}), CONFIG))["said"] == ["yes"]
    states = [state async for state in graph.aget_state_history(CONFIG)]
    assert {one.id for state in states for task in state.tasks for one in task.interrupts} == {asked.id}
