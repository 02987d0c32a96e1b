"""Watching over the wire: several servers, restarts, and what is refused."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.watch_pb2 import WatchEvent, WatchRequest, WatchResponse
from checkpointd.v1.watch_pb2_grpc import WatchesStub
from tests.messages import put_checkpoint
from tests.server.conftest import TwoServers
from tests.server.wire import of_tenant, refused
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("stays_well")

_TIMEOUT = 30.0


class Watch:
    """A watch under way, read by a thread of its own."""

    def __init__(self, channel: grpc.Channel, **request: Any) -> None:
        self._call = WatchesStub(channel).Watch(WatchRequest(**request))
        self._told: queue.Queue[WatchResponse | grpc.RpcError] = queue.Queue()
        self.token = ""
        self.ended: grpc.RpcError | None = None
        threading.Thread(target=self._read, daemon=True).start()
        self.step()

    def _read(self) -> None:
        try:
            for response in self._call:
                self._told.put(response)
        except grpc.RpcError as error:
            self._told.put(error)

    def step(self) -> list[WatchEvent]:
        """The events of the next response. Raises what ended the watch."""
        told = self._told.get(timeout=_TIMEOUT)
        if isinstance(told, grpc.RpcError):
            raise told
        self.token = told.token
        return list(told.events)

    def ids(self, count: int) -> list[str]:
        """The checkpoints of so many events."""
        found: list[str] = []
        while len(found) < count:
            found += [event.checkpoint_id for event in self.step()]
        return found

    def close(self) -> None:
        self._call.cancel()


@contextlib.contextmanager
def watching(channel: grpc.Channel, **request: Any) -> Iterator[Watch]:
    watch = Watch(channel, **request)
    try:
        yield watch
    finally:
        watch.close()


@pytest.fixture(scope="module")
def server(two_servers: TwoServers) -> ServerProcess:
    return two_servers.first


def _put(channel: grpc.Channel, *checkpoint_ids: str) -> None:
    for checkpoint_id in checkpoint_ids:
        CheckpointsStub(channel).PutCheckpoint(put_checkpoint("t", checkpoint_id))


def test_what_another_server_commits_is_told(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> None:
    with watching(grpc_channel, thread_id="t") as here, watching(second_channel) as there:
        _put(grpc_channel, "1")
        _put(second_channel, "2")
        _put(grpc_channel, "3")
        assert here.ids(3) == there.ids(3) == ["1", "2", "3"]


def test_a_token_of_one_server_is_good_at_another(grpc_channel: grpc.Channel, second_channel: grpc.Channel) -> None:
    with watching(grpc_channel) as watch:
        _put(grpc_channel, "1")
        assert watch.ids(1) == ["1"]
        token = watch.token
    _put(grpc_channel, "2")
    with watching(second_channel, token=token) as watch:
        assert watch.ids(1) == ["2"]


def test_a_token_that_is_not_of_this_watch_is_refused(
    grpc_create_channel: Callable[..., grpc.Channel], grpc_channel: grpc.Channel, tenant: str
) -> None:
    with watching(grpc_channel) as watch:
        token = watch.token
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "WATCH_TOKEN_INVALID"):
        Watch(grpc_channel, token=token, thread_id="t")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "WATCH_TOKEN_INVALID"):
        Watch(grpc_channel, token="A" * len(token))
    with (
        grpc_create_channel() as channel,
        refused(grpc.StatusCode.INVALID_ARGUMENT, "WATCH_TOKEN_INVALID"),
    ):
        Watch(of_tenant(channel, f"{tenant}-other"), token=token)


def test_a_server_that_stops_ends_its_watches_and_another_goes_on(
    two_servers: TwoServers, tmp_path: Path, tenant: str
) -> None:
    """Without a gap and without a duplicate, whatever was committed while it was away."""
    options = ("--database-url", two_servers.database_url)
    told: list[str] = []
    token = ""
    with grpc.insecure_channel(two_servers.second.address) as plain:
        writer = of_tenant(plain, tenant)
        for restart in range(3):
            with ServerProcess(tmp_path / "log", *options) as stopping, grpc.insecure_channel(stopping.address) as own:
                watch = Watch(of_tenant(own, tenant), token=token)
                _put(writer, f"{restart}-a", f"{restart}-b")
                told += watch.ids(2 if not token else 3)
                if restart == 1:
                    stopping.kill()
                else:
                    stopping.stop()
                    with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"):
                        while True:
                            watch.step()
                token = watch.token
            _put(writer, f"{restart}-away")
    assert told == ["0-a", "0-b", "0-away", "1-a", "1-b", "1-away", "2-a", "2-b"]


def test_with_watch_off_there_is_none(two_servers: TwoServers, tmp_path: Path, tenant: str) -> None:
    options = ("--database-url", two_servers.database_url, "--watch", "off")
    with (
        ServerProcess(tmp_path / "log", *options) as off,
        grpc.insecure_channel(off.address) as channel,
        refused(grpc.StatusCode.FAILED_PRECONDITION, "WATCH_OFF"),
    ):
        Watch(of_tenant(channel, tenant))
