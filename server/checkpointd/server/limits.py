"""The handlers of the service Limits, and the check of every other call against the quota of its tenant."""

from google.protobuf.message import Message

from checkpointd.engine import Engine
from checkpointd.engine.quotas import Quotas
from checkpointd.server.guard import Context
from checkpointd.server.identity.access import Rpc
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1 import limits_pb2 as messages
from checkpointd.v1.limits_pb2_grpc import LimitsServicer

_SERVICE = messages.DESCRIPTOR.services_by_name["Limits"].full_name


class LimitsHandlers(LimitsServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._quotas = engine.quotas

    async def SetQuota(self, request: messages.SetQuotaRequest, context: Context) -> messages.SetQuotaResponse:
        return await self._quotas.set_quota(tenant_of(context), request)

    async def GetQuota(self, request: messages.GetQuotaRequest, context: Context) -> messages.GetQuotaResponse:
        return await self._quotas.get_quota(tenant_of(context), request)

    async def ListQuotas(self, request: messages.ListQuotasRequest, context: Context) -> messages.ListQuotasResponse:
        tenant_of(context)  # which must be one, although it does not matter which
        return await self._quotas.list_quotas(request)


class QuotaCheck:
    """What the guard asks before it hands a call on. The rpcs of Limits are free: who is over a quota can be helped."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    async def __call__(self, rpc: Rpc, context: Context, request: Message) -> None:
        """Count a call as an operation of its tenant. Raises QuotaExceeded, or InvalidField for no tenant."""
        if not self._quotas.any:
            return
        if rpc.service != _SERVICE:
            await self._quotas.admit(tenant_of(context), rpc.name, request)
