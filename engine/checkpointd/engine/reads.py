"""Reading checkpoints: what all services that answer from them share."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from checkpointd.engine.graph_at import checkpoint_key
from checkpointd.engine.prepared import Row, ServingConnection
from checkpointd.engine.stored_values import StoredValue
from checkpointd.engine.tuples import NOTHING_KNOWN, Known, channel_histories, checkpoint_tuples
from checkpointd.engine.values import KnownValue, loaded
from checkpointd.v1.checkpoints_pb2 import ChannelHistory
from checkpointd.v1.core_pb2 import CheckpointTuple

# Pages of a list: the first is small, so that the first checkpoint comes at once; later ones aim at this many bytes.
_FIRST_PAGE = 4
_MAX_PAGE = 512
_PAGE_BYTES = 4 << 20

MAX_SEQUENCE = 2**63 - 1


class Source(Protocol):
    """Where statements are run: the database, or one connection in a transaction."""

    async def rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement."""
        ...


class Held:
    """A connection that is held for a while, with what was locked on it."""

    def __init__(self, connection: ServingConnection) -> None:
        self._connection = connection

    async def rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement."""
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(self._connection.sql(statement), parameters, prepare=True)
            return await cursor.fetchall()


class Reads:
    """The statements of read.sql, each one round trip."""

    def __init__(self, source: Source, *, on_citus: bool = False) -> None:
        self._source = source
        self._on_citus = on_citus

    async def rows(self, statement: str, parameters: dict[str, object]) -> list[Row]:
        """The rows of a statement."""
        return await self._source.rows(statement, {**NOTHING_KNOWN, **parameters})

    async def tuples(
        self,
        statement: str,
        parameters: dict[str, object],
        known: Known | None = None,
        make: Callable[[], CheckpointTuple] = CheckpointTuple,
    ) -> list[CheckpointTuple]:
        """The checkpoints that a statement finds, with the values that are known already filled in. `make` gives the
        messages to fill."""
        more = {} if known is None else known.parameters()
        return checkpoint_tuples(await self.rows(statement, parameters | more), known, make)

    async def histories(
        self, statement: str, parameters: dict[str, object], channels: Sequence[str]
    ) -> dict[str, ChannelHistory] | None:
        """The histories of channels; None when there is no target."""
        return channel_histories(await self.rows(statement, {**parameters, "channels": channels}), channels)

    async def value(self, key: dict[str, object], channel: str, version: str) -> KnownValue | None:
        """A value as it is stored; None when it is not."""
        parameters = {**key, "channel": channel, "version": version}
        rows = await self.rows("value", parameters)
        stored = {name: StoredValue(*row) for _, name, *row in rows}
        return loaded(stored, version, rows[0][0]) if rows else None

    async def pages(self, statement: str, parameters: dict[str, object], left: int) -> AsyncIterator[CheckpointTuple]:
        """Read at most `left` of a list, in pages that each begin below the last checkpoint of the one before. No
        connection is held while the consumer takes its time."""
        size = _FIRST_PAGE
        parameters |= {"below": MAX_SEQUENCE, "continued": False, "last_id": "", "last_thread": "", "last_ns": ""}
        while left > 0:
            parameters["size"] = asked = min(size, left)
            page = await self._page(statement, parameters)
            bytes_read = 0
            for found in page:
                bytes_read += found.ByteSize()
                yield found
            if len(page) < asked:
                return
            left -= asked
            last = page[-1]
            parameters |= {
                "below": last.sequence,
                "continued": True,
                "last_id": last.checkpoint.id,
                "last_thread": last.thread_id,
                "last_ns": last.checkpoint_ns,
            }
            size = max(1, min(_MAX_PAGE, size * 4, asked * _PAGE_BYTES // max(bytes_read, 1)))

    async def _page(self, statement: str, parameters: dict[str, object]) -> list[CheckpointTuple]:
        """A page of a list. On Citus one of several threads can't be read at once: each checkpoint is read by itself;
        one that has gone meanwhile is left as the list had it."""
        if not self._on_citus or statement != "list_tenant_full":
            return await self.tuples(statement, parameters)
        page = await self.tuples("list_tenant_metadata", parameters)
        for place, found in enumerate(page):
            key = checkpoint_key(str(parameters["tenant"]), found.thread_id, found.checkpoint_ns, found.checkpoint.id)
            if whole := await self.tuples("get_by_id", key):
                page[place] = whole[0]
        return page
