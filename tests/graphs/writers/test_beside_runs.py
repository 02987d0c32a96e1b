"""Pruning and copying a thread while a graph runs on it disturbs neither the runs nor what is removed and copied."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from checkpointd.client import NotFound
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.delta import delta_graph
from tests.graphs.writers.lines import Durability, Mode, Savers, T, forks

ROUNDS = 15
_DURABILITIES: list[Durability] = ["sync", "async", "exit"]
_OFTEN = 4  # how often the graph's delta channels are stored whole


def _state(saver: RemoteSaver, thread_id: str) -> dict[str, Any]:
    return delta_graph(saver, _OFTEN).get_state(thread(thread_id)).values


def _runs(saver: RemoteSaver, over: threading.Event) -> None:
    app = delta_graph(saver, _OFTEN)
    try:
        for number in range(ROUNDS):
            app.invoke(
                {"log": [f"{number}"], "plain": [f"{number}"]}, T, durability=("sync", "async", "exit")[number % 3]
            )
    finally:
        over.set()


@pytest.mark.parametrize("mode", ["fork", "refuse", "lease"])
def test_pruning_and_copying_beside_runs(savers: Savers, mode: Mode) -> None:
    over = threading.Event()
    janitor = savers("fork")
    copies = 0
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_runs, savers(mode), over)
        while not over.is_set():
            janitor.prune(["t"])
            try:
                janitor.copy_thread("t", "copy")
            except NotFound:
                continue  # nothing is stored yet
            # A copy is of one moment, and complete: what is stored as changes is there as what is stored whole is.
            copied = _state(janitor, "copy")
            assert copied.get("log", []) == copied.get("plain", [])
            delta_graph(janitor, _OFTEN).invoke({"log": ["on"], "plain": ["on"]}, thread("copy"))
            after = _state(janitor, "copy")
            assert after["log"] == after["plain"]
            assert len(after["log"]) > len(copied.get("log", []))
            janitor.delete_thread("copy")
            assert not _state(janitor, "copy")
            copies += 1
        running.result()
    assert copies > 0
    found = _state(janitor, "t")
    assert found["log"] == found["plain"]
    assert [line for line in found["plain"] if line.isdigit()] == [f"{number}" for number in range(ROUNDS)]
    assert found["turn"] == ROUNDS
    assert not forks(janitor)
    janitor.prune(["t"])
    assert _state(janitor, "t") == found
    assert len(list(janitor.list(T))) == 1
