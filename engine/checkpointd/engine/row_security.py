"""Row-level security: a second line that keeps tenants apart, in PostgreSQL, should a statement forget its tenant."""

import logging
from typing import Literal

import psycopg
from psycopg import AsyncConnection

from checkpointd.engine.errors import StartupError
from checkpointd.engine.migrations import migrating
from checkpointd.engine.sql import STATEMENTS

_log = logging.getLogger(__name__)

RowSecurity = Literal["auto", "on", "off"]
"""auto: when the role that serves may set it up."""

EVERY_TENANT = "*"
"""What a connection works for that looks after all tenants. No tenant can be called so."""


async def set_up(connection: AsyncConnection, wanted: RowSecurity, *, on_citus: bool = False) -> bool:
    """See to it that the database has it; whether connections are to use it.

    Raises:
        StartupError: it is to be on, and the role may not set it up, or Citus would lose it on the way.
    """
    if wanted == "off":
        return False
    if on_citus:
        if wanted == "on":
            raise StartupError(
                "row-level security can't be had on Citus, whose other nodes are not told the tenant; "
                "start the server with --row-security off"
            )
        return False
    cursor = await connection.execute(STATEMENTS["may_secure_rows"].encode())
    if (await cursor.fetchone()) == (True,):
        try:
            async with migrating(connection):
                for step in ("make_tenant_role", "join_tenant_role", "let_tenant_role_in", "secure_rows"):
                    await connection.execute(STATEMENTS[step].encode())
            return True
        except psycopg.errors.InsufficientPrivilege as error:
            _log.debug("row-level security can't be set up: %s", error)
    problem = (
        f"the role {connection.info.user!r} may not set up row-level security: it has to own the tables of the schema "
        "'checkpointd' and to have CREATEROLE, or be granted the role checkpointd_tenant"
    )
    if wanted == "on":
        raise StartupError(f"{problem}; let it, or start the server with --row-security off")
    _log.warning("%s. Statements alone keep tenants apart", problem)
    return False
