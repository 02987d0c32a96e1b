"""Noting what is done, for those who watch."""

from collections.abc import Callable

from psycopg import AsyncConnection

from checkpointd.engine.sql import STATEMENTS


class EventLog:
    """Whether events are written, and who is told that some were."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.tell: Callable[[], None] = lambda: None
        """To be called when a transaction that noted something has been committed. Costs next to nothing."""

    async def note(self, connection: AsyncConnection, tenant: str, thread_id: str, body: bytes) -> None:
        """Note an event in the connection's transaction, which has the lock that orders those of its thread."""
        if self.on:
            parameters = {"tenant": tenant, "thread_id": thread_id, "body": body}
            await connection.execute(STATEMENTS["note_event"].encode(), parameters, prepare=True)
