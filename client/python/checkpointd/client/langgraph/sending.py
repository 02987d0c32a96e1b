"""A checkpoint's large values on their way to the server: as changes where that pays, whole where it must be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from checkpointd.changes import change, hash_of
from checkpointd.client import rpcs
from checkpointd.client.connection import Connection
from checkpointd.client.errors import FailedPrecondition
from checkpointd.client.langgraph.held import Entry, Held
from checkpointd.client.rpcs import Operation, Rpc
from checkpointd.v1.checkpoints_pb2 import PutCheckpointRequest, PutCheckpointResponse

# What a FailedPrecondition says when the server does not have what a change is made from.
_NOT_THERE = "BASE_MISMATCH"


def _as_it_came(response: PutCheckpointResponse) -> PutCheckpointResponse:
    return response


# Its answer is needed whole: it says whether the server knew what it was sent.
PUT_CHECKPOINT = cast(
    Rpc[PutCheckpointRequest, PutCheckpointResponse, PutCheckpointResponse],
    cast(Any, rpcs.PUT_CHECKPOINT)._replace(read=_as_it_came),
)


class Sending:
    """The large values of one checkpoint, from when they are serialised until they are stored.

    They are kept whole until then, for a server that has not what their changes are made from: one whose thread was
    pruned or deleted meanwhile, or one that is older than changes.
    """

    def __init__(self, held: Held, *, changes: bool = True) -> None:
        """For one put.

        Args:
            held: what the server is believed to have, and what will have the values when they are stored.
            changes: whether values may be sent as changes at all.
        """
        self._held = held
        self._changes = changes and held.takes_changes
        self._values: dict[str, Entry] = {}
        # The channels that are sent as changes.
        self._changed: list[str] = []

    def tell(self, channel: str, version: str, encoding: str, data: bytes, into: PutCheckpointRequest) -> bool:
        """Say a channel's new value in the request by its change, if that pays. Returns whether it did."""
        if not self._held.wants(data):
            return False
        value = self._values[channel] = Entry(version, encoding, data, hash_of(data))
        if not self._changes:
            return False
        base = self._held.get(into.thread_id, into.put.checkpoint_ns, channel)
        if base is None or base.version == version or base.encoding != encoding:
            return False
        if (pieces := change(base.data, data)) is None:
            return False
        told = into.put.channel_changes[channel]
        told.base_version = base.version
        told.base_hash = base.hash
        told.encoding = encoding
        told.pieces.extend(pieces)
        told.hash = value.hash
        self._changed.append(channel)
        return True

    def send(
        self, make: Callable[[Connection, Operation[Any]], Any], connection: Connection, operation: Operation[Any]
    ) -> object:
        """Make the call that stores them, once more with all values whole if need be."""
        answer = None
        try:
            answer = make(connection, operation)
        except FailedPrecondition as error:
            if not self._is_not_there(error):
                raise
        if answer is None or self._is_lost(answer):
            self._tell_whole(operation.request)
            answer = make(connection, operation)
        self._end(operation.request, answer)
        return answer

    async def asend(
        self,
        make: Callable[[Connection, Operation[Any]], Awaitable[Any]],
        connection: Connection,
        operation: Operation[Any],
    ) -> object:
        """As `send`."""
        answer = None
        try:
            answer = await make(connection, operation)
        except FailedPrecondition as error:
            if not self._is_not_there(error):
                raise
        if answer is None or self._is_lost(answer):
            self._tell_whole(operation.request)
            answer = await make(connection, operation)
        self._end(operation.request, answer)
        return answer

    def _is_not_there(self, error: FailedPrecondition) -> bool:
        return bool(self._changed) and error.reason == _NOT_THERE

    def _is_lost(self, answer: PutCheckpointResponse) -> bool:
        """Whether a server that does not know changes has passed over them: not the one that has said that it does."""
        return bool(self._changed) and not answer.takes_changes

    def _tell_whole(self, request: PutCheckpointRequest) -> None:
        # In place, so that what else was added to the request stays.
        self._held.forget(request.thread_id)
        request.put.ClearField("channel_changes")
        for channel in self._changed:
            value = request.put.checkpoint.channel_values[channel]
            value.encoding, value.data = self._values[channel].encoding, self._values[channel].data
        self._changed.clear()

    def _end(self, request: Any, answer: object) -> None:
        """Remember what is stored. Of what went with a commit of several ops nothing is remembered."""
        if not isinstance(answer, PutCheckpointResponse):
            return
        self._held.takes_changes = answer.takes_changes
        if self._values:
            self._held.enter(request.thread_id, request.put.checkpoint_ns, self._values)
