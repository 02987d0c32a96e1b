"""One attempt of a call that goes with others in a session."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from checkpointd.client.connection import Connection
from checkpointd.client.fork import gate
from checkpointd.client.rpcs import Operation
from checkpointd.client.session import ASK_ALONE, LARGEST_OP
from checkpointd.client.session_loop import LoopSession
from checkpointd.client.session_stream import StreamSession
from checkpointd.client.session_threads import ThreadSession
from checkpointd.client.status import INTERRUPTED, LATE, CallFailed, Status
from checkpointd.client.waiting import Outcome, WaitingHere, WaitingTask, WaitingThread

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
    waiting = WaitingThread(op.kind)
    while (session := connection.sessions.of_threads()) is not None:
        if number := session.send(waiting, op.request, may_wait=op.may_wait):
            return _response(_outcome(session, waiting, number, op, timeout))
    with gate:
        stream, number = _send(connection, waiting, op)
        outcome = _outcome(stream, waiting, number, op, timeout)
    return _response(outcome)


def _outcome(
    session: ThreadSession | StreamSession, waiting: WaitingThread, number: int, op: Op, timeout: float | None
) -> Outcome:
    """Wait for the outcome of an op that was sent."""
    answered = False
    try:
        if op.may_wait:
            hold = HOLD if timeout is None else min(HOLD, timeout)
            timeout = None if timeout is None else timeout - hold
            answered = waiting.wait(hold)
            if not answered:
                session.hurry()
        answered = answered or session.wait(waiting, timeout)
    finally:
        if not answered:
            session.hurry()  # it is not to be sent at some later time
            if not session.drop(number):
                while not waiting.wait(None):
                    pass  # it is being given its outcome at this very moment
    return waiting.outcome or Outcome(None, LATE)


async def ain_session(connection: Connection, op: Op, timeout: float | None) -> Any:
    """The response. Raises CallFailed or NotInSession. A task that is cancelled no longer waits for it."""
    here = WaitingHere(op.kind)
    while (session := await connection.sessions.of_loop()) is not None:
        if number := session.send(here, op.request, may_wait=op.may_wait):
            return _response(await _aoutcome(session, here, number, op, timeout))
    waiting = WaitingTask(op.kind)
    gate.enter()
    try:
        stream, number = _send(connection, waiting, op)
    except BaseException:
        gate.leave()
        raise
    return _response(await _aoutcome(stream, waiting, number, op, timeout))


async def _aoutcome(
    session: LoopSession | StreamSession,
    waiting: WaitingHere | WaitingTask,
    number: int,
    op: Op,
    timeout: float | None,
) -> Outcome:
    """Wait for the outcome of an op that was sent."""

    def give_up(status: Status) -> None:
        if session.drop(number):
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
    assert isinstance(outcome, Outcome)
    return outcome


def _send(connection: Connection, waiting: WaitingThread | WaitingTask, op: Op) -> tuple[StreamSession, int]:
    """Send an op on the process's stream, inside the gate."""
    while (stream := connection.sessions.stream()) is not None:
        if number := stream.send(waiting, op.request, may_wait=op.may_wait):
            return stream, number
    raise NotInSession


def _response(outcome: Outcome) -> Any:
    if outcome.status is ASK_ALONE:
        raise NotInSession
    if outcome.status is not None:
        raise CallFailed(outcome.status)
    return outcome.response
