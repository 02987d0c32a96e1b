"""Making a call that has one answer: from a thread (`call`) and from an event loop (`acall`).

Both use the same synchronous channel. One of gRPC's asyncio channels would cost an event loop less CPU for a call, but
it belongs to one loop, can't be called without one, and is lost to a process that forks.
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
from checkpointd.client.status import INTERRUPTED, CallFailed, Status


def call(connection: Connection, operation: Operation[Result]) -> Result:
    """Make a call from any thread."""
    attempts = Attempts(connection)
    while True:
        try:
            with gate:
                response = connection.attempt(
                    lambda stubs: operation.rpc.method(stubs)(
                        operation.request, timeout=attempts.time_left(), metadata=connection.metadata
                    )
                )
            return operation.rpc.read(response)
        except CallFailed as failure:
            status = failure.status
        connection.closed.wait(attempts.pause_after(status))


async def acall(connection: Connection, operation: Operation[Result]) -> Result:
    """Make a call from any event loop. Cancelling the task cancels the call."""
    attempts = Attempts(connection)
    while True:
        try:
            return operation.rpc.read(await _answer(connection, operation, attempts.time_left()))
        except CallFailed as failure:
            status = failure.status
        await asyncio.sleep(attempts.pause_after(status))


async def _answer(connection: Connection, operation: Operation[Any], timeout: float | None) -> Any:
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
