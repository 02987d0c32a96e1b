"""Map and reduce with Send: one task of many fails, and another process runs that one only."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import Processes, tell


class Library(TypedDict):
    books: list[str]
    pages: Annotated[list[str], add]
    total: int


class Book(TypedDict):
    title: str


def library(saver: RemoteSaver, unreadable: str = "") -> CompiledStateGraph[Library]:
    """One `count` for each book, side by side, then `total`."""

    def count(state: Book) -> dict[str, Any]:
        tell(state["title"])
        if state["title"] == unreadable:
            raise ValueError(f"{unreadable} is unreadable")
        return {"pages": [f"{state['title']} has {len(state['title'])}"]}

    def total(state: Library) -> dict[str, Any]:
        tell("total")
        return {"total": len(state["pages"])}

    def every_book(state: Library) -> list[Send]:
        return [Send("count", {"title": title}) for title in state["books"]]

    graph = StateGraph(Library)
    graph.add_node("count", count, input_schema=Book)
    graph.add_node("total", total)
    graph.add_conditional_edges(START, every_book, ["count"])
    graph.add_edge("count", "total")
    return graph.compile(checkpointer=saver)


BOOKS = ["Emma", "Dune", "Persuasion", "Ulysses", "Middlemarch"]
PAGES = [f"{title} has {len(title)}" for title in BOOKS]


def run(saver: RemoteSaver, unreadable: str) -> None:
    # One at a time, so that all the others have run when the unreadable one does.
    config: RunnableConfig = {**thread("t"), "max_concurrency": 1}
    with pytest.raises(ValueError, match=f"{unreadable} is unreadable"):
        library(saver, unreadable).invoke({"books": BOOKS, "pages": [], "total": 0}, config)


def go_on(saver: RemoteSaver) -> Any:
    return library(saver).invoke(None, thread("t"))


def test_only_the_failed_task_runs_again(processes: Processes, saver: RemoteSaver) -> None:
    _, told = processes.ran(run, BOOKS[-1])
    assert told == BOOKS

    result, again = processes.ran(go_on)

    assert again == [BOOKS[-1], "total"]
    assert result["pages"] == PAGES, "in the order of the tasks, not of their runs"
    assert result["total"] == len(BOOKS)
    assert library(saver).get_state(thread("t")).values == result


def test_the_waiting_writes_are_seen_from_outside(processes: Processes, saver: RemoteSaver) -> None:
    processes.run(run, BOOKS[-1])

    state = library(saver).get_state(thread("t"))
    assert state.next == ("count",), "one task has not written yet"
    assert [task.result for task in state.tasks] == [*({"pages": [line]} for line in PAGES[:-1]), None]
    assert [str(task.error) for task in state.tasks][3:] == ["None", "ValueError('Middlemarch is unreadable')"]
    assert state.values["pages"] == PAGES[:-1]
