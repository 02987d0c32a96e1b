"""Statements that run all the time, without the driver's machinery around them.

A commit takes a handful of arrays that are packed here anyway (see arrays.py). So it goes to libpq as it is: prepared
once a connection, sent, waited for, and its few rows read. Through the driver's cursor the same costs twice the CPU.
"""

import asyncio
import re

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from checkpointd.engine.arrays import Oids, Rows
from checkpointd.engine.sql import STATEMENTS

_PARAMETER = re.compile(r"%\((\w+)\)s")

Cells = tuple[bytes | None, ...]


class ServingConnection(AsyncConnection):
    """A connection that serves, with what it has learned of its database."""

    def learn(self, oids: Oids) -> None:
        """Tell it the oids of the row types."""
        self._oids = oids
        self._names: dict[str, list[str]] = {}  # the parameters of each statement that is prepared, in order

    async def run(self, statement: str, parameters: dict[str, Rows]) -> list[Cells]:
        """Run one of the statements with its arrays of rows, and return what it returns, in binary form.

        The connection must be this caller's alone, and in no transaction: what was prepared here is found gone when the
        driver has seen a ROLLBACK, and can't be prepared again within one. Cancelled, it waits all the same until the
        statement has ended: else the next one would get its answer.

        Raises psycopg.Error as the driver does.
        """
        assert self.pgconn.transaction_status == TransactionStatus.IDLE
        try:
            return await self._run(statement, parameters)
        except psycopg.errors.InvalidSqlStatementName:
            self._names.clear()
            return await self._run(statement, parameters)

    async def _run(self, statement: str, parameters: dict[str, Rows]) -> list[Cells]:
        if statement not in self._names:
            await self._prepare(statement, parameters)
        packed = [parameters[name].packed(self._oids[type(parameters[name])][0]) for name in self._names[statement]]
        binary = [Format.BINARY] * len(packed)
        self.pgconn.send_query_prepared(statement.encode(), packed, binary, Format.BINARY)
        result = await self._result()
        columns = range(result.nfields)
        return [tuple([result.get_value(row, column) for column in columns]) for row in range(result.ntuples)]

    async def _prepare(self, statement: str, parameters: dict[str, Rows]) -> None:
        names = list(dict.fromkeys(_PARAMETER.findall(STATEMENTS[statement])))
        text = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", STATEMENTS[statement])
        oids = [self._oids[type(parameters[name])][1] for name in names]
        self.pgconn.send_prepare(statement.encode(), text.encode(), oids)
        await self._result()
        self._names[statement] = names

    async def _result(self) -> PGresult:
        """The result of what was sent."""
        answered = self._answered()
        try:
            results = await asyncio.shield(answered)
        except asyncio.CancelledError:
            await asyncio.wait([answered])
            raise
        result = results[0]
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result)
        return result

    def _answered(self) -> "asyncio.Future[list[PGresult]]":
        pgconn, loop = self.pgconn, asyncio.get_running_loop()
        socket = pgconn.socket
        answered: asyncio.Future[list[PGresult]] = loop.create_future()
        results: list[PGresult] = []

        def end(error: Exception | None) -> None:
            loop.remove_reader(socket)
            loop.remove_writer(socket)
            if error is not None:
                answered.set_exception(error)
            elif not results:
                answered.set_exception(psycopg.OperationalError("the connection is lost"))
            else:
                answered.set_result(results)

        def readable() -> None:
            try:
                pgconn.consume_input()
                while not pgconn.is_busy():
                    result = pgconn.get_result()
                    if result is None:
                        return end(None)
                    results.append(result)
            except psycopg.Error as error:
                end(error)

        def writable() -> None:
            try:
                if pgconn.flush() == 0:
                    loop.remove_writer(socket)
            except psycopg.Error as error:
                end(error)

        if pgconn.flush() != 0:  # more than the socket takes at once
            loop.add_writer(socket, writable)
        loop.add_reader(socket, readable)
        return answered
