"""Databases on a Citus, for tests that are told of one: CHECKPOINTD_TEST_CITUS_URL is that of a database on its
coordinator, with the extension and all nodes."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

URL = os.environ.get("CHECKPOINTD_TEST_CITUS_URL", "")

_names = itertools.count(1)


@contextmanager
def citus_database() -> Iterator[str]:
    """A new database on all nodes; Citus makes one on the node that is asked only."""
    name = f"test_{os.getpid()}_{next(_names)}"
    with psycopg.connect(URL, autocommit=True) as connection:
        nodes = connection.execute("SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid DESC").fetchall()
    places = [make_conninfo(URL, host=host, port=port) for host, port in nodes]
    try:
        for place in places:
            _execute(place, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            _execute(make_conninfo(place, dbname=name), sql.SQL("CREATE EXTENSION citus"))
        coordinator = make_conninfo(places[-1], dbname=name)
        with psycopg.connect(coordinator, autocommit=True) as connection:
            connection.execute("SELECT citus_set_coordinator_host(%s, %s)", nodes[-1])
            for node in nodes[:-1]:
                connection.execute("SELECT citus_add_node(%s, %s)", node)
        yield coordinator
    finally:
        for place in reversed(places):
            _execute(place, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(conninfo: str, statement: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement)
