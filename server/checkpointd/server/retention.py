"""The handlers of the service Retention."""

from checkpointd.engine import Engine
from checkpointd.server.guard import Context
from checkpointd.server.tenancy import tenant_of
from checkpointd.v1 import retention_pb2 as messages
from checkpointd.v1.retention_pb2_grpc import RetentionServicer


class RetentionHandlers(RetentionServicer):
    """Each takes the tenant from the call and hands the request to the engine; the guard does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._retention = engine.retention

    async def SetRetentionPolicy(
        self, request: messages.SetRetentionPolicyRequest, context: Context
    ) -> messages.SetRetentionPolicyResponse:
        return await self._retention.set_retention_policy(tenant_of(context), request)

    async def ListRetentionPolicies(
        self, request: messages.ListRetentionPoliciesRequest, context: Context
    ) -> messages.ListRetentionPoliciesResponse:
        return await self._retention.list_retention_policies(tenant_of(context), request)

    async def DeleteRetentionPolicy(
        self, request: messages.DeleteRetentionPolicyRequest, context: Context
    ) -> messages.DeleteRetentionPolicyResponse:
        return await self._retention.delete_retention_policy(tenant_of(context), request)

    async def ApplyRetentionPolicy(
        self, request: messages.ApplyRetentionPolicyRequest, context: Context
    ) -> messages.ApplyRetentionPolicyResponse:
        return await self._retention.apply_retention_policy(tenant_of(context), request)
