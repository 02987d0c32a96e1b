"""In the background too, what a run stores is stored in an order in which the run knows the head."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from checkpointd.client.calls import acall, call
from checkpointd.client.langgraph import RemoteSaver, writers
from checkpointd.client.langgraph.runs import Chain, Turn
from tests.graphs.processes import PATIENCE
from tests.graphs.writers.lines import WAYS, Mode, Savers, T, forks, line, lines, log, said, stored


class Calls:
    """Holds one call back until another one is asked for, and remembers in which order they came to the server.

    Each is "put" or "writes" and its number.
    """

    def __init__(self, held: str, until: str) -> None:
        self.answered: list[str] = []
        self._held, self._until = held, until
        self._asked = threading.Event()
        self._numbers: Counter[str] = Counter()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        turn = Chain.turn
        sent: Counter[str] = Counter()

        def next_of(counter: Counter[str], put: bool) -> str:
            kind = "put" if put else "writes"
            counter[kind] += 1
            return f"{kind} {counter[kind]}"

        def asked(chain: Chain, *, put: bool) -> Turn:
            made = turn(chain, put=put)
            if next_of(self._numbers, put) == self._until:
                self._asked.set()
            return made

        def held_call(connection: Any, operation: Any) -> Any:
            name = next_of(sent, "Checkpoint" in type(operation.request).__name__)
            assert name != self._held or self._asked.wait(PATIENCE)
            answer = call(connection, operation)
            self.answered.append(name)
            return answer

        async def held_acall(connection: Any, operation: Any) -> Any:
            name = next_of(sent, "Checkpoint" in type(operation.request).__name__)
            assert name != self._held or await asyncio.to_thread(self._asked.wait, PATIENCE)
            answer = await acall(connection, operation)
            self.answered.append(name)
            return answer

        monkeypatch.setattr(writers, "call", held_call)
        monkeypatch.setattr(writers, "acall", held_acall)
        monkeypatch.setattr(Chain, "turn", asked)


def writes_of(saver: RemoteSaver) -> list[list[Any]]:
    """What tasks wrote, checkpoint by checkpoint."""
    return [sorted(write[1:] for write in one.pending_writes or [] if write[1] == "log") for one in stored(saver)]


# In the background LangGraph lets neither wait for the other. (Later ones wait for those held here, and can't be held.)
@pytest.mark.parametrize(("held", "until"), [("writes 1", "put 2"), ("put 1", "writes 1")])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("mode", ["refuse", "lease"])
def test_a_call_that_takes_long(
    savers: Savers, monkeypatch: pytest.MonkeyPatch, mode: Mode, way: str, held: str, until: str
) -> None:
    saver, calls = savers(mode), Calls(held, until)
    calls.install(monkeypatch)
    WAYS[way](line(saver), said("run"), T, "async")
    monkeypatch.undo()
    assert calls.answered.index(held) < calls.answered.index(until), "what came first is stored first"
    assert log(saver) == lines("run")
    assert not forks(saver)
    assert writes_of(saver)[1:4] == [[("log", ["run c"])], [("log", ["run b"])], [("log", ["run a"])]]
