"""API keys: the service `ApiKeys` of the contract, without the wire.

A key is `cpd_ID_SECRET`. Its secret has 160 random bits, so a plain hash proves it and can't be turned round.
"""

import hashlib
import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from checkpointd.engine import validate
from checkpointd.engine.database import Database
from checkpointd.engine.errors import ApiKeyNotFound, InvalidField
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.engine.sql import STATEMENTS
from checkpointd.v1.access_pb2 import Role
from checkpointd.v1.api_keys_pb2 import (
    ApiKey,
    CreateApiKeyRequest,
    CreateApiKeyResponse,
    ListApiKeysRequest,
    ListApiKeysResponse,
    RevokeApiKeyRequest,
    RevokeApiKeyResponse,
    RotateApiKeyRequest,
    RotateApiKeyResponse,
)

PREFIX = "cpd_"
"""What every key begins with, so that one that is found in the wrong place is known for what it is."""

FORGOTTEN = 30 * 24 * 3600.0
"""Seconds that a key is kept after it ended. The contract states it."""

_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_SECRET_LENGTH = 31

_NAME_BYTES = 255
_KEY_ID_BYTES = 64
_MOST_PREFIXES = 100
_MOST_LISTED = 1000
_LONGEST_TTL = 10 * 366 * 24 * 3600.0
_LONGEST_GRACE = 30 * 24 * 3600.0


class StoredKey(NamedTuple):
    """What is kept of a key."""

    tenant: str
    secret_hash: bytes
    name: str
    role: int
    thread_id_prefixes: Sequence[str]
    good_for: float | None
    """Seconds, from when it was read, until it ends; negative when it has, None for ever."""

    def has_secret(self, secret: str) -> bool:
        """Whether this is its secret. Takes as long for a wrong one as for a nearly right one."""
        return secrets.compare_digest(self.secret_hash, _hash(secret))


class ApiKeys:
    """The rpcs of the service, each as a method that takes the tenant, what the caller may at most, and the request."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_api_key(self, tenant: str, most: int, request: CreateApiKeyRequest) -> CreateApiKeyResponse:
        validate.text("name", request.name, _NAME_BYTES, 0)
        if request.role not in Role.values() or request.role == Role.ROLE_UNSPECIFIED:
            raise InvalidField("role", "is none of the contract's roles; say what the key is to allow")
        if request.role > most:
            raise InvalidField("role", "is more than the caller's own; make a key that allows no more than that")
        if len(request.thread_id_prefixes) > _MOST_PREFIXES:
            raise InvalidField("thread_id_prefixes", f"has more than {_MOST_PREFIXES} entries; use shorter prefixes")
        prefixes = validate.items("thread_id_prefixes", request.thread_id_prefixes, validate.THREAD_ID_BYTES)
        operator = request.role == Role.ROLE_OPERATOR
        if operator and prefixes:
            raise InvalidField("thread_id_prefixes", "is not for an operator's key, which is for all; leave it out")
        ttl = validate.seconds("ttl", request.ttl, 1, _LONGEST_TTL) if request.HasField("ttl") else None
        made = {"role": request.role, "name": request.name, "thread_id_prefixes": prefixes, "ttl": ttl}
        row, secret = await self._make("make_api_key", made | {"tenant": EVERY_TENANT if operator else tenant})
        return CreateApiKeyResponse(api_key=_api_key(row), secret=secret)

    async def list_api_keys(self, tenant: str, most: int, request: ListApiKeysRequest) -> ListApiKeysResponse:
        async with self._database.reading(EVERY_TENANT) as cursor:
            parameters = {"tenants": _tenants(tenant, most), "limit": _MOST_LISTED}
            await cursor.execute(STATEMENTS["list_api_keys"].encode(), parameters)
            return ListApiKeysResponse(api_keys=[_api_key(row) for row in await cursor.fetchall()])

    async def rotate_api_key(self, tenant: str, most: int, request: RotateApiKeyRequest) -> RotateApiKeyResponse:
        validate.text("key_id", request.key_id, _KEY_ID_BYTES)
        grace = validate.seconds("grace", request.grace, 0, _LONGEST_GRACE)
        named = {"old_key_id": request.key_id, "tenants": _tenants(tenant, most), "grace": grace}
        row, secret = await self._make("rotate_api_key", named)
        if row is None:
            raise ApiKeyNotFound(request.key_id)
        return RotateApiKeyResponse(api_key=_api_key(row), secret=secret)

    async def revoke_api_key(self, tenant: str, most: int, request: RevokeApiKeyRequest) -> RevokeApiKeyResponse:
        validate.text("key_id", request.key_id, _KEY_ID_BYTES)
        parameters = {"key_id": request.key_id, "tenants": _tenants(tenant, most)}
        if await self._changed("revoke_api_key", parameters) is None:
            raise ApiKeyNotFound(request.key_id)
        return RevokeApiKeyResponse()

    async def find(self, key_id: str) -> StoredKey | None:
        """What is kept of a key; None when there is none with this id. Raises EngineError."""
        async with self._database.reading(EVERY_TENANT) as cursor:
            await cursor.execute(STATEMENTS["find_api_key"].encode(), {"key_id": key_id}, prepare=True)
            row = await cursor.fetchone()
        return None if row is None else StoredKey(*row)

    async def _make(self, statement: str, parameters: Mapping[str, Any]) -> tuple[Any, str]:
        """The row of a new key, None if there is to be none, and the key itself."""
        key_id, secret = _random(_ID_LENGTH), _random(_SECRET_LENGTH)
        row = await self._changed(statement, {**parameters, "key_id": key_id, "secret_hash": _hash(secret)})
        return row, f"{PREFIX}{key_id}_{secret}"

    async def _changed(self, statement: str, parameters: Mapping[str, Any]) -> Any:
        async with self._database.changing(EVERY_TENANT) as connection:
            cursor = await connection.execute(STATEMENTS[statement].encode(), parameters)
            return await cursor.fetchone()


def _tenants(tenant: str, most: int) -> list[str]:
    return [tenant, EVERY_TENANT] if most >= Role.ROLE_OPERATOR else [tenant]


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _api_key(row: Any) -> ApiKey:
    key_id, name, role, prefixes, created_at, expires_at = row
    api_key = ApiKey(key_id=key_id, name=name, role=role, thread_id_prefixes=prefixes)
    api_key.created_at.FromDatetime(created_at)
    if expires_at is not None:
        api_key.expires_at.FromDatetime(expires_at)
    return api_key
