"""The test build: the server with one promise switched off, so that the suite can show that it would notice.

`python -m tests.robustness.broken_server serve ...` is `checkpointd serve ...`; CHECKPOINTD_TEST_BREAK says what is
broken. The product has no such switch: what is replaced here are its functions and statements, and where they are not
found any more, this fails.
"""

import asyncio
import os
import sys
from dataclasses import replace

from checkpointd.engine import batch, committer
from checkpointd.engine.batch import Commit
from checkpointd.engine.prepared import ServingConnection
from checkpointd.engine.sql import STATEMENTS
from checkpointd.server import cli

SWITCH = "CHECKPOINTD_TEST_BREAK"

# Seconds between the two transactions of one commit: long enough for a kill to fall between them now and then.
_BETWEEN = 0.1


def drop_the_fence() -> None:
    """Nobody looks at preconditions: not at the head expected, nor at the lease."""
    assert callable(batch._condition)
    batch._condition = lambda *_: None


def drop_the_transaction() -> None:
    """The checkpoints of a commit are stored in one transaction and its writes in another."""
    whole = committer.store

    async def store(connection: ServingConnection, commits: list[Commit]) -> committer.Stored:
        # Of those without checkpoints, the writes are the first half.
        first = [replace(one, writes=[]) if one.checkpoints else one for one in commits]
        stored = await whole(connection, first)
        second = [
            replace(one, checkpoints=[], values=[], condition=None)
            for one in commits
            if one.checkpoints and one.writes and (one.tenant, one.thread_id) not in stored.refusals
        ]
        if second:
            await asyncio.sleep(_BETWEEN)
            await whole(connection, second)
        return stored

    committer.store = store


def drop_the_wait() -> None:
    """Commits are answered before they are on disk."""
    assert "synchronous_commit" in STATEMENTS["serving_session"]
    STATEMENTS["serving_session"] += ";\nSET synchronous_commit = off"


BREAKS = {"fence": drop_the_fence, "transaction": drop_the_transaction, "durability": drop_the_wait}


if __name__ == "__main__":
    BREAKS[os.environ.pop(SWITCH)]()
    sys.exit(cli.main())
