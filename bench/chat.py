"""A chat of 300 turns: what it takes on disk, what one more turn sends and receives, and how long its state takes."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from bench.pairs import in_turn, milliseconds, paired, say
from bench.proxy import CountingProxy, before_postgres, before_server
from bench.row import Row, Target, at_most, ours_at_most, ratio_of
from bench.sides import Bench, Ours, Saver, Side, Sides, Theirs
from bench.text import Writer
from bench.workflow import at

TURNS = 300
QUESTION, ANSWER = 300, 724  # characters, and with these words bytes: 1 KiB a turn
MEASURED_TURNS = 5  # over which what goes over the wire is averaged

_THREAD = "chat"

_SIZE = {
    "ours": """SELECT sum(pg_total_relation_size(oid)) FROM pg_class
        WHERE relnamespace = 'checkpointd'::regnamespace AND relkind = 'r'""",
    "theirs": """SELECT sum(pg_total_relation_size(name::regclass))
        FROM unnest(ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_writes']) AS name""",
}


class Chat:
    """One side's chat: the stock MessagesState and one node that answers. The same text on both sides."""

    def __init__(self, saver: Saver, seed: int = 0, *, prose: bool = False) -> None:
        writer = Writer(seed)
        self._text = writer.prose if prose else writer.letters
        graph: StateGraph[Any] = StateGraph(MessagesState)
        graph.add_node("answer", self._answer)
        graph.add_edge(START, "answer")
        self._graph: Any = graph.compile(checkpointer=saver)

    def turn(self) -> None:
        """A question and its answer."""
        self._graph.invoke({"messages": [HumanMessage(self._text(QUESTION))]}, at(_THREAD))

    def _answer(self, state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(self._text(ANSWER))]}


@dataclass(frozen=True)
class Wire:
    """Bytes over the wire of one turn, and the supersteps in it."""

    sent: float
    received: float
    steps: float


def chat(bench: Bench) -> Iterator[Row]:
    """All that is measured of a long chat, on databases of its own."""
    with bench.fresh() as sides:
        ours, theirs = _sizes(sides)
        yield _storage(f"storage, {TURNS} turns of 1 KiB", ours, theirs, at_most(1 / 40))
        yield _growth(ours, theirs)
        yield from _reading(bench, sides)
        yield from _wire(sides)
    if not bench.effort.quick:
        with bench.fresh() as sides:
            # PostgreSQL compresses their long rows of words to less than half. Ours have nothing left to compress.
            ours, theirs = _sizes(sides, prose=True)
            yield _storage(f"storage, {TURNS} turns of 1 KiB of words", ours, theirs, None)


def _sizes(sides: Sides, *, prose: bool = False) -> tuple[list[float], list[float]]:
    return (
        _grow(sides.ours, sides.ours_conninfo, prose=prose),
        _grow(sides.theirs, sides.theirs.conninfo, prose=prose),
    )


