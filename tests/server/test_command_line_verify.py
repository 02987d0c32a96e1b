"""`checkpointd verify`: what it says of a database, and that it only looks."""

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.engine.stored_kinds import GROWING, VERSIONS, filled_database
from tests.messages import put_checkpoint
from tests.postgres import TestPostgres
from tests.server.command import run
from tests.server.wire import invoke
from tests.server_process import COMMAND, ServerProcess, environment

_FLIP = "UPDATE checkpointd.channel_values SET data = set_byte(data, 0, 1) WHERE thread_id = 'plain' AND data <> ''"


@pytest.fixture(scope="module")
def filled(postgres: TestPostgres) -> Iterator[str]:
    with filled_database(postgres) as name:
        yield name


@pytest.fixture
def url(postgres: TestPostgres, filled: str) -> Iterator[str]:
    """A database with rows of all kinds, all as they were stored."""
    copied = postgres.create_database(filled)
    yield copied
    postgres.drop_database(copied)


@pytest.fixture
def execute(url: str) -> Callable[..., None]:
    """Runs a statement in the test's database; `{}` stands for the names given."""

    def run(statement: str, *names: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    return run


def _fails(*words: str, options: tuple[str, ...], **settings: str) -> None:
    """It ends with 2 and one line that has the words."""
    answer = run("verify", *options, **settings)
    assert answer.returncode == 2
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert line.startswith("checkpointd: ")
    for word in words:
        assert word in line


def test_a_healthy_database(url: str) -> None:
    answer = run("verify", "--database-url", url)
    assert (answer.returncode, answer.stderr) == (0, "")
    counts = dict(re.findall(r"^(\w[\w ]*?)  +([\d,]+)", answer.stdout, re.MULTILINE))
    assert counts["threads"] == "6"
    assert counts["checkpoints"] == str(3 * VERSIONS + 2 + 4)
    assert counts["writes"] == str(6 * VERSIONS + 4)
    assert counts["faults"] == "0"
    assert "2 used by no checkpoint" in answer.stdout


def test_the_variable_names_the_database(url: str) -> None:
    answer = run("verify", "--tenant", "b", "--thread", "plain", "--json", CHECKPOINTD_DATABASE_URL=url)
    assert answer.returncode == 0
    (line,) = answer.stdout.splitlines()
    assert json.loads(line)["threads"] == 1


def test_faults_are_told_a_line_each(url: str, execute: Callable[..., None]) -> None:
    execute(_FLIP)
    answer = run("verify", "--database-url", url)
    assert (answer.returncode, answer.stderr) == (1, "")
    faults = [line for line in answer.stdout.splitlines() if line.startswith("tenant")]
    assert faults == [
        f"tenant '{tenant}', thread 'plain', namespace '', channel 'y', version 'vc1': it is not what its hash says"
        for tenant in "ab"
    ]
    assert re.search(r"^faults +2$", answer.stdout, re.MULTILINE)


def test_faults_as_json(url: str, execute: Callable[..., None]) -> None:
    execute("UPDATE checkpointd.writes SET data = 'x' WHERE (tenant, checkpoint_id, idx) = ('b', 'c07', 0)")
    answer = run("verify", "--database-url", url, "--json")
    assert answer.returncode == 1
    fault, counts = map(json.loads, answer.stdout.splitlines())
    assert fault == {
        "tenant": "b",
        "thread_id": "long",
        "problem": "it is not what its hash says",
        "checkpoint_ns": "",
        "checkpoint_id": "c07",
        "task_id": "task",
        "idx": 0,
    }
    assert counts["faults"] == 1


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_hostile_ids_are_printed_safely(url: str, execute: Callable[..., None], encoding: str) -> None:
    execute("UPDATE checkpointd.channel_values SET data = 'x', channel = E'\\x1b[2J\\r\\n\\u202eé' WHERE channel = 'y'")
    for options in ((), ("--json",)):
        answer = run("verify", "--database-url", url, *options, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert answer.returncode == 1
        assert "\x1b" not in answer.stdout
        assert "\u202e" not in answer.stdout
        assert len([line for line in answer.stdout.splitlines() if "plain" in line]) == 2


def test_who_may_only_read(url: str, execute: Callable[..., None]) -> None:
    """Also where nothing can be written."""
    role = f"role_{conninfo_to_dict(url)['dbname']}"
    execute("CREATE ROLE {} LOGIN", role)
    try:
        reader = make_conninfo(url, user=role)
        _fails("permission denied", options=("--database-url", reader))
        execute("GRANT USAGE ON SCHEMA checkpointd TO {}", role)
        execute("GRANT SELECT ON ALL TABLES IN SCHEMA checkpointd TO {}", role)
        execute("ALTER ROLE {} SET default_transaction_read_only = on", role)
        assert run("verify", "--database-url", reader).returncode == 0
    finally:
        execute("DROP OWNED BY {}", role)
        execute("DROP ROLE {}", role)


def test_schemas_of_other_versions_stay_as_they_are(url: str, database_url: str, execute: Callable[..., None]) -> None:
    _fails("no schema of checkpointd", options=("--database-url", database_url))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regnamespace('checkpointd')").fetchone() == (None,)
    execute("INSERT INTO checkpointd.migrations (version, name) VALUES (1000, 'of the future')")
    _fails("schema version 1000", "the version that made it", options=("--database-url", url))
    execute("DELETE FROM checkpointd.migrations WHERE version > 4")
    _fails("schema version 4", "start its server", options=("--database-url", url))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT max(version) FROM checkpointd.migrations").fetchone() == (4,)


def test_databases_that_are_not_there(url: str, tmp_path: Path) -> None:
    _fails("does not exist", options=("--database-url", make_conninfo(url, dbname="nothing_there")))
    _fails("not a PostgreSQL URL", options=("--database-url", "postgresql://a:b@c@d/e"))
    _fails("there is no database in", options=("--data-dir", str(tmp_path)))
    _fails("there is no database in", options=("--data-dir", str(tmp_path / "nothing")))
    assert list(tmp_path.iterdir()) == []
    _fails("give one of them", options=("--data-dir", str(tmp_path), "--database-url", url))


def test_an_embedded_database(tmp_path: Path) -> None:
    """Beside its server, after it has stopped, and after it was killed; then a server starts on it again."""
    options = ("--data-dir", str(tmp_path / "data"))
    for ending in (ServerProcess.stop, ServerProcess.kill):
        with ServerProcess(tmp_path / "log", *options) as server:
            with grpc.insecure_channel(server.address) as channel:
                invoke(channel, "PutCheckpoint", put_checkpoint("t", "c", values={GROWING: b"x" * 5_000}))
            beside = run("verify", *options, "--json")
            ending(server)
        afterwards = run("verify", *options, "--json")
        for answer in (beside, afterwards):
            assert answer.returncode == 0, answer.stderr
            counts = json.loads(answer.stdout)
            assert (counts["threads"], counts["values"], counts["faults"]) == (1, 1, 0)
        assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_progress_on_a_terminal(url: str, execute: Callable[..., None]) -> None:
    """It is on the standard error, and gone before a fault is told and at the end."""
    # Many threads, so that it takes longer than the pause before the first report.
    execute(
        "INSERT INTO checkpointd.threads (tenant, thread_id, seq) SELECT 'many', number::text, 1 "
        "FROM generate_series(1, 3000) AS number"
    )
    terminal, side = pty.openpty()
    words = [*COMMAND, "verify", "--database-url", url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=side, env=environment(), text=True) as process:
        os.close(side)
        said = _all_of(terminal)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "threads" in output
    assert re.search(r"\r[\d,]+ of about 3,006 threads, [\d,]+ values, [\d.]+ [KM]iB, [\d.]+ [KM]iB/s", said)
    assert said.endswith("\r")


def _all_of(terminal: int) -> str:
    """What is said on a terminal until nobody has its other side any more."""
    said = b""
    while True:
        try:
            said += os.read(terminal, 1 << 16)
        except OSError:
            os.close(terminal)
            return said.decode()


def test_nobody_reads_what_it_says(url: str, execute: Callable[..., None]) -> None:
    execute("UPDATE checkpointd.channel_values SET hash = 1")
    words = [*COMMAND, "verify", "--database-url", url]
    reading, writing = os.pipe()
    os.close(reading)
    answer = subprocess.run(
        words, stdout=writing, stderr=subprocess.PIPE, env=environment(), text=True, timeout=60, check=False
    )
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (2, "")
