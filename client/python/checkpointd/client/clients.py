"""Client and AsyncClient: the calls of `checkpointd.client.operations` as methods."""

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from checkpointd.client import api_keys, operations, retention, watching
from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.credentials import Credentials
from checkpointd.client.listing import aeach, each
from checkpointd.client.rpcs import Item, Listing, Operation
from checkpointd.v1.threads_pb2 import ListThreadsResponse, Thread
from checkpointd.v1.watch_pb2 import WatchEvent, WatchRequest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Connected:
    """What both clients are made of."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        tenant: str | None = None,
        timeout: float | None = 60.0,
        credentials: Credentials | None = None,
    ) -> None:
        """Nothing is sent before the first call.

        Args:
            target: where the server is: `HOST:PORT`, or a target with one of gRPC's schemes. Of several servers,
                `ipv4:A:PORT,B:PORT` or `dns:///NAME:PORT`, those that can serve are used by turns.
            tenant: whose data to read and write: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Tenants share nothing.
                None: that of the credentials; without them the one that is called `default`.
            timeout: seconds that one call may take, its retries included; None waits for ever. Of a list, it bounds the
                wait for the first item.
            credentials: for servers that ask who calls, and for TLS. None: what the environment says.

        Raises:
            InvalidRequest: an argument is not of this form.
        """
        self._connection = Connection(target, tenant=tenant, timeout=timeout, credentials=credentials)


def _call(
    prepare: Callable[Parameters, Operation[Result]],
) -> Callable[Concatenate[_Connected, Parameters], Result]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return call(self._connection, prepare(*args, **kwargs))

    return method


def _acall(
    prepare: Callable[Parameters, Operation[Result]],
) -> Callable[Concatenate[_Connected, Parameters], Coroutine[Any, Any, Result]]:
    @functools.wraps(prepare)
    async def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return await acall(self._connection, prepare(*args, **kwargs))

    return method


def _each(
    prepare: Callable[Parameters, Listing[Item]],
) -> Callable[Concatenate[_Connected, Parameters], Iterator[Item]]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Item]:
        return each(self._connection, prepare(*args, **kwargs))

    return method


def _aeach(
    prepare: Callable[Parameters, Listing[Item]],
) -> Callable[Concatenate[_Connected, Parameters], AsyncGenerator[Item]]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> AsyncGenerator[Item]:
        return aeach(self._connection, prepare(*args, **kwargs))

    return method


def _pages(
    prepare: Callable[Parameters, Callable[[str], Operation[ListThreadsResponse]]],
) -> Callable[Concatenate[_Connected, Parameters], Iterator[Thread]]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Thread]:
        page, token = prepare(*args, **kwargs), None
        while token != "":
            response = call(self._connection, page(token or ""))
            yield from response.threads
            token = response.next_page_token

    return method


def _apages(
    prepare: Callable[Parameters, Callable[[str], Operation[ListThreadsResponse]]],
) -> Callable[Concatenate[_Connected, Parameters], AsyncGenerator[Thread]]:
    @functools.wraps(prepare)
    async def method(
        self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> AsyncGenerator[Thread]:
        page, token = prepare(*args, **kwargs), None
        while token != "":
            response = await acall(self._connection, page(token or ""))
            for thread in response.threads:
                yield thread
            token = response.next_page_token

    return method


def _watch(
    prepare: Callable[Parameters, WatchRequest],
) -> Callable[Concatenate[_Connected, Parameters], Generator[WatchEvent]]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Generator[WatchEvent]:
        return watching.watch(self._connection, prepare(*args, **kwargs))

    return method


def _awatch(
    prepare: Callable[Parameters, WatchRequest],
) -> Callable[Concatenate[_Connected, Parameters], AsyncGenerator[WatchEvent]]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> AsyncGenerator[WatchEvent]:
        return watching.awatch(self._connection, prepare(*args, **kwargs))

    return method


def _watch_token(
    prepare: Callable[Parameters, WatchRequest],
) -> Callable[Concatenate[_Connected, Parameters], str]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> str:
        return watching.watch_token(self._connection, prepare(*args, **kwargs))

    return method


def _awatch_token(
    prepare: Callable[Parameters, WatchRequest],
) -> Callable[Concatenate[_Connected, Parameters], Coroutine[Any, Any, str]]:
    @functools.wraps(prepare)
    async def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> str:
        return await watching.awatch_token(self._connection, prepare(*args, **kwargs))

    return method


def _wait(
    prepare: Callable[Parameters, watching.Waiting],
) -> Callable[Concatenate[_Connected, Parameters], str]:
    @functools.wraps(prepare)
    def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> str:
        return watching.wait_for(self._connection, prepare(*args, **kwargs))

    return method


def _await(
    prepare: Callable[Parameters, watching.Waiting],
) -> Callable[Concatenate[_Connected, Parameters], Coroutine[Any, Any, str]]:
    @functools.wraps(prepare)
    async def method(self: _Connected, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> str:
        return await watching.await_for(self._connection, prepare(*args, **kwargs))

    return method


class Client(_Connected):
    """A client for programs with threads.

    It may be shared by all threads of a process and is carried over a fork: the child opens a channel of its own.

        with Client("127.0.0.1:50051", tenant="team-a") as client:
            for thread in client.list_threads():
                print(thread.thread_id, thread.sequence)
    """

    put_checkpoint = _call(operations.put_checkpoint)
    put_writes = _call(operations.put_writes)
    commit = _call(operations.commit)
    get_checkpoint = _call(operations.get_checkpoint)
    list_checkpoints = _each(operations.list_checkpoints)
    get_channel_history = _call(operations.get_channel_history)
    get_thread = _call(operations.get_thread)
    list_threads = _pages(operations.list_threads)
    update_thread = _call(operations.update_thread)
    delete_thread = _call(operations.delete_thread)
    copy_thread = _call(operations.copy_thread)
    prune_threads = _call(operations.prune_threads)
    delete_runs = _call(operations.delete_runs)
    register_graph = _call(operations.register_graph)
    get_state = _call(operations.get_state)
    get_state_history = _each(operations.get_state_history)
    update_state = _call(operations.update_state)
    acquire_lease = _call(operations.acquire_lease)
    renew_lease = _call(operations.renew_lease)
    release_lease = _call(operations.release_lease)
    watch = _watch(watching.request)
    watch_token = _watch_token(watching.from_now_on)
    wait_for = _wait(watching.waiting)
    create_api_key = _call(api_keys.create_api_key)
    list_api_keys = _call(api_keys.list_api_keys)
    rotate_api_key = _call(api_keys.rotate_api_key)
    revoke_api_key = _call(api_keys.revoke_api_key)
    set_quota = _call(operations.set_quota)
    get_quota = _call(operations.get_quota)
    list_quotas = _call(operations.list_quotas)
    set_retention_policy = _call(retention.set_retention_policy)
    list_retention_policies = _call(retention.list_retention_policies)
    delete_retention_policy = _call(retention.delete_retention_policy)
    apply_retention_policy = _call(retention.apply_retention_policy)

    def close(self) -> None:
        """Close the channel. Calls under way fail with ClientClosed. Closing twice is allowed."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Connected):
    """A client for asyncio programs.

    It may be shared by all event loops of a process and is carried over a fork: the child opens a channel of its own.

        async with AsyncClient("127.0.0.1:50051", tenant="team-a") as client:
            async for thread in client.list_threads():
                print(thread.thread_id, thread.sequence)
    """

    put_checkpoint = _acall(operations.put_checkpoint)
    put_writes = _acall(operations.put_writes)
    commit = _acall(operations.commit)
    get_checkpoint = _acall(operations.get_checkpoint)
    list_checkpoints = _aeach(operations.list_checkpoints)
    get_channel_history = _acall(operations.get_channel_history)
    get_thread = _acall(operations.get_thread)
    list_threads = _apages(operations.list_threads)
    update_thread = _acall(operations.update_thread)
    delete_thread = _acall(operations.delete_thread)
    copy_thread = _acall(operations.copy_thread)
    prune_threads = _acall(operations.prune_threads)
    delete_runs = _acall(operations.delete_runs)
    register_graph = _acall(operations.register_graph)
    get_state = _acall(operations.get_state)
    get_state_history = _aeach(operations.get_state_history)
    update_state = _acall(operations.update_state)
    acquire_lease = _acall(operations.acquire_lease)
    renew_lease = _acall(operations.renew_lease)
    release_lease = _acall(operations.release_lease)
    watch = _awatch(watching.request)
    watch_token = _awatch_token(watching.from_now_on)
    wait_for = _await(watching.waiting)
    create_api_key = _acall(api_keys.create_api_key)
    list_api_keys = _acall(api_keys.list_api_keys)
    rotate_api_key = _acall(api_keys.rotate_api_key)
    revoke_api_key = _acall(api_keys.revoke_api_key)
    set_quota = _acall(operations.set_quota)
    get_quota = _acall(operations.get_quota)
    list_quotas = _acall(operations.list_quotas)
    set_retention_policy = _acall(retention.set_retention_policy)
    list_retention_policies = _acall(retention.list_retention_policies)
    delete_retention_policy = _acall(retention.delete_retention_policy)
    apply_retention_policy = _acall(retention.apply_retention_policy)

    async def close(self) -> None:
        """Close the channel. Calls under way fail with ClientClosed. Closing twice is allowed."""
        self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
