"""A database with rows of all kinds, for what reads all of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict

from checkpointd.engine import Database, Engine
from checkpointd.v1.threads_pb2 import CopyThreadRequest, PruneStrategy, PruneThreadsRequest
from tests.messages import put_checkpoint, put_writes
from tests.postgres import TestPostgres

GROWING = "messages"
"""A channel whose values are stored as changes, but for the first one."""

VERSIONS, IN_ROOT = 45, 36
"""How many of them there are, and how many in the root graph: more than steps follow each other before one skips."""


def grown(number: int) -> bytes:
    """The value of the growing channel in a checkpoint."""
    return b"".join(
        b"message %d of many, each a little longer than the one before it; " % one for one in range(number + 300)
    )


@contextmanager
def filled_database(postgres: TestPostgres) -> Iterator[str]:
    """The name of such a database, to be copied."""
    url = postgres.create_database()
    asyncio.run(_open_and_fill(url))
    yield str(conninfo_to_dict(url)["dbname"])
    postgres.drop_database(url)


async def _open_and_fill(url: str) -> None:
    engine = Engine(Database(url))
    await engine.open()
    await _fill(engine)
    await engine.close()


async def _fill(engine: Engine) -> None:
    """Threads of two tenants: `long`, its copy, `pruned`, with hidden checkpoints, and `plain`."""
    await _fill_long(engine, "a", "long")
    await engine.threads.copy_thread("a", CopyThreadRequest(source_thread_id="long", target_thread_id="copy"))
    await _fill_long(engine, "b", "long")
    await _fill_pruned(engine)
    for tenant in ("a", "b"):
        await engine.checkpoints.put_checkpoint(tenant, put_checkpoint("plain", "c1", values={"x": b"", "y": b"Y"}))
        await engine.checkpoints.put_checkpoint(tenant, put_checkpoint("plain", "c1", versions={"x": "vc1"}))


async def _fill_long(engine: Engine, tenant: str, thread_id: str) -> None:
    for number in range(VERSIONS):
        request = put_checkpoint(
            thread_id,
            f"c{number:02}",
            parent=f"c{number - 1:02}" if number else "",
            ns="" if number < IN_ROOT else "sub:graph",
            values={GROWING: grown(number), "step": str(number), "whole": bytes([number]) * 9_000},
            metadata={"step": number},
        )
        request.put.metadata.native.encoding = "msgpack"
        request.put.metadata.native.data = b"\x80"
        await engine.checkpoints.put_checkpoint(tenant, request)
        rows = [(0, "x", b"data"), (-1, "__error__", b"error")]
        writes = put_writes(thread_id, f"c{number:02}", "task", rows, ns="" if number < IN_ROOT else "sub:graph")
        await engine.checkpoints.put_writes(tenant, writes)


async def _fill_pruned(engine: Engine) -> None:
    for number in range(6):
        request = put_checkpoint(
            "pruned",
            f"c{number}",
            parent=f"c{number - 1}" if number else "",
            values={GROWING: grown(number)} | ({"log": b"seed"} if number == 2 else {}),
            versions={"log": f"v{number}"},
            metadata={} if number == 2 else {"counters_since_delta_snapshot": {"log": [1, 1]}},
        )
        await engine.checkpoints.put_checkpoint("a", request)
        await engine.checkpoints.put_writes("a", put_writes("pruned", f"c{number}", "task", [(0, "log", b"+")]))
    await engine.threads.prune_threads(
        "a", PruneThreadsRequest(thread_ids=["pruned"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST)
    )
