"""Changes of a whole thread: made while its writers wait, and once, however often the request comes."""

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Protocol, TypeVar

from google.protobuf.message import Message
from psycopg import Rollback

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import InvalidField
from checkpointd.engine.event_log import EventLog
from checkpointd.engine.prepared import ServingConnection
from checkpointd.engine.sql import STATEMENTS

Answer = TypeVar("Answer", bound=Message)


class _Named(Protocol):
    """A request that its caller can name."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


class Changes:
    """Makes changes of one thread each, in one transaction each."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._log = log

    async def make(
        self,
        tenant: str,
        thread_id: str,
        request: _Named,
        answers: type[Answer],
        change: Callable[[ServingConnection], Awaitable[Answer]],
    ) -> Answer:
        """Make a change under the thread's lock and return its answer. A request that was carried out before, by its
        request_id, is answered as it was then.

        Raises InvalidField when the request_id is that of another request on this thread. What `change` raises undoes
        it.
        """
        validate.request_id(request.request_id)
        parameters = {"tenant": tenant, "target": thread_id, "request_id": request.request_id}
        # Before the change, which may take the request apart.
        digest = _digest(request) if request.request_id else b""
        async with self._database.changing(tenant) as connection, connection.transaction() as transaction:
            # From here on the thread's writers wait. A new row stays only if the change is made.
            await connection.execute(STATEMENTS["lock_target"].encode(), parameters)
            if request.request_id:
                cursor = await connection.execute(STATEMENTS["find_answer"].encode(), parameters)
                if (found := await cursor.fetchone()) is not None:
                    if found[0] != digest:
                        raise InvalidField("request_id", "is that of another request on this thread; give it a new one")
                    answer = answers.FromString(found[1])
                    raise Rollback(transaction)
            answer = await change(connection)
            if request.request_id:
                kept = {**parameters, "digest": digest, "answer": answer.SerializeToString()}
                await connection.execute(STATEMENTS["keep_answer"].encode(), kept)
        self._log.tell()
        return answer


def _digest(request: _Named) -> bytes:
    """What tells a request from others: its kind and all that it says."""
    whole = request.SerializeToString(deterministic=True)
    return blake2b(whole, digest_size=16, person=type(request).__name__.encode()[:16]).digest()
