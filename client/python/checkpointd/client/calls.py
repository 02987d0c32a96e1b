"""Making a call that has one answer: from a thread (`call`) and from an event loop (`acall`).

A small op goes with others in the process's session (see session.py), any other one in a call of its own. Both clients
use the same synchronous channels. One of gRPC's asyncio channels belongs to one loop, can't be called without one, and
is lost to a process that forks.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc

from checkpointd.client.connection import Connection
from checkpointd.client.fork import gate
from checkpointd.client.retry import Attempts
from checkpointd.client.rpcs import Operation, Result
from checkpointd.client.session_calls import NotInSession, Op, ain_session, in_session
from checkpointd.client.status import INTERRUPTED, CallFailed, Status


def call(connection: Connection, operation: Operation[Result]) -> Result:
    """Make a call from any thread."""
    attempts = Attempts(connection)
    op = Op.of(operation)
    while True:
        try:
            if op is not None:
                response = in_session(connection, op, attempts.time_left())
            else:
                response = _alone(connection, operation, attempts.time_left())
            return operation.rpc.read(response)
        except NotInSession:
            op = None
            continue
        except CallFailed as failure:
            status = failure.status
        connection.closed.wait(attempts.pause_after(status))


async def acall(connection: Connection, operation: Operation[Result]) -> Result:
    """Make a call from any event loop. Cancelling the task ends the wait for the answer, and a call of its own."""
    attempts = Attempts(connection)
    op = Op.of(operation)
    while True:
        try:
            if op is not None:
                response = await ain_session(connection, op, attempts.time_left())
            else:
                response = await _aalone(connection, operation, attempts.time_left())
            return operation.rpc.read(response)
        except NotInSession:
            op = None
            continue
        except CallFailed as failure:
            status = failure.status
        await asyncio.sleep(attempts.pause_after(status))


def _alone(connection: Connection, operation: Operation[Any], timeout: float | None) -> Any:
    with gate:
        return connection.attempt(
            lambda stubs: operation.rpc.method(stubs)(operation.request, timeout=timeout, metadata=connection.metadata)
        )


async def _aalone(connection: Connection, operation: Operation[Any], timeout: float | None) -> Any:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def deliver(response: Any, status: Status | None) -> None:
        if answer.done():
            return  # cancelled meanwhile
        if status:
            answer.set_exception(CallFailed(status))
        else:
            answer.set_result(response)

    def end(ended: grpc.Future[Any]) -> None:  # in a thread of gRPC's
        response, status = None, None
        try:
            response = ended.result()
        except grpc.RpcError as failure:
            status = Status.of(failure)
        except grpc.FutureCancelledError:
            status = INTERRUPTED
        gate.leave()
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, response, status)

    gate.enter()
    try:
        under_way = connection.attempt(
            lambda stubs: operation.rpc.method(stubs).future(
                operation.request, timeout=timeout, metadata=connection.metadata
            )
        )
    except BaseException:
        gate.leave()
        raise
    under_way.add_done_callback(end)
    try:
        return await answer
    except asyncio.CancelledError:
        under_way.cancel()
        raise
