"""The status of real graphs' threads is what LangGraph says of them."""

import threading
from typing import Annotated, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.threads_pb2 import ThreadStatus
from tests.server_process import ServerProcess


def _join(left: list[str], right: list[str]) -> list[str]:
    return left + right


class State(TypedDict):
    does: str
    done: Annotated[list[str], _join]


_going, _go_on = threading.Event(), threading.Event()


def _act(state: State) -> dict[str, list[str]]:
    match state["does"]:
        case "asks":
            return {"done": [interrupt("may I?")]}
        case "fails":
            raise ValueError("it fails")
        case "waits":
            _going.set()
            _go_on.wait(60)
    return {"done": ["acted"]}


def _graph(saver: RemoteSaver, within: bool) -> "object":
    inner = StateGraph(State)
    inner.add_node("act", _act)
    inner.add_edge(START, "act")
    inner.add_edge("act", END)
    if not within:
        return inner.compile(checkpointer=saver)
    outer = StateGraph(State)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    return outer.compile(checkpointer=saver)


@pytest.mark.parametrize("within", [False, True], ids=["in the graph", "in a subgraph"])
def test_a_threads_status(server: ServerProcess, tenant: str, within: bool) -> None:
    with (
        RemoteSaver(server.address, tenant=tenant, writers="lease") as saver,
        Client(server.address, tenant=tenant) as client,
    ):
        graph = _graph(saver, within)

        def run(thread_id: str, given: object) -> None:
            config = {"configurable": {"thread_id": thread_id}}
            graph.invoke(given, config, durability="sync")  # type: ignore[attr-defined]

        def status(thread_id: str) -> str:
            return ThreadStatus.Name(client.get_thread(thread_id=thread_id).thread.status)

        run("asks", {"does": "asks", "done": []})
        assert status("asks") == "THREAD_STATUS_INTERRUPTED"
        run("asks", Command(resume="yes"))
        assert status("asks") == "THREAD_STATUS_IDLE"
        with pytest.raises(ValueError, match="it fails"):
            run("fails", {"does": "fails", "done": []})
        assert status("fails") == "THREAD_STATUS_FAILED"
        run("acts", {"does": "acts", "done": []})
        assert status("acts") == "THREAD_STATUS_IDLE"
        _going.clear()
        _go_on.clear()
        running = threading.Thread(target=run, args=("waits", {"does": "waits", "done": []}))
        running.start()
        assert _going.wait(60)
        assert status("waits") == "THREAD_STATUS_BUSY"
        _go_on.set()
        running.join()
        assert status("waits") == "THREAD_STATUS_IDLE"
        listed = {thread.thread_id: ThreadStatus.Name(thread.status) for thread in client.list_threads()}
        assert listed == {name: status(name) for name in ("acts", "asks", "fails", "waits")}
