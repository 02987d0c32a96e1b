"""Nodes whose results are kept, and not computed again for the same input."""

from __future__ import annotations

from typing import Any

from langgraph.cache.memory import InMemoryCache
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, interrupt

from tests.states.corpus.flow import hush
from tests.states.corpus.pauses import Asked
from tests.states.corpus.playing import Graph, Play, scenario


def cached(saver: Any) -> Graph:
    """first -> a kept result, a computed one and a question side by side -> last, which is kept too."""

    def ask(state: Asked) -> Asked:
        return {"answers": {"by": interrupt("who?")}}

    kept = CachePolicy(key_func=lambda state: str(state.get("name")))
    graph: StateGraph[Any] = StateGraph(Asked)
    graph.add_node("first", hush("first"), cache_policy=kept)
    graph.add_node("kept", hush("kept"), cache_policy=kept)
    graph.add_node("computed", hush("computed"))
    graph.add_node("ask", ask)
    graph.add_node("last", hush("last"), cache_policy=kept)
    graph.add_edge(START, "first")
    for side in ("kept", "computed", "ask"):
        graph.add_edge("first", side)
    graph.add_edge(["kept", "computed", "ask"], "last")
    return graph.compile(checkpointer=saver, cache=InMemoryCache())


@scenario(cached)
def waits_beside_what_is_kept(play: Play) -> None:
    play.invoke({"log": ["one"], "name": "same"})
    play.invoke({"log": ["two"], "name": "same"})


@scenario(cached)
def comes_again_to_what_is_kept(play: Play) -> None:
    for name in ("same", "same", "other"):
        play.invoke({"log": ["in"], "name": name})
        play.resume("me")
    play.invoke(None, play.before("last"))


def cached_tasks(saver: Any) -> Graph:
    """A function whose task's result is kept."""
    kept: CachePolicy[Any] = CachePolicy()

    @task(cache_policy=kept)
    def measure(word: str) -> int:
        return len(word)

    @entrypoint(checkpointer=saver, cache=InMemoryCache())
    def flow(words: list[str], *, previous: Any = None) -> list[int]:
        lengths = [future.result() for future in [measure(word) for word in words]]
        return [*lengths, int(interrupt(lengths))]

    return flow


@scenario(cached_tasks)
def computes_once(play: Play) -> None:
    play.one_by_one = False
    play.invoke(["a", "bb"])
    play.resume(3)
    play.invoke(["bb", "a"])
