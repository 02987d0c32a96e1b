"""What the tests of `RemoteSaver(writers=...)` share: a graph whose runs can be held, and a look at what is stored."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from operator import add
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import psycopg
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from checkpointd.client import LeaseHeld
from checkpointd.client.langgraph import RemoteSaver
from tests.graphs.configs import thread
from tests.graphs.processes import PATIENCE, tell
from tests.server.leasing import StoredLeases as Leases
from tests.server_process import ServerProcess, eventually

Mode = Literal["fork", "refuse", "lease"]
Durability = Literal["sync", "async", "exit"]
Result = TypeVar("Result")

T = thread("t")

# Far longer than a test: what gives a lease back in time is not its end.
LONG = 600.0


class Log(TypedDict, total=False):
    who: str
    log: Annotated[list[str], add]


def said(who: str) -> Log:
    """The input of a run."""
    return {"who": who, "log": [who]}


def lines(who: str) -> list[str]:
    """What a run of `line` adds to the log."""
    return [who, f"{who} a", f"{who} b", f"{who} c"]


class Hold:
    """Keeps the run of this name inside this node until it is let go."""

    def __init__(self, who: str, node: str = "b") -> None:
        self._at = (who, node)
        self.entered = threading.Event()
        self.go = threading.Event()

    def visit(self, who: str, node: str) -> None:
        if (who, node) == self._at and not self.go.is_set():
            self.entered.set()
            assert self.go.wait(PATIENCE), f"nobody let {who} go on from {node}"


def line(saver: RemoteSaver, hold: Hold | None = None, **options: Any) -> CompiledStateGraph[Log]:
    """a -> b -> c, each of which says in the log who was there."""

    def node(name: str) -> Callable[[Log], Log]:
        def act(state: Log) -> Log:
            tell(name)
            if hold is not None:
                hold.visit(state["who"], name)
            return {"log": [f"{state['who']} {name}"]}

        return act

    graph = StateGraph(Log)
    for before, name in ((START, "a"), ("a", "b"), ("b", "c")):
        graph.add_node(name, RunnableLambda(node(name)))
        graph.add_edge(before, name)
    return graph.compile(checkpointer=saver, **options)


Way = Callable[[CompiledStateGraph[Any], Any, RunnableConfig, Durability], None]


def _invoke(app: CompiledStateGraph[Any], given: Any, at: RunnableConfig, durability: Durability) -> None:
    app.invoke(given, at, durability=durability)


def _ainvoke(app: CompiledStateGraph[Any], given: Any, at: RunnableConfig, durability: Durability) -> None:
    asyncio.run(app.ainvoke(given, at, durability=durability))


def _stream(app: CompiledStateGraph[Any], given: Any, at: RunnableConfig, durability: Durability) -> None:
    for _ in app.stream(given, at, durability=durability):
        pass


def _astream(app: CompiledStateGraph[Any], given: Any, at: RunnableConfig, durability: Durability) -> None:
    async def read() -> None:
        async for _ in app.astream(given, at, durability=durability):
            pass

    asyncio.run(read())


WAYS: dict[str, Way] = {"invoke": _invoke, "ainvoke": _ainvoke, "stream": _stream, "astream": _astream}


@contextmanager
def held(hold: Hold, run: Callable[[], Result]) -> Iterator[Future[Result]]:
    """A run in a thread of its own, while it is inside the node. It goes on at the latest at the end."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        running.add_done_callback(lambda _: hold.entered.set())
        try:
            assert hold.entered.wait(PATIENCE)
            assert not running.done(), running.exception()
            yield running
        finally:
            hold.go.set()


def stored(saver: RemoteSaver, thread_id: str = "t") -> list[CheckpointTuple]:
    """Everything that is stored of a thread, newest first."""
    return list(saver.list(thread(thread_id)))


def head(saver: RemoteSaver, thread_id: str = "t") -> str:
    """The id of the head of a thread."""
    found = saver.get_tuple(thread(thread_id))
    assert found is not None
    return found.checkpoint["id"]


def log(saver: RemoteSaver, thread_id: str = "t") -> list[str]:
    """The log as it is at the head of a thread."""
    found = saver.get_tuple(thread(thread_id))
    return [] if found is None else list(found.checkpoint["channel_values"].get("log", []))


def forks(saver: RemoteSaver, thread_id: str = "t") -> list[str]:
    """The checkpoints that more than one other one was built on."""
    parents = Counter(
        (one.config["configurable"]["checkpoint_ns"], one.parent_config["configurable"]["checkpoint_id"])
        for one in stored(saver, thread_id)
        if one.parent_config
    )
    return [place[1] for place, number in parents.items() if number > 1]


class StoredLeases(Leases):
    """The leases of a tenant as the database has them, and what happens to one."""

    def _field(self, field: str, thread_id: str) -> Any:
        row = self._execute(f"SELECT {field} FROM checkpointd.leases", thread_id, "AND expires_at > now()").fetchone()
        return row[0] if row else None

    def expires_at(self, thread_id: str = "t") -> datetime | None:
        found: datetime | None = self._field("expires_at", thread_id)
        return found

    def now(self) -> datetime:
        """By the clock that leases end by."""
        with psycopg.connect(self._database_url) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row
        found: datetime = row[0]
        return found

    def attempt(self, thread_id: str = "t") -> str | None:
        """Another one after each attempt to take the lease: each makes a new version of its row."""
        found: str | None = self._field("xmin::text", thread_id)
        return found


def given_back(leases: StoredLeases, thread_id: str = "t") -> None:
    """Wait until nobody has the lease of a thread."""
    eventually(f"the lease of {thread_id} is given back", lambda: leases.holder(thread_id) is None)


def in_a_process(_: RemoteSaver, address: str, tenant: str, who: str, wait: float) -> list[str] | None:
    """A run in a process of its own; None if the lease is held."""
    with RemoteSaver(address, tenant=tenant, writers="lease", lease_ttl=LONG, lease_wait=wait) as saver:
        try:
            return list(line(saver).invoke(said(who), T)["log"])
        except LeaseHeld:
            return None


class Savers:
    """Makes savers of one tenant, and closes them."""

    def __init__(self, server: ServerProcess, tenant: str) -> None:
        self.server = server
        self.tenant = tenant
        self._made: list[RemoteSaver] = []

    def __call__(self, mode: Mode, **options: Any) -> RemoteSaver:
        saver = RemoteSaver(self.server.address, tenant=self.tenant, writers=mode, **options)
        self._made.append(saver)
        return saver

    def close(self) -> None:
        for saver in self._made:
            saver.close()
