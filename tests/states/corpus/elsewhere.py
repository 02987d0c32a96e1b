"""A graph that runs on another server, as a node."""

from __future__ import annotations

from typing import Any

import httpx
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.client import SyncLangGraphClient

from tests.states.corpus.nested import around
from tests.states.corpus.playing import Graph, Play, scenario

# Where nobody listens: a port that is given to no program.
NOWHERE = "http://127.0.0.1:1"


def elsewhere(saver: Any) -> Graph:
    """before -> a graph on another server -> after, stopping before it goes there."""
    client = SyncLangGraphClient(httpx.Client(base_url=NOWHERE, trust_env=False))  # it does not try again
    return around(RemoteGraph("assistant", sync_client=client), saver, interrupt_before=["inside"])


def elsewhere_within(saver: Any) -> Graph:
    """The same, one graph further in."""
    return around(elsewhere(None), saver)


@scenario(elsewhere)
@scenario(elsewhere_within)
def stops_before_it_goes(play: Play) -> None:
    play.invoke({"log": ["in"]})
    play.update({"log": ["changed"]}, as_node="before")
