"""The handlers of the service Watches."""

from collections.abc import AsyncIterator

from checkpointd.engine import Engine
from checkpointd.server.guard import Context
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1.watch_pb2 import WatchRequest, WatchResponse
from checkpointd.v1.watch_pb2_grpc import WatchesServicer


class WatchesHandlers(WatchesServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._watches = engine.watches

    def Watch(self, request: WatchRequest, context: Context) -> AsyncIterator[WatchResponse]:
        return self._watches.watch(tenant_of(context), request)
