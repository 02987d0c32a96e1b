"""Graphs that were registered: which one a read is made with, and a bounded memory of those used last."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import GraphNotFound, InvalidField
from checkpointd.engine.sql import STATEMENTS
from checkpointd.engine.state import spec as specs
from checkpointd.engine.tuples import Row
from checkpointd.v1.graph_pb2 import GraphSpec
from checkpointd.v1.states_pb2 import GraphRef

# What is remembered: this many descriptions, of this many bytes together as they are stored.
_MAX_GRAPHS = 64
_MAX_BYTES = 16 << 20

_GRAPH_ROW = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The graph that a read is made with."""

    spec: GraphSpec | None
    missing: str = ""  # without a spec: why there is none
    graph_hash: str = ""  # with one: its hash


class Choice:
    """A choice that the statement `graph` makes: its parameters, and what its row means."""

    def __init__(self, graphs: "Graphs", ref: GraphRef | None, known: dict[str, GraphSpec]) -> None:
        self._graphs = graphs
        self._named = (ref.hash or ref.name) if ref is not None else ""
        self._known = known
        self.parameters: dict[str, object] = {
            "graph_hash": ref.hash if ref is not None else "",
            "graph_name": ref.name if ref is not None else "",
            "known": list(known),
        }

    def made(self, rows: Iterable[Row]) -> tuple[Chosen, list[Row]]:
        """The graph, and the rows that are not about it.

        Raises:
            GraphNotFound: the request names a graph that is not registered.
        """
        others: list[Row] = []
        chosen = Chosen(None, "no graph is known for this thread")
        for row in rows:
            if row[0] == _GRAPH_ROW:
                chosen = self._chosen(*(row[place] for place in (3, 4, 11)))
            else:
                others.append(row)
        if self._named and chosen.spec is None:
            raise GraphNotFound(self._named)
        return chosen, others

    def _chosen(self, graph_hash: str, registered: int, encoded: bytes | None) -> Chosen:
        if not registered:
            return Chosen(None, f"the graph {graph_hash} that wrote this thread is not registered")
        if encoded is not None:
            return Chosen(self._graphs.remember(graph_hash, encoded), graph_hash=graph_hash)
        self._graphs.used(graph_hash)
        return Chosen(self._known[graph_hash], graph_hash=graph_hash)


class Graphs:
    """The descriptions of all tenants. One is remembered by its hash, that is by its content; whether a tenant has it
    is asked of the database each time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: OrderedDict[str, tuple[GraphSpec, int]] = OrderedDict()
        self._bytes = 0

    def choice(self, ref: GraphRef | None) -> Choice:
        """The choice that a request makes; without `ref`, that of the thread.

        Raises:
            InvalidField: it names no graph.
        """
        if ref is not None:
            match ref.WhichOneof("kind"):
                case "hash":
                    validate.text("graph.hash", ref.hash, validate.GRAPH_HASH_BYTES)
                case "name":
                    validate.text("graph.name", ref.name, validate.GRAPH_NAME_BYTES)
                case _:
                    raise InvalidField("graph", "names no graph; give its hash or its name, or leave it out")
        return Choice(self, ref, {graph_hash: spec for graph_hash, (spec, _) in self._remembered.items()})

    def remember(self, graph_hash: str, encoded: bytes) -> GraphSpec:
        """A description as the database has it, kept for the next time."""
        if graph_hash not in self._remembered:
            self._remembered[graph_hash] = (GraphSpec.FromString(encoded), len(encoded))
            self._bytes += len(encoded)
            while len(self._remembered) > _MAX_GRAPHS or self._bytes > _MAX_BYTES:
                _, (_, size) = self._remembered.popitem(last=False)
                self._bytes -= size
        return self._remembered[graph_hash][0]

    def used(self, graph_hash: str) -> None:
        """Told that a description was needed again: those that were not go first."""
        if graph_hash in self._remembered:
            self._remembered.move_to_end(graph_hash)

    async def register(self, tenant: str, graph_name: str, spec: GraphSpec) -> tuple[str, int]:
        """Store a checked description; returns its hash and its version under the name."""
        encoded = specs.canonical(spec)
        parameters = {
            "tenant": tenant,
            "graph_name": graph_name,
            "graph_hash": specs.graph_hash(encoded),
            "spec": encoded,
        }
        async with self._database.changing(tenant) as connection, connection.transaction():
            for step in ("lock_graph_name", "store_graph"):
                await connection.execute(STATEMENTS[step].encode(), parameters)
            cursor = await connection.execute(STATEMENTS["graph_version"].encode(), parameters)
            ((version, newest),) = await cursor.fetchall()
            if version is None:
                version = newest + 1
                await connection.execute(STATEMENTS["add_graph_version"].encode(), {**parameters, "version": version})
        return str(parameters["graph_hash"]), int(version)
