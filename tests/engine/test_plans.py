"""PostgreSQL reads by the indexes that the statements are written for, also in a session that knew the tables small."""

import re
from collections.abc import AsyncIterator

import psycopg
import pytest

from checkpointd.engine import Database, Engine
from checkpointd.engine.sql import STATEMENTS

_PARAMETERS: dict[str, object] = {
    "tenant": "default",
    "thread_id": "t",
    "checkpoint_ns": "",
    "checkpoint_id": "",
    "size": 4,
    "below": 1 << 62,
    "before": "",
    "filter": "{}",
    "graph_hash": "",
    "graph_name": "",
    "known": [],
    "known_channels": [],
    "known_versions": [],
    "known_hashes": [],
    "known_encodings": [],
    "channels": ["c"],
    "run_ids": ["r"],
}

_CHECKPOINTS = """
INSERT INTO checkpointd.checkpoints (
    tenant, thread_id, checkpoint_ns, checkpoint_id, seq, channel_versions, metadata, body
)
SELECT 'default', 't', '', 'checkpoint' || number, number, '{}', '{}', ''
FROM generate_series(%s::int, %s::int) AS number
"""


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[psycopg.Connection]:
    """A session as those that serve are, which takes the primary key of checkpoints for as small as it was."""
    engine = Engine(Database(database_url))
    await engine.open()
    await engine.close()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE checkpointd.checkpoints SET (autovacuum_enabled = off)")
        connection.execute(STATEMENTS["serving_session"].encode())
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute(_CHECKPOINTS, (1, 9))
            _plan(connection, "page_of_thread")
            other.execute(_CHECKPOINTS, (10, 20000))
        # A session remembers how deep an index is until it walks through it again: it does so with one of the two here.
        assert "checkpoints_by_seq" in _plan(connection, "page_of_thread", analyze=True)
        yield connection


def _plan(connection: psycopg.Connection, statement: str, *, analyze: bool = False) -> str:
    """The plan of a statement, made once for all parameters."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", STATEMENTS[statement])))
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", STATEMENTS[statement])
    connection.execute(f"DEALLOCATE ALL; PREPARE {statement} AS {numbered}".encode())
    values = psycopg.sql.SQL(", ").join([psycopg.sql.Literal(_PARAMETERS[name]) for name in names])
    explain = psycopg.sql.SQL("EXPLAIN ({}) EXECUTE {}({})").format(
        psycopg.sql.SQL("ANALYZE" if analyze else "COSTS OFF"), psycopg.sql.Identifier(statement), values
    )
    return "\n".join(line for (line,) in connection.execute(explain))


@pytest.mark.parametrize(
    "statement", ["get_head", "state_of_head", "history_of_head", "namespace_ends", "list_namespace_full"]
)
def test_the_newest_of_a_namespace_are_read_in_their_order(session: psycopg.Connection, statement: str) -> None:
    plan = _plan(session, statement)
    assert "Index Scan Backward using checkpoints_by_seq" in plan, plan
    assert "Sort" not in plan, plan


def test_the_threads_of_runs_are_found_by_the_runs(session: psycopg.Connection) -> None:
    plan = _plan(session, "threads_of_runs")
    assert "checkpoints_by_run" in plan, plan
    assert "checkpoints_pkey" not in plan, plan
