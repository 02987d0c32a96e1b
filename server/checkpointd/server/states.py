"""The handlers of the service States."""

from collections.abc import AsyncIterator

from checkpointd.engine import Engine
from checkpointd.server.guard import Context
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1 import states_pb2 as messages
from checkpointd.v1.states_pb2_grpc import StatesServicer


class StatesHandlers(StatesServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._states = engine.states

    async def RegisterGraph(
        self, request: messages.RegisterGraphRequest, context: Context
    ) -> messages.RegisterGraphResponse:
        return await self._states.register_graph(tenant_of(context), request)

    async def GetState(self, request: messages.GetStateRequest, context: Context) -> messages.GetStateResponse:
        return await self._states.get_state(tenant_of(context), request)

    async def GetStateHistory(
        self, request: messages.GetStateHistoryRequest, context: Context
    ) -> AsyncIterator[messages.GetStateHistoryResponse]:
        async for response in self._states.get_state_history(tenant_of(context), request):
            yield response

    async def UpdateState(self, request: messages.UpdateStateRequest, context: Context) -> messages.UpdateStateResponse:
        return await self._states.update_state(tenant_of(context), request)
