"""The calls that manage API keys, as those in `checkpointd.client.operations`. They need the role admin."""

from collections.abc import Iterable

from checkpointd.client import rpcs
from checkpointd.client.build import build, duration
from checkpointd.client.rpcs import Operation
from checkpointd.v1 import api_keys_pb2 as messages
from checkpointd.v1.access_pb2 import Role


def create_api_key(
    *, role: Role.ValueType, name: str = "", thread_id_prefixes: Iterable[str] = (), ttl: float | None = None
) -> Operation[messages.CreateApiKeyResponse]:
    """Make a key of the tenant, which is told this once; `ttl` is in seconds, None until it is revoked."""
    request = build(messages.CreateApiKeyRequest, role=role, name=name, thread_id_prefixes=thread_id_prefixes)
    if ttl is not None:
        request.ttl.CopyFrom(duration("ttl", ttl))
    return rpcs.CREATE_API_KEY.of(request)


def list_api_keys() -> Operation[list[messages.ApiKey]]:
    """The tenant's keys, without their secrets, also those that ended lately; the last one made first."""
    return rpcs.LIST_API_KEYS.of(messages.ListApiKeysRequest())


def rotate_api_key(*, key_id: str, grace: float = 0.0) -> Operation[messages.RotateApiKeyResponse]:
    """Make a key that allows what another one does, and let that one end after `grace` seconds.

    Raises NotFound when the tenant has no such key, or it has ended.
    """
    return rpcs.ROTATE_API_KEY.of(build(messages.RotateApiKeyRequest, key_id=key_id, grace=duration("grace", grace)))


def revoke_api_key(*, key_id: str) -> Operation[None]:
    """End a key. Raises NotFound when the tenant has no such key."""
    return rpcs.REVOKE_API_KEY.of(build(messages.RevokeApiKeyRequest, key_id=key_id))
