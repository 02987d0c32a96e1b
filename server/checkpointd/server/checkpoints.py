"""The handlers of the service Checkpoints."""

from collections.abc import AsyncIterator

from checkpointd.engine import Engine
from checkpointd.server.guard import Context, Sized
from checkpointd.server.monitoring.calls import Monitor
from checkpointd.server.session_socket import SessionSockets
from checkpointd.server.session_stream import SessionStream
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1 import checkpoints_pb2 as messages
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsServicer


class CheckpointsHandlers(CheckpointsServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine, sockets: SessionSockets, monitor: Monitor) -> None:
        self._engine = engine
        self._checkpoints = engine.checkpoints
        self._sockets = sockets
        self._monitor = monitor

    async def PutCheckpoint(
        self, request: messages.PutCheckpointRequest, context: Context
    ) -> messages.PutCheckpointResponse:
        return await self._checkpoints.put_checkpoint(tenant_of(context), request)

    async def PutWrites(self, request: messages.PutWritesRequest, context: Context) -> messages.PutWritesResponse:
        return await self._checkpoints.put_writes(tenant_of(context), request)

    async def Commit(self, request: messages.CommitRequest, context: Context) -> messages.CommitResponse:
        return await self._checkpoints.commit(tenant_of(context), request)

    async def GetCheckpoint(
        self, request: messages.GetCheckpointRequest, context: Context
    ) -> messages.GetCheckpointResponse:
        return await self._checkpoints.get_checkpoint(tenant_of(context), request)

    async def ListCheckpoints(
        self, request: messages.ListCheckpointsRequest, context: Context
    ) -> AsyncIterator[messages.ListCheckpointsResponse]:
        async for response in self._checkpoints.list_checkpoints(tenant_of(context), request):
            yield response

    async def GetChannelHistory(
        self, request: messages.GetChannelHistoryRequest, context: Context
    ) -> messages.GetChannelHistoryResponse:
        return await self._checkpoints.get_channel_history(tenant_of(context), request)

    async def Session(  # type: ignore[override]  # the guard hands over requests, and answers are written as they are ready
        self, requests: AsyncIterator[Sized], context: Context
    ) -> None:
        stream = SessionStream(self._engine, context, self._sockets.admission, self._monitor)
        await context.send_initial_metadata(self._sockets.offer(tenant_of(context)))
        await stream.run(requests)
