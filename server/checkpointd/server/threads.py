"""The handlers of the service Threads."""

from checkpointd.engine import Engine
from checkpointd.server.guard import Context
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1 import threads_pb2 as messages
from checkpointd.v1.threads_pb2_grpc import ThreadsServicer


class ThreadsHandlers(ThreadsServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._threads = engine.threads

    async def GetThread(self, request: messages.GetThreadRequest, context: Context) -> messages.GetThreadResponse:
        return await self._threads.get_thread(tenant_of(context), request)

    async def ListThreads(self, request: messages.ListThreadsRequest, context: Context) -> messages.ListThreadsResponse:
        return await self._threads.list_threads(tenant_of(context), request)

    async def UpdateThread(
        self, request: messages.UpdateThreadRequest, context: Context
    ) -> messages.UpdateThreadResponse:
        return await self._threads.update_thread(tenant_of(context), request)

    async def DeleteThread(
        self, request: messages.DeleteThreadRequest, context: Context
    ) -> messages.DeleteThreadResponse:
        return await self._threads.delete_thread(tenant_of(context), request)

    async def CopyThread(self, request: messages.CopyThreadRequest, context: Context) -> messages.CopyThreadResponse:
        return await self._threads.copy_thread(tenant_of(context), request)

    async def PruneThreads(
        self, request: messages.PruneThreadsRequest, context: Context
    ) -> messages.PruneThreadsResponse:
        return await self._threads.prune_threads(tenant_of(context), request)

    async def DeleteRuns(self, request: messages.DeleteRunsRequest, context: Context) -> messages.DeleteRunsResponse:
        return await self._threads.delete_runs(tenant_of(context), request)
