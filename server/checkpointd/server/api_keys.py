"""The handlers of the service ApiKeys."""

from checkpointd.engine.api_keys import ApiKeys
from checkpointd.server.guard import Context
from checkpointd.server.identity.access import Access, current_access
from checkpointd.server.status import Refusal
from checkpointd.v1 import api_keys_pb2 as messages
from checkpointd.v1.api_keys_pb2_grpc import ApiKeysServicer
from checkpointd.v1.error_reason_pb2 import ErrorReason


class ApiKeysHandlers(ApiKeysServicer):
    """Each hands the request to the engine, with the tenant and what the caller may; the guard does the rest."""

    def __init__(self, api_keys: ApiKeys, *, taken: bool) -> None:
        """`taken` says whether this server takes API keys."""
        self._api_keys = api_keys
        self._taken = taken

    def _access(self) -> Access:
        access = current_access()
        if access is None or not self._taken:
            raise Refusal(
                ErrorReason.ERROR_REASON_API_KEYS_OFF,
                "this server takes no API keys; start it with --auth api-key",
                option="--auth",
            )
        return access

    async def CreateApiKey(
        self, request: messages.CreateApiKeyRequest, context: Context
    ) -> messages.CreateApiKeyResponse:
        access = self._access()
        return await self._api_keys.create_api_key(access.tenant, access.credential.role, request)

    async def ListApiKeys(self, request: messages.ListApiKeysRequest, context: Context) -> messages.ListApiKeysResponse:
        access = self._access()
        return await self._api_keys.list_api_keys(access.tenant, access.credential.role, request)

    async def RotateApiKey(
        self, request: messages.RotateApiKeyRequest, context: Context
    ) -> messages.RotateApiKeyResponse:
        access = self._access()
        return await self._api_keys.rotate_api_key(access.tenant, access.credential.role, request)

    async def RevokeApiKey(
        self, request: messages.RevokeApiKeyRequest, context: Context
    ) -> messages.RevokeApiKeyResponse:
        access = self._access()
        return await self._api_keys.revoke_api_key(access.tenant, access.credential.role, request)
