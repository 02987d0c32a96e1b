"""What breaks things: a plan of faults made from a seed, each with its beginning and its end.

Each server has a lane of faults of its own, and a third lane has those that concern the database, the clients, or
everything; so faults come one upon the other, in combinations that nobody planned. A lane does one thing at a time and
mends it before the next.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import psycopg

from tests.robustness.cluster import Cluster, Server

Say = Callable[[str], None]


class Victim(Protocol):
    """A client process, as far as it is made to suffer."""

    name: str

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def step_clock(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how often it comes, in relation to the others of its lane, and how many seconds it lasts."""

    name: str
    weight: int
    shortest: float
    longest: float


# Kills dominate. The longest pauses are longer than leases and than most calls' patience.
SERVER_FAULTS = (
    Kind("kill server", 12, 0.0, 0.3),
    Kind("pause server", 2, 0.5, 6.0),
    Kind("cut clients", 2, 0.0, 0.1),
    Kind("delay clients", 2, 0.1, 2.0),
    Kind("refuse clients", 1, 0.2, 1.5),
    Kind("cut database", 2, 0.0, 0.1),
    Kind("delay database", 2, 0.1, 4.0),
    Kind("refuse database", 1, 0.2, 3.0),
)
SHARED_FAULTS = (
    Kind("kill postgres", 8, 0.0, 0.3),
    Kind("kill both servers", 2, 0.0, 0.3),
    Kind("kill everything", 1, 0.0, 0.3),
    Kind("lock tables", 2, 0.5, 4.0),
    Kind("exhaust connections", 1, 0.5, 3.0),
    Kind("pause client", 3, 2.0, 6.0),
    Kind("step clock", 4, 0.0, 0.0),
)
_PAUSE = (0.2, 1.6)  # seconds between the faults of a lane

# How far clocks are set back, in seconds: by less than leases last, by more, by hours, and not at all any more.
_STEPS = ((1.0, 10.0), (60.0, 3600.0), (3600.0, 5 * 3600.0), (0.0, 0.0))