def _grow(side: Side, conninfo: str, *, prose: bool) -> list[float]:
    """Let the chat happen; how large it is on disk after each third of it."""
    sizes = []
    with side.saver() as saver:
        chat = Chat(saver, prose=prose)
        for number in range(1, TURNS + 1):
            chat.turn()
            if number % (TURNS // 3) == 0:
                with psycopg.connect(conninfo) as connection:
                    row = connection.execute(_SIZE[side.name].encode()).fetchone()
                    sizes.append(float(row[0]) if row else 0.0)
                say(f"  chat, {side.name}: turn {number} of {TURNS}, {sizes[-1] / 1e6:.1f} MB on disk", end="")
    return sizes


def _storage(name: str, ours: list[float], theirs: list[float], target: Target | None) -> Row:
    def told(sizes: list[float]) -> str:
        return ", ".join(f"{one / 1024:,.0f}" for one in sizes)

    return Row(
        name,
        "KiB",
        ours[-1] / 1024,
        theirs[-1] / 1024,
        ratio_of(ours[-1], theirs[-1]),
        target,
        note=f"KiB after {TURNS // 3}, {TURNS // 3 * 2}, {TURNS} turns: ours {told(ours)}; theirs {told(theirs)}",
        details={"bytes": {"ours": ours, "theirs": theirs}},
    )


def _growth(ours: list[float], theirs: list[float]) -> Row:
    def growth(sizes: list[float]) -> float:
        one, two, three = sizes
        return (three - two) / (two - one)

    return Row(
        "storage, growth of the last third by the one before",
        "",
        growth(ours),
        growth(theirs),
        None,
        # What grows with the square of the turns comes to 5/3.
        ours_at_most(1.25),
        note="1 is linear in turns, 5/3 is their square",
    )


def _reading(bench: Bench, sides: Sides) -> Iterator[Row]:
    with sides.ours.saver() as ours, sides.theirs.saver() as theirs:
        for saver in (ours, theirs):
            found = saver.get_tuple(at(_THREAD))
            assert found is not None
            assert len(found.checkpoint["channel_values"]["messages"]) == 2 * TURNS

        def again(saver: Saver) -> float:
            return milliseconds(bench.effort.seconds, lambda: saver.get_tuple(at(_THREAD)))

        name = f"get_tuple at turn {TURNS}"
        pairs = in_turn(name, lambda: again(ours), lambda: again(theirs), bench.effort, float)
        yield paired(name, "ms", pairs, at_most(1.3), "by a saver that has read it before")
        name += ", of a new saver"
        pairs = in_turn(
            name,
            lambda: _firsts(bench.effort.seconds, sides.ours),
            lambda: again(theirs),  # it keeps nothing between calls
            bench.effort,
            float,
        )
        yield paired(name, "ms", pairs, at_most(1.3), "by a saver that is connected and has read nothing yet")


def _firsts(seconds: float, side: Ours) -> float:
    """The same of the first read by each of many savers; that they connect is not counted."""
    took, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        with side.saver() as saver:
            saver.get_tuple(at("nothing"))
            began = time.perf_counter()
            saver.get_tuple(at(_THREAD))
            took.append(time.perf_counter() - began)
    return sum(took) / len(took) * 1000


def _wire(sides: Sides) -> Iterator[Row]:
    with ExitStack() as stack:
        through = stack.enter_context(before_server(sides.ours.address))
        ours = _counted(through, Ours(through.address), sides.ours)
        proxy, conninfo = before_postgres(sides.theirs.conninfo)
        stack.enter_context(proxy)
        theirs = _counted(proxy, Theirs(conninfo), sides.theirs)
    note = f"{ours.steps:.0f} supersteps a turn; by a process that has run turn {TURNS}, and the mean of the next ones"
    yield _wire_row(f"sent for one step at turn {TURNS}", ours.sent / ours.steps, theirs.sent / theirs.steps, note)
    note = f"by the same process, the mean of {MEASURED_TURNS} turns"
    yield _wire_row(f"received for one more turn at turn {TURNS}", ours.received, theirs.received, note)


def _wire_row(name: str, ours: float, theirs: float, note: str) -> Row:
    return Row(name, "KiB", ours / 1024, theirs / 1024, ratio_of(ours, theirs), ours_at_most(8), note=note)


def _counted(proxy: CountingProxy, through: Side, direct: Side) -> Wire:
    """What turns cost on the wire, of a process that has taken some already."""
    with through.saver() as saver, direct.saver() as beside:
        chat = Chat(saver, seed=1)
        chat.turn()
        first, sent, received = _step(beside), proxy.sent, proxy.received
        for _ in range(MEASURED_TURNS):
            chat.turn()
        return Wire(
            (proxy.sent - sent) / MEASURED_TURNS,
            (proxy.received - received) / MEASURED_TURNS,
            (_step(beside) - first) / MEASURED_TURNS,
        )


def _step(saver: Saver) -> int:
    """The number of the newest step."""
    found = saver.get_tuple(at(_THREAD))
    assert found is not None
    return found.metadata["step"]
