"""A database that lost its last commits under a running server: a failover to a standby that lagged, a restore."""

import random

import psycopg
import pytest

from checkpointd.changes import change, hash_of
from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import BaseMismatch, InvalidField
from checkpointd.v1.core_pb2 import Piece
from tests.engine.reading import TENANT, get, values
from tests.messages import put_checkpoint

_FIRST = random.Random(3).randbytes(10_000)
_SECOND = _FIRST + b"second" * 20
_THIRD = _SECOND + b"third" * 20


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize("damage", ["gone", "another"])
async def test_what_comes_next_is_made_of_what_is_there(engine: Engine, database_url: str, damage: str) -> None:
    """The server remembers a value, and the epoch in which it stored it. Both say nothing any more."""
    service = engine.checkpoints
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c1", values={"x": _FIRST}))
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c2", parent="c1", values={"x": _SECOND}))
    if damage == "gone":
        _execute(
            database_url,
            "DELETE FROM checkpointd.channel_values WHERE version = 'vc2'",
            "DELETE FROM checkpointd.checkpoints WHERE checkpoint_id = 'c2'",
            "UPDATE checkpointd.threads SET seq = 1",
        )
    else:  # somebody else has made it anew
        _execute(
            database_url,
            "UPDATE checkpointd.channel_values SET data = 'x', hash = 1, base_version = NULL, pieces = NULL"
            " WHERE version = 'vc2'",
        )
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c3", values={"x": _THIRD}))
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c4", parent="c3", values={"x": _THIRD + b"."}))
    fresh = Engine(Database(database_url))
    await fresh.open()
    try:
        for reader in (engine, fresh):
            for checkpoint_id, value in (("c1", _FIRST), ("c3", _THIRD), ("c4", _THIRD + b".")):
                assert values(await get(reader, "t", checkpoint_id))["x"] == value
    finally:
        await fresh.close()


async def test_what_all_changes_of_a_request_give_is_bounded(engine: Engine) -> None:
    """A small request must not become gigabytes here."""
    service, channels = engine.checkpoints, [f"x{number}" for number in range(12)]
    base = _FIRST * 7
    await service.put_checkpoint(TENANT, put_checkpoint("t", "c1", values=dict.fromkeys(channels, base)))
    request = put_checkpoint("t", "c2", versions=dict.fromkeys(channels, "w"))
    for channel in channels:
        said = request.put.channel_changes[channel]
        said.base_version, said.base_hash, said.encoding = "vc1", hash_of(base), "bytes"
        said.pieces.extend([Piece(offset=0, length=len(base))] * 900)  # 63 million bytes
    with pytest.raises(InvalidField, match="together"):
        await service.put_checkpoint(TENANT, request)


async def test_a_change_of_a_damaged_value_is_asked_for_whole(engine: Engine, database_url: str) -> None:
    await engine.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c1", values={"x": _FIRST}))
    _execute(database_url, "UPDATE checkpointd.channel_values SET data = data || 'x'")
    fresh = Engine(Database(database_url))
    await fresh.open()
    try:
        request = put_checkpoint("t", "c2", versions={"x": "w"})
        said = request.put.channel_changes["x"]
        said.base_version, said.base_hash, said.encoding = "vc1", hash_of(_FIRST), "bytes"
        said.hash = hash_of(_SECOND)
        said.pieces.extend(change(_FIRST, _SECOND) or [])
        with pytest.raises(BaseMismatch):
            await fresh.checkpoints.put_checkpoint(TENANT, request)
        await fresh.checkpoints.put_checkpoint(TENANT, put_checkpoint("t", "c2", values={"x": _SECOND}))
        assert values(await get(fresh, "t", "c2"))["x"] == _SECOND
    finally:
        await fresh.close()
