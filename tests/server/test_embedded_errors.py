"""What a user is told when the embedded PostgreSQL cannot run, and that no right is given away to make it run."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from checkpointd.server import unprivileged
from checkpointd.server.embedded import EmbeddedPostgres, EmbeddedPostgresError
from checkpointd.server.unprivileged import Account, account_for, let_in
from tests.server.embedding import NOBODY, Owner, execute

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, or mount a small disk")


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory for data directories, which every user may write to."""
    with tempfile.TemporaryDirectory(prefix="checkpointd-test-") as directory:
        path = Path(directory)
        path.chmod(0o777)
        yield path


@pytest.fixture
def small_disk(parent: Path) -> Iterator[Path]:
    """A file system of 64 MiB, just enough for an empty database."""
    disk = parent / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", disk], check=False, capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mount.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def refusal(data_dir: Path) -> str:
    """What a start that has to fail says."""
    with pytest.raises(EmbeddedPostgresError) as caught:
        EmbeddedPostgres(data_dir).start()
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "data_dir", "named"),
    [
        ("file", "file", "file"),
        ("file", "file/data", "file"),
        ("data/postgres", "data", "data/postgres"),
        ("data/postgres/notes.txt", "data", "data/postgres"),
        ("data/checkpointd.lock/notes.txt", "data", "data/checkpointd.lock"),
    ],
)
def test_something_is_in_the_way(parent: Path, file: str, data_dir: str, named: str) -> None:
    (parent / file).parent.mkdir(parents=True, exist_ok=True)
    (parent / file).write_text("mine")
    said = refusal(parent / data_dir)
    assert f"cannot keep the embedded PostgreSQL in {parent / data_dir}: " in said
    assert f"({parent / named}" in said
    assert "--data-dir" in said
    assert "--database-url" in said
    assert (parent / file).read_text() == "mine"


def test_a_directory_that_cannot_be_written(parent: Path) -> None:
    parent.chmod(0o555)
    with Owner(parent / "data", user=NOBODY) as owner:
        said = owner.stop()
    parent.chmod(0o777)
    assert said.startswith(f"refused: cannot keep the embedded PostgreSQL in {parent}/data: Permission denied")


def test_data_of_another_version(parent: Path) -> None:
    old = EmbeddedPostgres(parent, major=16)
    old.start()
    execute(old.conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
    old.stop()
    said = refusal(parent)
    assert "was made by PostgreSQL 16, and this checkpointd carries 18" in said
    assert "docs/deployment.md" in said
    old.start()
    assert execute(old.conninfo, "SELECT answer FROM kept") == 42
    old.stop()


def test_the_wheel_is_missing(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'checkpointd[server]'" in refusal(parent)


def test_no_user_to_run_as(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(unprivileged, "_NAME", "nobody-has-this-name")
    monkeypatch.setenv("PATH", str(parent))
    said = refusal(parent / "data")
    assert "the system user 'nobody-has-this-name' could not be made (useradd: No such file or directory)" in said
    assert "run checkpointd as an ordinary user" in said


def test_broken_data_is_left_alone(parent: Path) -> None:
    server = EmbeddedPostgres(parent)
    server.start()
    server.stop()
    (parent / "postgres" / "global" / "pg_control").unlink()
    said = refusal(parent)
    assert "pg_control" in said
    assert str(parent / "postgres.log") in said
    assert (parent / "postgres" / "PG_VERSION").exists()
    assert "pg_control" in refusal(parent)  # the lock is free, or it would say so


@needs_root
def test_a_full_disk(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(50 << 20))
    assert "No space left on device" in refusal(small_disk / "data")
    assert [path.name for path in (small_disk / "data").iterdir()] == ["checkpointd.lock"]
    filler.unlink()

    server = EmbeddedPostgres(small_disk / "data")
    server.start()
    execute(server.conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    assert "No space left on device" in refusal(small_disk / "data")
    filler.unlink()
    server.start()
    assert execute(server.conninfo, "SELECT answer FROM kept") == 42
    server.stop()


@needs_root
def test_others_may_pass_through_and_no_more(parent: Path) -> None:
    outer = parent / "outer"
    (outer / "sibling").mkdir(parents=True, mode=0o700)
    outer.chmod(0o700)
    server = EmbeddedPostgres(outer / "data")
    server.start()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (parent, outer, *outer.iterdir())}
    inside = {path.name: path.stat().st_mode & 0o777 for path in (outer / "data").iterdir()}
    assert modes == {parent.name: 0o777, "outer": 0o701, "sibling": 0o700, "data": 0o711}
    assert inside["postgres"] == 0o700
    assert inside["checkpointd.lock"] == 0o600
    server.stop()


@needs_root
@pytest.mark.parametrize("name", ["data", "d" * 120])
def test_other_users_do_not_reach_the_socket(parent: Path, name: str) -> None:
    server = EmbeddedPostgres(parent / name)
    server.start()
    socket_file = Path(str(conninfo_to_dict(server.conninfo)["host"]), ".s.PGSQL.5432")
    attempt = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    )
    tried = subprocess.run([sys.executable, "-c", attempt, socket_file], check=False, capture_output=True, text=True)
    server.stop()
    assert "PermissionError" in tried.stderr


def test_what_is_readable_already_is_not_touched(tmp_path: Path) -> None:
    program = tmp_path / "programs" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o700)
    for part in ("lib", "share"):
        (tmp_path / "programs" / part).mkdir(mode=0o755)
    owner = program.stat()
    let_in(Account(owner.st_uid, owner.st_gid), tmp_path / "data", program.parent.parent)
    assert program.stat().st_mode & 0o777 == 0o700
    let_in(Account(owner.st_uid + 1, owner.st_gid), tmp_path / "data", program.parent.parent)
    assert program.stat().st_mode & 0o777 == 0o750
    let_in(Account(owner.st_uid + 1, owner.st_gid + 1), tmp_path / "data", program.parent.parent)
    assert program.stat().st_mode & 0o777 == 0o755


@needs_root
def test_the_owner_of_the_data_is_who_runs_it(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    os.chown(data, 12345, 54321)
    assert account_for(data) == Account(12345, 54321)