class Nemesis:
    """Breaks a cluster and its clients from start() to stop()."""

    def __init__(
        self, cluster: Cluster, victims: Sequence[Victim], seed: int, say: Say, only: Sequence[str] = ()
    ) -> None:
        """`only` are the kinds of faults to do; all if there are none."""
        self._cluster = cluster
        self._victims = victims
        self._seed = seed
        self._say = say
        self._only = only
        self._stopping = threading.Event()
        self._counting = threading.Lock()
        self._began = time.monotonic()
        self.faults: Counter[str] = Counter()
        """By kind."""
        self.kills: Counter[str] = Counter()
        """By what was killed."""
        self.found: list[str] = []
        """What went wrong by itself, such as a server that ended."""
        self._lanes = [
            threading.Thread(
                target=self._lane, args=(server.name, SERVER_FAULTS, server), name=f"nemesis-{server.name}"
            )
            for server in cluster.servers
        ]
        self._lanes.append(threading.Thread(target=self._lane, args=("shared", SHARED_FAULTS), name="nemesis-shared"))

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for lane in self._lanes:
            lane.start()

    def stop(self) -> None:
        """End; returns when what was broken is mended."""
        self._stopping.set()
        for lane in self._lanes:
            lane.join()

    def _lane(self, name: str, kinds: Sequence[Kind], server: Server | None = None) -> None:
        plan = random.Random(f"{self._seed} {name}")
        chosen = [kind for kind in kinds if not self._only or kind.name in self._only]
        if not chosen:
            return
        try:
            while not self._stopping.wait(plan.uniform(*_PAUSE)):
                kind = plan.choices(chosen, [one.weight for one in chosen])[0]
                duration = plan.uniform(kind.shortest, kind.longest)
                dice = random.Random(plan.getrandbits(64))  # so that the plan does not depend on what a fault asks
                with ExitStack() as turns:
                    if server is not None:
                        turns.enter_context(server.turn)
                        self._look_after(server)
                    with self._fault(kind.name, server, dice):
                        self._count(kind.name, name, duration)
                        self._stopping.wait(duration)
        except Exception as error:
            self.found.append(f"the nemesis itself failed in lane {name}: {type(error).__name__}: {error}")

    def _count(self, kind: str, lane: str, duration: float) -> None:
        with self._counting:
            self.faults[kind] += 1
            self._say(f"{time.monotonic() - self._began:7.2f} s  {lane:9} {kind} ({duration:.2f} s)")

    def _look_after(self, server: Server) -> None:
        if server.died():
            self.found.append(f"{server.name} ended by itself; its log says why")
            self._cluster.start_server(server)

    def _killed(self, what: str) -> None:
        with self._counting:
            self.kills[what] += 1

    def _fault(self, name: str, server: Server | None, dice: random.Random) -> AbstractContextManager[None]:
        if server is not None:
            return self._of_server(name, server)
        servers = self._cluster.servers
        shared: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "kill postgres": lambda: self._kill_all([], postgres=True),
            "kill both servers": lambda: self._kill_all(servers, postgres=False),
            "kill everything": lambda: self._kill_all(servers, postgres=True),
            "lock tables": lambda: self._lock_tables(dice),
            "exhaust connections": self._exhaust_connections,
            "pause client": lambda: self._pause_client(dice),
            "step clock": lambda: self._step_clock(dice),
        }
        return shared[name]()

    @contextmanager
    def _of_server(self, name: str, server: Server) -> Iterator[None]:
        action, _, where = name.partition(" ")
        proxy = server.database if where == "database" else server.clients
        match action:
            case "kill":
                server.kill()
                self._killed("server")
                yield
                self._cluster.start_server(server)
            case "pause":
                server.pause()
                yield
                server.resume()
            case "cut":
                proxy.cut()
                yield
            case "delay":
                proxy.hold()
                yield
                proxy.release()
            case _:
                proxy.refuse()
                proxy.cut()
                yield
                proxy.accept()

    @contextmanager
    def _kill_all(self, servers: Sequence[Server], *, postgres: bool) -> Iterator[None]:
        with ExitStack() as turns:
            for server in servers:
                turns.enter_context(server.turn)
            for server in servers:
                self._look_after(server)
            for server in servers:
                server.kill()
                self._killed("server")
            if postgres:
                self._cluster.kill_postgres()
                self._killed("postgres")
            yield
            if postgres:
                self._cluster.start_postgres()
            for server in servers:
                self._cluster.start_server(server)

    @contextmanager
    def _lock_tables(self, dice: random.Random) -> Iterator[None]:
        """Nobody gets on: what comes waits for its row, until all connections of the pools do."""
        locks = ("LOCK TABLE checkpointd.threads IN EXCLUSIVE MODE", "LOCK TABLE checkpointd.checkpoints")
        with psycopg.connect(self._cluster.database_url) as connection:
            connection.execute("SET lock_timeout = '10s'")
            with suppress(psycopg.errors.LockNotAvailable):  # a paused server may hold a row for as long
                connection.execute(dice.choice(locks).encode())
            yield
            connection.rollback()

    @contextmanager
    def _exhaust_connections(self) -> Iterator[None]:
        """PostgreSQL takes no more connections, and the servers have lost theirs."""
        with ExitStack() as mending:
            for server in self._cluster.servers:
                mending.enter_context(server.turn)
                server.database.refuse()
                mending.callback(server.database.accept)
                server.database.cut()
            connections = mending.enter_context(ExitStack())
            full = 0
            while full < 3:  # once may be before the servers' own are gone
                try:
                    connections.enter_context(psycopg.connect(self._cluster.database_url, autocommit=True))
                except psycopg.OperationalError:
                    full += 1
                    self._stopping.wait(0.1)
            for server in self._cluster.servers:
                server.database.accept()
            yield

    @contextmanager
    def _pause_client(self, dice: random.Random) -> Iterator[None]:
        victim = dice.choice(self._victims)
        victim.pause()
        yield
        victim.resume()

    @contextmanager
    def _step_clock(self, dice: random.Random) -> Iterator[None]:
        dice.choice(self._victims).step_clock(-dice.uniform(*dice.choice(_STEPS)))
        yield
