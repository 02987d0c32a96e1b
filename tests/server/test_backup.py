"""The backup that docs/deployment.md describes, made beside a running server and restored into another database."""

import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from checkpointd.client import Client, Credentials
from checkpointd.server import embedded
from tests.messages import checkpoint_put
from tests.postgres import TestPostgres
from tests.server.command import run
from tests.server_process import ServerProcess


def _program(name: str, database_url: str, *words: str) -> None:
    parts = {key: str(value) for key, value in conninfo_to_dict(database_url).items()}
    where = ["--host", parts["host"], "--port", parts["port"], "--username", parts["user"]]
    command = [str(embedded._binaries(18) / name), *where, "--dbname", parts["dbname"], *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_dumped_beside_a_server_can_be_restored(postgres: TestPostgres, tmp_path: Path) -> None:
    url, restored = postgres.create_database(), postgres.create_database()
    dump = str(tmp_path / "dump")
    key = run("admin-key", "--database-url", url).stdout.strip()
    with (
        ServerProcess(tmp_path / "log", "--database-url", url, "--auth", "api-key") as server,
        Client(server.address, credentials=Credentials(token=key)) as client,
    ):
        for turn in range(5):
            put = checkpoint_put(f"c{turn}", values={"x": f"{turn}" * 5000}, versions={"x": f"{turn}"})
            client.put_checkpoint(thread_id="t", checkpoint=put.checkpoint)
        client.update_thread(thread_id="t", set_labels={"a": "b"}, owner="ann")
        before = list(client.list_checkpoints(thread_id="t"))
        # With row-level security on, which an owner's dump must not be cut by.
        _program("pg_dump", url, "--schema", "checkpointd", "--format", "custom", "--file", dump)
    _program("pg_restore", restored, "--single-transaction", dump)
    with psycopg.connect(restored) as connection:
        assert connection.execute("SELECT count(*) FROM checkpointd.threads").fetchone() == (1,)
    assert run("verify", "--database-url", restored).returncode == 0
    with (
        ServerProcess(tmp_path / "log2", "--database-url", restored, "--auth", "api-key") as server,
        Client(server.address, credentials=Credentials(token=key)) as client,
    ):
        assert list(client.list_checkpoints(thread_id="t")) == before
        thread = client.get_thread(thread_id="t").thread
        assert (dict(thread.labels), thread.owner) == ({"a": "b"}, "ann")
    for name in (url, restored):
        postgres.drop_database(name)
