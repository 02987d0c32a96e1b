"""Citus: a PostgreSQL on many nodes. The tables of threads are distributed by the thread, and all that is of one thread
is on one node; what is small stays on the coordinator, to which servers connect.

Statements that Citus does not take as they are have another form in sql/citus; what can't be one statement there is
done here, in steps. A batch of commits is of one thread, so that it goes to one node. Watch is off: it orders events by
the numbers of one PostgreSQL's transactions.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from checkpointd.engine.errors import StartupError
from checkpointd.engine.migrations import migrating
from checkpointd.engine.prepared import ServingConnection
from checkpointd.engine.sql import STATEMENTS

_log = logging.getLogger(__name__)


async def set_up(connection: AsyncConnection) -> bool:
    """Distribute the tables that are not yet, if the database has the extension; returns whether it has.

    Raises:
        StartupError: the schema is older than the extension, so that other nodes don't know it.
    """
    if not await _is(connection, "is_citus"):
        return False
    async with migrating(connection):
        if await _is(connection, "is_distributed"):
            return True
        if not await _is(connection, "was_made_on_citus"):
            raise StartupError(
                "the database has the extension citus, and a schema of checkpointd that was made before it, which the "
                "other nodes don't know; make a database with the extension and all nodes, and restore the data into it"
            )
        _log.info("distributing the tables of threads over the nodes of Citus")
        for step in ("distribute_threads", "distribute_with_threads", "distribute_graphs"):
            await connection.execute(STATEMENTS[step].encode(), prepare=False)
    return True


async def carry_out_removal(
    connection: ServingConnection, parameters: Mapping[str, object], todo: Sequence[Any]
) -> None:
    """Remove the checkpoints that a statement of remove_checkpoints.sql has found, in the thread's transaction; `todo`
    is what it returned beyond its counts."""
    cursor = await connection.execute(connection.sql("draw_epoch"))
    ((epoch,),) = await cursor.fetchall()
    found = dict(zip(("going", "needed", "kept", "used"), map(Jsonb, todo), strict=True))
    for step in (
        "hide_needed",
        "cut_off_kept",
        "remove_going",
        "remove_writes_of_going",
        "remove_unused_values",
        "begin_epoch",
    ):
        await connection.execute(connection.sql(step), {**parameters, **found, "epoch": epoch})


async def copy_thread(connection: ServingConnection, parameters: Mapping[str, object]) -> tuple[bool, bool]:
    """Copy a thread, in the transaction that has the target's lock; returns what the statement copy_thread does."""
    source = await _row(connection, "source_of_copy", parameters)
    if source is None:
        return False, False
    found = await _row(connection, "places_of_copy", parameters)
    assert found is not None
    places, contents = found
    content = {"places": Jsonb(places), "contents": Jsonb(contents)}
    if await _row(connection, "target_has_own", {**parameters, **content}) == (True,):
        return True, True
    of_source = dict(zip(("seq", "graph_hash", "owner"), source, strict=True))
    for step in ("begin_copy", "copy_labels", "copy_checkpoints", "copy_values", "copy_writes"):
        await connection.execute(connection.sql(step), {**parameters, **of_source})
    return True, False


async def _row(connection: ServingConnection, statement: str, parameters: Mapping[str, object]) -> Any:
    cursor = await connection.execute(connection.sql(statement), parameters)
    return await cursor.fetchone()


async def _is(connection: AsyncConnection, question: str) -> bool:
    cursor = await connection.execute(STATEMENTS[question].encode())
    return await cursor.fetchone() == (True,)
