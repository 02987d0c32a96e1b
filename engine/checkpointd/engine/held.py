"""A connection that one caller keeps for as long as it works well."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import psycopg

from checkpointd.engine.prepared import ServingConnection

# Uses after which it goes through its pool, which replaces what has become old.
_MOST_USES = 10_000


class HeldConnection:
    """A connection that is taken from its pool when it is needed, and kept, as taking one for each statement costs as
    much as using it. After trouble it goes back to the pool, which looks at it, and the next one is taken."""

    def __init__(self, take: Callable[[], AbstractAsyncContextManager[ServingConnection]]) -> None:
        """`take` takes one from its pool, and gives it back."""
        self._take = take
        self._taken = AsyncExitStack()
        self._connection: ServingConnection | None = None
        self._uses = 0

    @property
    def taken(self) -> bool:
        """Whether it keeps a connection."""
        return self._connection is not None

    def at_hand(self) -> ServingConnection | None:
        """The connection, if it can be used without anything to be waited for."""
        if self._connection is None or self._connection.closed or self._uses >= _MOST_USES:
            return None
        self._uses += 1
        return self._connection

    async def get(self) -> ServingConnection:
        """The connection.

        Raises:
            EngineError: the database is not to be had.
        """
        if self._connection is not None and self._connection.closed:
            await self.give_back(psycopg.OperationalError("a connection was lost while it was idle"))
        elif self._uses >= _MOST_USES:
            await self.give_back()
        if self._connection is None:
            self._connection = await self._taken.enter_async_context(self._take())
            self._uses = 0
        self._uses += 1
        return self._connection

    async def give_back_spent(self) -> None:
        """Give the connection back if it is to be replaced."""
        if self._connection is not None and self._connection.spent:
            await self.give_back()

    async def give_back(self, trouble: Exception | None = None) -> Exception | None:
        """Give the connection back, if there is one; returns what the trouble with it is for callers."""
        self._connection = None
        kind, trace = (None, None) if trouble is None else (type(trouble), trouble.__traceback__)
        try:
            await self._taken.__aexit__(kind, trouble, trace)
        except Exception as translated:
            return translated
        return trouble
