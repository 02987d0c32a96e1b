"""Statements that read, each on a connection that nobody else uses meanwhile."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from checkpointd.engine.held import HeldConnection
from checkpointd.engine.prepared import Row, ServingConnection


class Readers:
    """Keeps a few connections of a pool, and takes more of them for as long as those are not enough."""

    def __init__(self, take: Callable[[], AbstractAsyncContextManager[ServingConnection]], kept: int) -> None:
        """`take` takes a connection from its pool, and gives it back."""
        self._take = take
        self._idle = [HeldConnection(take) for _ in range(kept)]

    @property
    def kept(self) -> int:
        """How many connections are kept that nobody uses."""
        return sum(held.taken for held in self._idle)

    async def rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement. Raises EngineError."""
        if not self._idle:
            async with self._take() as connection:
                return await _rows(connection, statement, parameters)
        held = self._idle.pop()
        try:
            return await _rows(held.at_hand() or await held.get(), statement, parameters)
        except Exception as error:
            refusal = await held.give_back(error) or error
        except BaseException:  # cancelled: the statement is still under way, and the pool gives its connection up
            await held.give_back()
            raise
        finally:
            await held.give_back_spent()
            self._idle.append(held)
        raise refusal

    async def close(self) -> None:
        """Give back what is kept. Nothing is read any more."""
        for held in self._idle:
            await held.give_back()


async def _rows(connection: ServingConnection, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
    await connection.work_for(parameters["tenant"])
    rows = await connection.run(statement, parameters)
    connection.carries(sum(len(cell) for row in rows for cell in row if type(cell) is bytes))
    return rows
