"""A process of callers: each makes one request after the other, and one that is refused again, when it is told to.

They speak the protocol themselves and do little else, so that the load is the server's and not their own.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from checkpointd.v1.checkpoints_pb2 import PutCheckpointRequest, SessionOp, SessionRequest, SessionResponse
from tests.messages import put_checkpoint
from tests.server.session_carriers import offer_to

# How many callers share a connection.
_TOGETHER = 16

_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]

# Seconds: the longest pause beside the one that the server asks for, as clients have it.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


@dataclass
class Plan:
    """What a process is to do."""

    address: str
    tenant: str
    carrier: str  # session, or call
    callers: int
    seconds: float
    heeds: bool  # whether callers wait when they are told to; otherwise they ask again at once
    value_bytes: int
    name: str  # of the process: the threads of its callers begin with it


@dataclass
class Done:
    """What became of it."""

    stored: dict[str, int] = field(default_factory=dict)
    """How many checkpoints each thread has by what was acknowledged."""
    refused: int = 0
    by_grpc: int = 0
    """Of these, those that came no further than gRPC, which says CANCELLED and nothing of when to try again."""
    took: list[float] = field(default_factory=list)
    """Seconds that each accepted request took."""
    waited: list[float] = field(default_factory=list)
    """The same from its first attempt on."""
    failed: list[str] = field(default_factory=list)
    """What else was answered."""


# The milliseconds to wait; None when it is stored. Raises what else there is.
Attempt = Callable[[PutCheckpointRequest], Awaitable[int | None]]


class Refused(Exception):
    """It says nothing of when to try again."""


async def _connect_session(plan: Plan, done: Done) -> Attempt:
    offer = offer_to(plan.address, plan.tenant)
    assert offer is not None
    reader, writer = await asyncio.open_connection(plan.address.rpartition(":")[0], offer.port)

    def send(message: bytes) -> None:
        writer.write(len(message).to_bytes(4) + message)

    async def receive() -> bytes:
        return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))

    send(offer.hello.SerializeToString())
    await receive()
    waiting: dict[int, asyncio.Future[int | None]] = {}
    count = 0

    async def read() -> None:
        while True:
            response = SessionResponse.FromString(await receive())
            if response.HasField("end"):
                for future in waiting.values():
                    future.set_exception(Refused(response.end.message))
                waiting.clear()
            for answer in response.answers:
                future = waiting.pop(answer.number)
                if answer.WhichOneof("answer") != "error":
                    future.set_result(None)
                elif answer.error.code == _FULL and "retry_after_ms" in answer.error.metadata:
                    future.set_result(int(answer.error.metadata["retry_after_ms"]))
                else:
                    future.set_exception(Refused(answer.error.message))

    _tasks.add(asyncio.create_task(read()))

    def attempt(request: PutCheckpointRequest) -> Awaitable[int | None]:
        nonlocal count
        count += 1
        waiting[count] = future = asyncio.get_running_loop().create_future()
        send(SessionRequest(ops=[SessionOp(number=count, put_checkpoint=request)]).SerializeToString())
        return future

    return attempt


_tasks: set[asyncio.Task[None]] = set()


async def _connect_calls(plan: Plan, done: Done) -> Attempt:
    channel = grpc.aio.insecure_channel(plan.address, options=(("grpc.use_local_subchannel_pool", 1),))
    call: Any = channel.unary_unary("/checkpointd.v1.Checkpoints/PutCheckpoint", None, None)

    async def attempt(request: PutCheckpointRequest) -> int | None:
        try:
            await call(request.SerializeToString(), metadata=(("checkpointd-tenant", plan.tenant),))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED:
                done.by_grpc += 1
                return 0
            for key, details in error.trailing_metadata():
                if key == "grpc-status-details-bin" and error.code().value[0] == _FULL:
                    info = RetryInfo()
                    for detail in Status.FromString(details).details:
                        if detail.Unpack(info):
                            return int(info.retry_delay.ToMilliseconds())
            raise Refused(str(error.details())) from None
        return None

    return attempt


async def _caller(plan: Plan, done: Done, attempt: Attempt, number: int, end: float) -> None:
    thread_id, value = f"{plan.name}-{number}", os.urandom(plan.value_bytes)
    stored = 0
    while time.monotonic() < end:
        request = put_checkpoint(thread_id, f"{stored:08}", values={"a": value})
        first, ceiling = time.monotonic(), _FIRST_PAUSE
        while True:
            began = time.monotonic()
            if began >= end:
                break
            try:
                delay = await attempt(request)
            except Refused as problem:
                done.failed.append(str(problem))
                break
            now = time.monotonic()
            if delay is None:
                stored += 1
                done.took.append(now - began)
                done.waited.append(now - first)
                break
            done.refused += 1
            if plan.heeds:
                await asyncio.sleep(delay / 1000 + random.uniform(0, ceiling))
                ceiling = min(2 * ceiling, _LONGEST_PAUSE)
    done.stored[thread_id] = stored


async def run(plan: Plan) -> Done:
    """Call for so many seconds."""
    done = Done()
    connect = _connect_session if plan.carrier == "session" else _connect_calls
    attempts = [await connect(plan, done) for _ in range(-(-plan.callers // _TOGETHER))]
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + plan.seconds
    await asyncio.gather(
        *(_caller(plan, done, attempts[number % len(attempts)], number, end) for number in range(plan.callers))
    )
    for task in _tasks:
        task.cancel()
    return done


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(run(Plan(**json.loads(sys.argv[1])))))))
