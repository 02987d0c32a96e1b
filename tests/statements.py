"""What a database was asked to do, from PostgreSQL's own log."""

from pathlib import Path

import psycopg


class StatementLog:
    """The statements that connections made from now on execute in one database, in the order of the log."""

    def __init__(self, database_url: str, log_file: Path) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET log_statement = 'all'".encode())
        self._log_file = log_file
        self._seen = log_file.stat().st_size

    def take(self) -> list[str]:
        """The first line of each statement since the last call, but for the look at who hears of events, which comes
        at any time."""
        with self._log_file.open("rb") as log:
            log.seek(self._seen)
            lines = log.read().decode(errors="replace").splitlines()
            self._seen = log.tell()
        return [
            line.partition(marker)[2].partition(": ")[2]
            for line in lines
            for marker in ("LOG:  execute ", "LOG:  statement")
            if marker in line and "pg_locks" not in line
        ]
