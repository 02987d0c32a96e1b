"""`checkpointd admin-key`: make an API key straight in the database, for when there is none yet that could make it."""

import asyncio
import signal
import sys
from pathlib import Path

from checkpointd.engine import Database, validate
from checkpointd.engine.api_keys import ApiKeys
from checkpointd.engine.errors import EngineError
from checkpointd.server.embedded import EmbeddedPostgresError
from checkpointd.server.existing import database
from checkpointd.v1.access_pb2 import Role
from checkpointd.v1.api_keys_pb2 import CreateApiKeyRequest


def run(database_url: str | None, data_dir: Path, tenant: str) -> int:
    """Make a key and print it; returns the exit code.

    Args:
        database_url: which one; "" is what libpq's variables say, None the embedded one in `data_dir`.
        data_dir: where the embedded one's data is.
        tenant: of whose administrator; "" for an operator's, which is of every tenant.
    """
    # A PostgreSQL that was started for this is to be stopped, however this ends.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if tenant:
            validate.tenant(tenant)
        with database(database_url, data_dir) as conninfo:
            secret = asyncio.run(_make(conninfo, tenant))
    except (EngineError, EmbeddedPostgresError) as error:
        sys.stderr.write(f"checkpointd: {error}\n")
        return 1
    sys.stdout.write(f"{secret}\n")
    sys.stderr.write("checkpointd: this is the only time that the key is shown\n")
    return 0


async def _make(conninfo: str, tenant: str) -> str:
    role = Role.ROLE_ADMIN if tenant else Role.ROLE_OPERATOR
    there = Database(conninfo, write_connections=1, read_connections=1)
    await there.open()
    try:
        request = CreateApiKeyRequest(name="made by checkpointd admin-key", role=role)
        return (await ApiKeys(there).create_api_key(tenant, role, request)).secret
    finally:
        await there.close()
