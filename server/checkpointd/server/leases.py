"""The handlers of the service Leases."""

from checkpointd.engine import Engine
from checkpointd.server.guard import Context
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1 import leases_pb2 as messages
from checkpointd.v1.leases_pb2_grpc import LeasesServicer


class LeasesHandlers(LeasesServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._leases = engine.leases

    async def AcquireLease(
        self, request: messages.AcquireLeaseRequest, context: Context
    ) -> messages.AcquireLeaseResponse:
        return await self._leases.acquire_lease(tenant_of(context), request)

    async def RenewLease(self, request: messages.RenewLeaseRequest, context: Context) -> messages.RenewLeaseResponse:
        return await self._leases.renew_lease(tenant_of(context), request)

    async def ReleaseLease(
        self, request: messages.ReleaseLeaseRequest, context: Context
    ) -> messages.ReleaseLeaseResponse:
        return await self._leases.release_lease(tenant_of(context), request)
