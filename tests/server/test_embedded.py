"""The life of the embedded PostgreSQL: starting, stopping, dying and coming back."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from checkpointd.server import embedded
from checkpointd.server.embedded import EmbeddedPostgres, EmbeddedPostgresError
from checkpointd.server.unprivileged import account_for
from tests.postgres import TestPostgres
from tests.server.embedding import NOBODY, Owner, execute
from tests.server_process import eventually


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory that does not exist yet; gone after the test, with the databases that pytest would keep."""
    with tempfile.TemporaryDirectory(prefix="checkpointd-test-") as parent:
        yield Path(parent) / "data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """Started; stopped after the test."""
    server = EmbeddedPostgres(data_dir)
    server.start()
    yield server
    server.stop()


def answers(server: EmbeddedPostgres) -> bool:
    try:
        return bool(execute(server.conninfo, "SELECT true"))
    except psycopg.OperationalError:
        return False


def test_data_is_found_again_at_the_next_start(server: EmbeddedPostgres) -> None:
    conninfo = server.conninfo
    execute(conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        execute(conninfo, "SELECT 1")
    server.start()
    assert server.conninfo == conninfo
    assert execute(conninfo, "SELECT answer FROM kept") == 42


def test_what_is_promised_about_its_settings(server: EmbeddedPostgres) -> None:
    def setting(name: str) -> object:
        return execute(server.conninfo, f"SHOW {name}")

    assert [setting(name) for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3
    assert setting("listen_addresses") == ""
    assert setting("server_encoding") == "UTF8"
    assert str(setting("server_version")).startswith("18.")


def test_the_environment_of_another_postgresql_changes_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGUSER": "eve", "LC_ALL": "xx_YY.none"}.items():
        monkeypatch.setenv(name, value)
    server = EmbeddedPostgres(data_dir)
    server.start()
    assert answers(server)
    server.stop()


def test_the_terminal_cannot_interrupt_it(server: EmbeddedPostgres) -> None:
    assert os.getsid(server.postmaster_pid) == server.postmaster_pid
    assert os.getpgid(server.postmaster_pid) != os.getpgid(0)


def test_a_second_owner_is_refused(server: EmbeddedPostgres, data_dir: Path) -> None:
    with pytest.raises(
        EmbeddedPostgresError, match=rf"{data_dir} is in use by another checkpointd \(pid {os.getpid()}\)"
    ):
        EmbeddedPostgres(data_dir).start()
    assert answers(server)


def test_takes_over_from_an_owner_that_was_killed(data_dir: Path) -> None:
    with Owner(data_dir) as other:
        mine = EmbeddedPostgres(data_dir)
        with pytest.raises(EmbeddedPostgresError, match=rf"in use by another checkpointd \(pid {other.process.pid}\)"):
            mine.start()
        execute(other.conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
        other.kill()
    assert psutil.pid_exists(other.postmaster_pid)
    mine.start()
    assert not psutil.pid_exists(other.postmaster_pid)
    assert execute(mine.conninfo, "SELECT answer FROM kept") == 42
    mine.stop()


def test_starts_over_a_backend_that_did_not_notice_the_end(server: EmbeddedPostgres, data_dir: Path) -> None:
    """A busy backend lives on when owner and postmaster are gone, and PostgreSQL refuses to start beside it."""
    with psycopg.connect(server.conninfo) as connection, ThreadPoolExecutor() as pool:
        busy = psutil.Process(connection.info.backend_pid)
        counting = pool.submit(connection.execute, "SELECT count(*) FROM generate_series(1, 1000000000000)")
        try:
            eventually("the backend is busy", lambda: busy.cpu_times().user > 0.1)
            os.kill(server.postmaster_pid, signal.SIGKILL)
            server.stop()
            assert busy.is_running()
            server.start()
            assert isinstance(counting.exception(30), psycopg.OperationalError)
            assert not busy.is_running()
        finally:
            if busy.is_running():
                busy.kill()
    assert answers(server)


def test_starts_when_the_old_pid_belongs_to_somebody_else_now(server: EmbeddedPostgres, data_dir: Path) -> None:
    """As in a container, where pids are few: PostgreSQL would take the other process for itself."""
    old = server.postmaster_pid
    pid_file = data_dir / "postgres" / "postmaster.pid"
    os.kill(old, signal.SIGKILL)
    server.stop()
    account = account_for(data_dir / "postgres")  # the one that PostgreSQL runs as
    command = [shutil.which("sleep") or "sleep", "600"]
    bystander = subprocess.Popen(command if account is None else account.running(command))
    try:
        eventually("it sleeps as that user", lambda: psutil.Process(bystander.pid).name() == "sleep")
        for stale in (pid_file, data_dir / "postgres" / ".s.PGSQL.5432.lock"):
            lines = stale.read_text().splitlines()
            assert lines[0] == str(old)
            stale.write_text("\n".join([str(bystander.pid), *lines[1:], ""]))
        server.start()
        assert bystander.poll() is None
        assert answers(server)
    finally:
        bystander.kill()
        bystander.wait()


def test_a_container_gives_the_same_pid_again(data_dir: Path) -> None:
    """What the one before wrote must not be taken for what this one says."""
    container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*container, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("cannot make a process namespace here, as a container has; root can")
    Owner(data_dir, within=container).stop()
    with Owner(data_dir, within=container) as killed:
        killed.kill()
    # Recovery takes a second, in which nothing is ready.
    (data_dir / "postgres" / "recovery.signal").touch()
    with (data_dir / "postgres" / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'sleep 1; false'\n")
    with Owner(data_dir, within=container) as owner:
        assert owner.postmaster_pid == killed.postmaster_pid
        assert execute(owner.conninfo, "SELECT true")


@pytest.mark.parametrize("name", ["with spaces, a 'quote' and \"two\"", "d" * 60 + "/" + "e" * 60, "ünïcödé \\ $HOME"])
def test_any_path_will_do(data_dir: Path, name: str) -> None:
    server = EmbeddedPostgres(data_dir / name)
    server.start()
    socket_dir = Path(str(psycopg.conninfo.conninfo_to_dict(server.conninfo)["host"]))
    assert (data_dir / name / "postgres" / "PG_VERSION").exists()
    assert answers(server)
    server.stop()
    assert socket_dir.parent != Path("/tmp") or not socket_dir.exists()


def test_a_relative_path_stays_where_it_was(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir.mkdir()
    monkeypatch.chdir(data_dir)
    server = EmbeddedPostgres(Path("here"))
    monkeypatch.chdir("/")
    server.start()
    server.stop()
    assert (data_dir / "here" / "postgres" / "PG_VERSION").exists()


def test_an_ordinary_user_can_run_it(data_dir: Path) -> None:
    data_dir.parent.chmod(0o777)
    with Owner(data_dir, user=NOBODY) as owner:
        assert owner.postmaster_pid, owner.stop()
        assert execute(owner.conninfo, "SELECT 6 * 7") == 42
        assert psutil.Process(owner.postmaster_pid).uids().real == data_dir.stat().st_uid != 0
        assert data_dir.stat().st_mode & 0o777 == 0o700


def test_an_interrupted_making_leaves_nothing(data_dir: Path) -> None:
    half_made = data_dir / "initdb-1"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(data_dir)
    server.start()
    assert not half_made.exists()
    server.stop()


def test_a_volume_that_was_opened_to_a_group_is_closed_again(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.stop()
    for path in (data_dir / "postgres").rglob("*"):
        path.chmod(path.stat().st_mode | 0o070)
    (data_dir / "postgres").chmod(0o2770)
    server.start()
    assert answers(server)
    assert (data_dir / "postgres").stat().st_mode & 0o777 == 0o700


def test_a_large_log_is_set_aside(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_LOG_LIMIT", 100)
    server.stop()
    server.start()
    assert "shut down" in server.log_file.with_name("postgres.log.1").read_text()
    assert "shut down" in server.log_file.read_text()


def test_supervision_heals_a_kill(server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture) -> None:
    execute(server.conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres = TestPostgres(server)
    with postgres.supervised():
        seen = {server.postmaster_pid}
        for _ in range(2):
            postgres.kill()
            eventually("another postmaster answers", lambda: server.postmaster_pid not in seen and answers(server))
            assert execute(server.conninfo, "SELECT answer FROM kept") == 42
            seen.add(server.postmaster_pid)
    assert "has died; starting it again" in caplog.text


def test_supervision_does_not_give_up(
    server: EmbeddedPostgres, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    control = data_dir / "postgres" / "global" / "pg_control"
    hidden = control.with_suffix(".hidden")
    postgres = TestPostgres(server)
    with postgres.supervised():
        control.rename(hidden)
        postgres.kill()
        eventually("a failed attempt", lambda: "trying again in" in caplog.text)
        hidden.rename(control)
        eventually("it answers", lambda: answers(server))
    assert 'pg_control"' in caplog.text


@pytest.fixture
def endless_recovery(server: EmbeddedPostgres, data_dir: Path) -> Path:
    """Kills `server`; its next recovery ends when this file appears, and not before (or in a minute, if all fails)."""
    go = data_dir / "go"
    pgdata = data_dir / "postgres"
    with (pgdata / "postgresql.auto.conf").open("a") as settings:
        wait = f'for i in $(seq 1200); do test -e "{go}" && break; sleep 0.05; done; false'
        settings.write(f"restore_command = '{wait}'\n")
    (pgdata / "recovery.signal").touch()
    os.kill(server.postmaster_pid, signal.SIGKILL)
    return go


def test_recovery_is_waited_for(
    server: EmbeddedPostgres,
    endless_recovery: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(embedded, "_PATIENCE", 0.1)
    server.stop()
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(server.start)
        eventually("two words of patience", lambda: caplog.text.count("waiting for PostgreSQL: ") >= 2)
        assert not starting.done()
        endless_recovery.touch()
        starting.result(60)
    assert answers(server)


def test_stopping_need_not_wait_for_recovery(server: EmbeddedPostgres, endless_recovery: Path) -> None:
    with TestPostgres(server).supervised():
        eventually("recovery has begun", lambda: "database system was interrupted" in server.log_file.read_text())
        server.stop()
    assert "database system is shut down" in server.log_file.read_text()
    assert not endless_recovery.exists()


def test_the_user_who_runs_it_is_the_one_who_made_it(data_dir: Path) -> None:
    """So that data made by an ordinary user still serves when root starts the server, and again afterwards."""
    data_dir.parent.chmod(0o777)
    for user in (NOBODY, None, NOBODY):
        with Owner(data_dir, user=user) as owner:
            assert owner.postmaster_pid, owner.stop()
    shutil.rmtree(data_dir)
