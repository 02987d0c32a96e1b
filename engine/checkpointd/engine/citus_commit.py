"""A commit on Citus: of one thread, in steps that all go to the thread's node."""

from typing import Any

from checkpointd.engine.batch import Batch
from checkpointd.engine.errors import BaseGone
from checkpointd.engine.prepared import ServingConnection

_REPEATED = 5


async def store(connection: ServingConnection, batch: Batch) -> list[Any]:
    """Store a batch in the transaction that the connection is in; returns what the statement commit_checked does."""
    parameters = {**batch.parameters(), **batch.of_one()}
    conditions = batch.conditions()
    if conditions.count:
        parameters["conditions"] = conditions
        for step in ("lock_threads", "lock_leases"):
            await connection.execute(connection.sql(step), parameters, prepare=True)
        found = await _rows(connection, "check_condition", parameters)
        if found or not parameters["commits"]:
            await connection.execute(connection.sql("forget_empty"), parameters, prepare=True)
            return [row for row in found if row[0] != _REPEATED]
    ((*_, epoch),) = await _rows(connection, "lock_and_count", parameters)
    given = parameters["epoch"]
    if given is not None and (given != epoch or await _rows(connection, "missing_bases", parameters)):
        raise BaseGone
    rows: list[Any] = []
    if batch.has_checkpoints:
        for *_, checkpoint_ns, checkpoint_id, seq in await _rows(connection, "place_checkpoints", parameters):
            rows.append((0, 1, checkpoint_ns, checkpoint_id, "", seq, None))
        for checkpoint_ns, channel, version, large in await _rows(connection, "place_values", parameters):
            if large:
                rows.append((1, 1, checkpoint_ns, channel, version, epoch, None))
    if batch.has_writes:
        await connection.execute(connection.sql("place_writes"), parameters, prepare=True)
    return rows


async def _rows(connection: ServingConnection, statement: str, parameters: dict[str, Any]) -> list[Any]:
    cursor = await connection.execute(connection.sql(statement), parameters, prepare=True)
    return await cursor.fetchall()
