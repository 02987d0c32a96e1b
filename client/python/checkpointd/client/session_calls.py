"""One attempt of a call that goes with others in the process's session."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from checkpointd.client.connection import Connection
from checkpointd.client.fork import gate
from checkpointd.client.rpcs import Operation
from checkpointd.client.session import ASK_ALONE, LARGEST_OP, Session
from checkpointd.client.status import INTERRUPTED, LATE, CallFailed, Status
from checkpointd.client.waiting import Outcome, Waiting, WaitingTask, WaitingThread

# Seconds. How long an op that may wait does: LangGraph puts a checkpoint within a millisecond or two of what the last
# task before it wrote, on a busy machine within some more.
HOLD = 0.01


class NotInSession(Exception):
    """The request is to be sent in a call of its own: there is no session, or it could not carry it."""


class Op(NamedTuple):
    """A request that a session may carry, serialised."""

    kind: str
    request: bytes
    may_wait: bool = False

    @classmethod
    def of(cls, operation: Operation[Any]) -> Op | None:
        """None when the operation is for a call of its own: a large one would hold up the others."""
        if not operation.rpc.in_session:
            return None
        request = operation.request.SerializeToString()
        return cls(operation.rpc.in_session, request, operation.may_wait) if len(request) <= LARGEST_OP else None


def in_session(connection: Connection, op: Op, timeout: float | None) -> Any:
    """The response. Raises CallFailed or NotInSession."""
    with gate:
        waiting = WaitingThread(op.kind)
        session, number = _send(connection, op, waiting)
        answered = False
        try:
            if op.may_wait:
                hold = HOLD if timeout is None else min(HOLD, timeout)
                timeout = None if timeout is None else timeout - hold
                answered = waiting.wait(hold)
                if not answered:
                    session.hurry()
            answered = answered or waiting.wait(timeout)
        finally:
            if not answered:
                session.hurry()  # it is not to be sent at some later time
                if not session.drop(number):
                    answered = waiting.wait(None)  # it is being given its outcome at this very moment
    return _response(waiting.outcome if answered else Outcome(None, LATE))


async def ain_session(connection: Connection, op: Op, timeout: float | None) -> Any:
    """The response. Raises CallFailed or NotInSession. A task that is cancelled no longer waits for it."""
    waiting = WaitingTask(op.kind)
    gate.enter()
    try:
        session, number = _send(connection, op, waiting)
    except BaseException:
        gate.leave()
        raise

    def give_up(status: Status) -> None:
        if session.drop(number):
            gate.leave()
            waiting.give_up(status)

    loop = asyncio.get_running_loop()
    alarms = [] if timeout is None else [loop.call_later(timeout, give_up, LATE)]
    if op.may_wait:
        alarms.append(loop.call_later(HOLD, session.hurry))
    outcome = None
    try:
        outcome = await waiting
    finally:
        for alarm in alarms:
            alarm.cancel()
        if outcome is None:
            session.hurry()  # it is not to be sent at some later time
        give_up(INTERRUPTED)
    return _response(outcome)


def _send(connection: Connection, op: Op, waiting: Waiting) -> tuple[Session, int]:
    while (session := connection.session()) is not None:
        if number := session.send(waiting, op.request, may_wait=op.may_wait):
            return session, number
    raise NotInSession


def _response(outcome: Outcome) -> Any:
    if outcome.status is ASK_ALONE:
        raise NotInSession
    if outcome.status is not None:
        raise CallFailed(outcome.status)
    return outcome.response
