"""Statements that run all the time, without the driver's machinery around them.

They go to libpq as they are: prepared once a connection, sent, waited for, and their rows read. Through the driver's
cursor the same costs two to three times the CPU.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from checkpointd.engine.arrays import Oids, Rows
from checkpointd.engine.binary import PACK, PARSE, Pack, Parse
from checkpointd.engine.sql import CITUS_STATEMENTS, STATEMENTS

_PARAMETER = re.compile(r"%\((\w+)\)s")

# Bytes that a connection may have carried at once and still be kept.
_MOST_KEPT = 8 << 20

Row = tuple[Any, ...]

Done = Callable[[list[Row], psycopg.Error | None], None]
"""Told what a statement returned, or what went wrong."""

# Seconds between looks at a socket of which the loop says nothing. uvloop stops watching one, and does not tell, when
# it is in error: when PostgreSQL was ended with a statement unread.
_LOOK = 0.2


_ResultDone = Callable[[PGresult | None, psycopg.Error | None], None]


class _Prepared(NamedTuple):
    """A statement that the connection knows."""

    name: bytes
    parameters: list[tuple[str, Pack]]  # in order
    formats: list[Format]
    columns: list[Parse]

    def rows(self, result: PGresult) -> list[Row]:
        """The rows of a result."""
        value, columns = result.get_value, list(enumerate(self.columns))
        return [
            tuple([None if (cell := value(row, column)) is None else parse(cell) for column, parse in columns])
            for row in range(result.ntuples)
        ]


class ServingConnection(AsyncConnection):
    """A connection that serves, with what it has learned of its database.

    It listens to its socket from its first statement on, also between them: so it costs the loop nothing to wait for
    an answer, and a connection that is lost while it is idle is soon `closed`. The driver, where it waits, does so
    alone.
    """

    spent = False  # whether its pool is to replace it
    # The tenants whose rows it sees, with commas between them, "*" for all; None: row-level security is off.
    works_for: str | None = None
    _listened: int | None = None  # the socket that the loop watches for us
    _looking: asyncio.TimerHandle  # beside it

    def learn(self, oids: Oids, *, on_citus: bool = False) -> None:
        """Tell it the oids of the row types, and what kind of database it is of."""
        self._oids = oids
        self.on_citus = on_citus
        self._statements = CITUS_STATEMENTS if on_citus else STATEMENTS
        self._prepared_here: dict[str, _Prepared] = {}
        self._results: list[PGresult] = []
        self._done: _ResultDone | None = None  # of the statement that is under way

    def carries(self, size: int) -> None:
        """Told of bytes that go through it. libpq's buffers never shrink: after large ones it has to be replaced."""
        self.spent = self.spent or size > _MOST_KEPT

    def sql(self, statement: str) -> bytes:
        """The text of a statement for its database."""
        return self._statements[statement].encode()

    async def work_for(self, tenants: str) -> None:
        """See these tenants' rows from here on; costs a round trip when it saw others before. The connection must be
        this caller's alone, and in no transaction, whose end could undo it."""
        if self.works_for in (None, tenants):
            return
        assert self.pgconn.transaction_status == TransactionStatus.IDLE

        def send(received: _ResultDone) -> None:
            self.pgconn.send_query_params(STATEMENTS["work_for"].encode(), [tenants.encode()])
            self._expect(received)

        await self._result(send)
        self.works_for = tenants

    async def run(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one of the statements, with arrays of rows and values of the types in binary.py, and return its rows.

        The connection must be this caller's alone, and in no transaction: what was prepared here is found gone when the
        driver has seen a ROLLBACK, and can't be prepared again within one. Cancelled, it leaves the statement under
        way, and with that a connection which runs nothing any more and which its pool gives up.

        Raises psycopg.Error as the driver does.
        """
        if self.closed:
            raise psycopg.OperationalError("the connection was lost while it was idle")
        assert self.pgconn.transaction_status == TransactionStatus.IDLE
        try:
            return await self._run(statement, parameters)
        except psycopg.errors.InvalidSqlStatementName:
            self._prepared_here.clear()
            return await self._run(statement, parameters)

    def start(self, statement: str, parameters: Mapping[str, Any], done: Done) -> bool:
        """As `run`, for who is called back instead of waiting, in the step of the loop in which the answer comes.

        Returns False, and has done nothing, when the statement is not prepared or the connection not idle: then `run`
        is to be called, or will tell what is wrong. Raises psycopg.Error when it can't be sent.
        """
        prepared = self._prepared_here.get(statement)
        if prepared is None or self._done is not None or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False

        def received(result: PGresult | None, error: psycopg.Error | None) -> None:
            done([] if result is None else prepared.rows(result), error)

        self._send(prepared, parameters, received)
        return True

    async def _run(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        prepared = self._prepared_here.get(statement) or await self._prepare(statement, parameters)
        return prepared.rows(await self._result(lambda received: self._send(prepared, parameters, received)))

    def _send(self, prepared: _Prepared, parameters: Mapping[str, Any], received: _ResultDone) -> None:
        packed = [pack(parameters[name]) for name, pack in prepared.parameters]
        self.carries(sum(map(len, packed)))
        self.pgconn.send_query_prepared(prepared.name, packed, prepared.formats, Format.BINARY)
        self._expect(received)

    async def _prepare(self, statement: str, parameters: Mapping[str, Any]) -> _Prepared:
        key = statement.encode()
        names = list(dict.fromkeys(_PARAMETER.findall(self._statements[statement])))
        text = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", self._statements[statement])
        # PostgreSQL can't know which arrays of rows a statement takes; of all else it tells the types.
        given = [self._oids.get(type(parameters[name])) for name in names]

        def prepare(received: _ResultDone) -> None:
            self.pgconn.send_prepare(key, text.encode(), [0 if oids is None else oids[1] for oids in given])
            self._expect(received)

        def describe(received: _ResultDone) -> None:
            self.pgconn.send_describe_prepared(key)
            self._expect(received)

        # One that was broken off between the two may have prepared it already.
        with contextlib.suppress(psycopg.errors.DuplicatePreparedStatement):
            await self._result(prepare)
        told = await self._result(describe)
        packs = [
            PACK[told.param_type(place)] if oids is None else _packing(oids[0]) for place, oids in enumerate(given)
        ]
        columns = [PARSE[told.ftype(column)] for column in range(told.nfields)]
        prepared = _Prepared(key, list(zip(names, packs, strict=True)), [Format.BINARY] * len(names), columns)
        self._prepared_here[statement] = prepared
        return prepared

    async def _result(self, send: Callable[[_ResultDone], None]) -> PGresult:
        """The result of what is sent."""
        answer: asyncio.Future[PGresult] = asyncio.get_running_loop().create_future()

        def received(result: PGresult | None, error: psycopg.Error | None) -> None:
            if answer.done():  # its caller has gone
                return
            if result is not None:
                answer.set_result(result)
            else:
                answer.set_exception(error or psycopg.OperationalError("the connection is lost"))

        send(received)
        return await answer

    def _expect(self, received: _ResultDone) -> None:
        """Listen for the result of what was sent to libpq just now."""
        self._results = []
        self._done = received
        if self._listened is None:
            loop = asyncio.get_running_loop()
            self._listened = self.pgconn.socket
            loop.add_reader(self._listened, self._readable)
            self._looking = loop.call_later(_LOOK, self._look)
        try:
            if self.pgconn.flush() != 0:  # more than the socket takes at once
                asyncio.get_running_loop().add_writer(self._listened, self._writable)
        except psycopg.Error:
            self._done = None
            raise

    def _readable(self) -> None:
        try:
            result = self._read()
        except psycopg.Error as error:
            self._failed(error)
        else:
            if result is not None:
                self._received(result)

    def _read(self) -> PGresult | None:
        """Take what has come; the result when it is whole."""
        pgconn = self.pgconn
        pgconn.consume_input()
        if self._done is None:  # a notice to an idle connection
            return None
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is not None:
                self._results.append(result)
            elif self._results:
                return self._results[0]
            else:
                raise psycopg.OperationalError("the connection is lost")
        return None

    def _received(self, result: PGresult) -> None:
        done, self._done, self._results = self._done, None, []
        assert done is not None
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            done(result, None)
        else:
            done(None, psycopg.errors.error_from_result(result))

    def _look(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(_LOOK, self._look)
        self._readable()

    def _writable(self) -> None:
        try:
            if self.pgconn.flush() == 0 and self._listened is not None:
                asyncio.get_running_loop().remove_writer(self._listened)
        except psycopg.Error as error:
            self._failed(error)

    def _failed(self, error: psycopg.Error) -> None:
        self._unlisten()
        done, self._done = self._done, None
        if done is not None:
            done(None, error)

    def _unlisten(self) -> None:
        if self._listened is not None:
            loop = asyncio.get_running_loop()
            self._looking.cancel()
            loop.remove_reader(self._listened)
            loop.remove_writer(self._listened)
            self._listened = None

    def wait(self, *arguments: Any, **more: Any) -> Awaitable[Any]:  # type: ignore[override]
        """Where the driver waits for the socket: with a reader of its own."""
        self._unlisten()
        return super().wait(*arguments, **more)

    async def close(self) -> None:
        """Close it."""
        self._unlisten()
        await super().close()


def _packing(element: int) -> Pack:
    def packed(rows: Rows) -> bytes:
        return rows.packed(element)

    return packed
