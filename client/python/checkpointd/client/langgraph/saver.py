"""RemoteSaver: LangGraph's checkpointer on a checkpointd server."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.credentials import Credentials
from checkpointd.client.errors import NotFound
from checkpointd.client.langgraph import requests
from checkpointd.client.langgraph.bridge.bridge import Bridge
from checkpointd.client.langgraph.checkpoints import read_histories
from checkpointd.client.langgraph.company import Company
from checkpointd.client.langgraph.configs import Place, config_of, place_of
from checkpointd.client.langgraph.held import Held
from checkpointd.client.langgraph.portable import PortableSerializer
from checkpointd.client.langgraph.sending import Sending
from checkpointd.client.langgraph.states import States
from checkpointd.client.langgraph.upkeep import Upkeep
from checkpointd.client.langgraph.values import Typed
from checkpointd.client.langgraph.writers import Mode, Write, Writers
from checkpointd.client.listing import aeach, each
from checkpointd.v1.checkpoints_pb2 import GetCheckpointResponse
from checkpointd.v1.core_pb2 import CheckpointTuple as Message

if TYPE_CHECKING:  # the first releases of langgraph-checkpoint 4 have no delta channels
    from langgraph.checkpoint.base import DeltaChannelHistory


class RemoteSaver(States, Upkeep, BaseCheckpointSaver[str]):
    """A checkpointer that keeps its checkpoints on a checkpointd server.

    One object serves `graph.invoke` and `graph.ainvoke`: it may be shared by all threads and all event loops of a
    process, and is carried over a fork. The methods without an `a` may be called in an event loop's thread too; they
    block it until the server has answered.

        saver = RemoteSaver("127.0.0.1:50051")
        graph = builder.compile(checkpointer=saver)

    It needs no set-up. `register` lets the server know a graph; then anyone reads and updates the state of its threads
    without the graph: `saver.get_state(config)`, `saver.update_state(config, values)`. Close it when done, or use it
    under `with` or `async with`.

    All methods raise the errors of `checkpointd.client.errors`. Every call may be repeated, and a transient failure is
    retried within the timeout.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        tenant: str | None = None,
        timeout: float | None = 60.0,
        credentials: Credentials | None = None,
        serde: SerializerProtocol | None = None,
        writers: Mode = "fork",
        lease_ttl: float = 30.0,
        lease_wait: float = 60.0,
        value_cache: int = 64 << 20,
    ) -> None:
        """Nothing is sent before the first call.

        Args:
            target: where the server is: `HOST:PORT`, or a target with one of gRPC's schemes. Of several servers,
                `ipv4:A:PORT,B:PORT` or `dns:///NAME:PORT`, those that can serve are used by turns.
            tenant: whose checkpoints to read and write: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Tenants share
                nothing. None: that of the credentials; without them the one that is called `default`.
            timeout: seconds that one call may take, its retries included; None waits for ever. Of a list, it bounds the
                wait for the first item.
            credentials: for servers that ask who calls, and for TLS. None: what the environment says.
            serde: how values become bytes; a `PortableSerializer` by default, so that every language reads them. What
                LangGraph's own serialiser has stored is read with either, and so is the reverse.
            writers: what happens when two runs write one thread. "fork": both succeed and the thread forks, as with
                LangGraph's own checkpointers. "refuse": the second one to store a checkpoint gets HeadMoved, and
                nothing of it is stored on top. "lease": a run has the thread for itself; another one waits, or gets
                LeaseHeld. A run that is given a checkpoint_id, to go on from the past, forks in all of them.
            lease_ttl: seconds, 1 to 3600: how long a lease outlives a process that ends without giving it back. It is
                renewed in the background.
            lease_wait: seconds, 0 to 3600: how long a run waits for a lease that another one has.
            value_cache: bytes of serialised values to keep in this process, those used last, so that a large value that
                changes a little need not be sent and received whole; 0 keeps none. Every server behind the target must
                know changes before its clients do, or else they send what they keep whole once more.

        Raises:
            InvalidRequest: an argument is not of this form.
        """
        super().__init__(serde=PortableSerializer() if serde is None else serde)
        self._connection = Connection(target, tenant=tenant, timeout=timeout, credentials=credentials)
        # Objects which the clones that LangGraph makes of a saver (`with_allowlist`) share.
        self._writers = Writers(self._connection, writers, lease_ttl, lease_wait)
        self._held = Held(value_cache)
        self._company = Company(ordered=writers != "fork")
        self._bridge = Bridge(partial(_read, self._connection))

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        tenant: str | None = None,
        timeout: float | None = 60.0,
        credentials: Credentials | None = None,
        serde: SerializerProtocol | None = None,
        writers: Mode = "fork",
        lease_ttl: float = 30.0,
        lease_wait: float = 60.0,
        value_cache: int = 64 << 20,
    ) -> Self:
        """The saver for a server, to be used under `with`, under `async with`, or as it is."""
        return cls(
            conn_string,
            tenant=tenant,
            timeout=timeout,
            credentials=credentials,
            serde=serde,
            writers=writers,
            lease_ttl=lease_ttl,
            lease_wait=lease_wait,
            value_cache=value_cache,
        )

    def close(self) -> None:
        """Give leases back and close the channel. Calls under way fail with ClientClosed. Closing twice is allowed.

        A clone from `with_allowlist` shares the channel: closing one closes both.
        """
        self._writers.close()
        self._connection.close()

    async def aclose(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[str]:
        """A clone whose serialiser may make objects of these classes too. LangGraph calls it in its strict mode."""
        if not isinstance(self.serde, PortableSerializer):
            return super().with_allowlist(extra_allowlist)
        clone = copy.copy(self)
        clone.serde = self.serde.with_msgpack_allowlist(extra_allowlist)
        return clone

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or the head of its namespace; None when there is none.

        Raises:
            UnknownTask: LangGraph.js worked on it, and it can't be told what an answer that it stored is for.
        """
        self._writers.begin(config)
        asked = place_of(config)
        look_again = True
        while look_again:
            place = self._bridge.stored(asked)
            held = self._held.of(place.thread_id, place.checkpoint_ns)
            try:
                answer = call(self._connection, requests.get_tuple(place, held))
            except NotFound:
                look_again = self._bridge.settle(asked, found=False)
                continue
            self._found(config, asked, answer)
            return self._tuple(answer.checkpoint_tuple, asked.checkpoint_ns, self._held.received(place, answer, held))
        self._writers.found(config, "")
        return None

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        await self._writers.abegin(config)
        asked = place_of(config)
        look_again = True
        while look_again:
            place = self._bridge.stored(asked)
            held = self._held.of(place.thread_id, place.checkpoint_ns)
            try:
                answer = await acall(self._connection, requests.get_tuple(place, held))
            except NotFound:
                look_again = self._bridge.settle(asked, found=False)
                continue
            self._found(config, asked, answer)
            values = self._held.received(place, answer, held)
            return await self._atuple(answer.checkpoint_tuple, asked.checkpoint_ns, values)
        self._writers.found(config, "")
        return None

    def _found(self, config: RunnableConfig, asked: Place, answer: GetCheckpointResponse) -> None:
        self._bridge.settle(asked, found=True)
        self._writers.found(config, answer.checkpoint_tuple.checkpoint.id)

    def _tuple(
        self, message: Message, checkpoint_ns: str, values: Mapping[str, Typed] | None = None
    ) -> CheckpointTuple:
        return self._bridge.tuple_of(message, checkpoint_ns, self.serde, self._registered.spec, values)

    async def _atuple(
        self, message: Message, checkpoint_ns: str, values: Mapping[str, Typed] | None = None
    ) -> CheckpointTuple:
        if self._bridge.may_read(message):
            return await asyncio.to_thread(self._tuple, message, checkpoint_ns, values)
        return self._tuple(message, checkpoint_ns, values)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest commit first.

        Args:
            config: the thread, and the namespace unless all of them are meant; None for all threads.
            filter: keeps checkpoints whose metadata has these values, which must be JSON's.
            before: keeps checkpoints that came before the one that this config names.
            limit: the greatest number to return.
        """
        request = requests.list_checkpoints(self._bridge.settled(config), filter, before, limit)
        return self._list(config, each(self._connection, request))

    def _list(self, config: RunnableConfig | None, messages: Iterator[Message]) -> Iterator[CheckpointTuple]:
        if config is not None:
            self._writers.begin(config)
        empty = True
        for found in messages:
            empty = False
            self._writers.listed(config, found)
            yield self._tuple(found, _named(config, found))
        if empty:
            self._writers.listed(config, None)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        stored = await asyncio.to_thread(self._bridge.settled, config)
        request = requests.list_checkpoints(stored, filter, before, limit)
        if config is not None:
            await self._writers.abegin(config)
        empty = True
        async with contextlib.aclosing(aeach(self._connection, request)) as messages:
            async for found in messages:
                empty = False
                self._writers.listed(config, found)
                yield await self._atuple(found, _named(config, found))
        if empty:
            self._writers.listed(config, None)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, with the values of the channels that have a new version, as the head of its namespace.

        The checkpoint that the config names becomes its parent. Returns the config that names it.
        """
        self._company.put(metadata)
        sending = Sending(self._held, changes=not self._writers.merges(config))
        operation, stored = requests.put_checkpoint(
            self._bridge.config(config),
            checkpoint,
            metadata,
            new_versions,
            self.serde,
            self._registered.graph_hash,
            sending,
        )
        place = stored._replace(checkpoint_ns=place_of(config).checkpoint_ns)
        self._writers.send(config, operation, lambda: Write.of_checkpoint(config, place, metadata), sending)
        return config_of(place)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        self._company.put(metadata)
        sending = Sending(self._held, changes=not self._writers.merges(config))
        operation, stored = requests.put_checkpoint(
            self._bridge.config(config),
            checkpoint,
            metadata,
            new_versions,
            self.serde,
            self._registered.graph_hash,
            sending,
        )
        place = stored._replace(checkpoint_ns=place_of(config).checkpoint_ns)
        await self._writers.asend(config, operation, lambda: Write.of_checkpoint(config, place, metadata), sending)
        return config_of(place)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote on the checkpoint that the config names. The checkpoint may come later."""
        may_wait = self._company.follows(config, writes)
        self._bridge.check(config, task_id, task_path)
        stored = self._bridge.config(config)
        operation = requests.put_writes(stored, writes, task_id, task_path, self.serde, may_wait=may_wait)
        self._writers.send(config, operation, lambda: Write.of_task(config))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        may_wait = self._company.follows(config, writes)
        self._bridge.check(config, task_id, task_path)
        stored = self._bridge.config(config)
        operation = requests.put_writes(stored, writes, task_id, task_path, self.serde, may_wait=may_wait)
        await self._writers.asend(config, operation, lambda: Write.of_task(config))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What rebuilds delta channels at the checkpoint that the config names, or at the head of its namespace.

        Of a checkpoint that does not exist, all histories are empty.
        """
        try:
            found = call(self._connection, requests.channel_history(self._bridge.config(config), channels))
        except NotFound:
            found = {}
        return read_histories(found, channels, self.serde)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        try:
            found = await acall(self._connection, requests.channel_history(self._bridge.config(config), channels))
        except NotFound:
            found = {}
        return read_histories(found, channels, self.serde)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version after `current`: a number one greater, which sorts as text, and a random part.

        The random part keeps two forks of a thread from giving the same version to different values.
        """
        number = 0 if current is None else current if isinstance(current, int) else int(current.split(".")[0])
        return f"{number + 1:032}.{random.random():016}"


def _read(connection: Connection, place: Place) -> Message | None:
    """What is stored at a place, or None."""
    try:
        return call(connection, requests.get_tuple(place, {})).checkpoint_tuple
    except NotFound:
        return None


def _named(config: RunnableConfig | None, found: Message) -> str:
    """The namespace of a listed checkpoint: as it was asked for, or as it is stored if it was not."""
    asked = (config or {}).get("configurable", {}).get("checkpoint_ns")
    return found.checkpoint_ns if asked is None else str(asked)
