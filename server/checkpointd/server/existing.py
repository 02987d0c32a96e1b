"""The embedded PostgreSQL of a data directory that exists, for a while: the one that runs, or one started for it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from checkpointd.server.embedded import EmbeddedPostgres, EmbeddedPostgresError


@contextmanager
def existing_postgres(data_dir: Path) -> Iterator[str]:
    """The libpq connection string of the database in a data directory. Nothing is made where there is none.

    When no server runs, PostgreSQL is started, and stopped at the end; a server that starts meanwhile is told that the
    directory is in use.

    Raises:
        EmbeddedPostgresError: there is no database, or its PostgreSQL can't run or be reached.
    """
    try:
        if not (data_dir / "postgres" / "PG_VERSION").exists():
            raise EmbeddedPostgresError(
                f"there is no database in {data_dir}: give the directory of a server with --data-dir "
                "(CHECKPOINTD_DATA_DIR), or a database with --database-url (CHECKPOINTD_DATABASE_URL)"
            )
        running = _running(data_dir)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"can't look into {data_dir}: {error.strerror}; run it as the server's user"
        ) from error
    if running is not None:
        yield running
        return
    postgres = EmbeddedPostgres(data_dir)
    try:
        postgres.start()
        yield postgres.conninfo
    finally:
        postgres.stop()


@contextmanager
def database(database_url: str | None, data_dir: Path) -> Iterator[str]:
    """The libpq connection string of what the options choose: the database given, or None: the one in a data directory.

    Raises:
        EmbeddedPostgresError: as existing_postgres.
    """
    if database_url is None:
        with existing_postgres(data_dir) as conninfo:
            yield conninfo
    else:
        yield database_url


def _running(data_dir: Path) -> str | None:
    """Where the PostgreSQL of a server that runs can be reached; None when no server does."""
    lock = data_dir / "checkpointd.lock"
    if not lock.exists():
        return None
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    # Its lines are: pid, data directory, start time, port, socket directory, ...
    lines = (data_dir / "postgres" / "postmaster.pid").read_text(errors="replace").splitlines()
    if len(lines) < 5:
        raise EmbeddedPostgresError(f"the server of {data_dir} is starting or stopping; try again")
    return make_conninfo(host=lines[4], port=lines[3], user="postgres", dbname="postgres")
