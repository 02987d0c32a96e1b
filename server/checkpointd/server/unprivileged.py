"""The system user that PostgreSQL runs as when checkpointd runs as root: PostgreSQL refuses to be root itself."""

import logging
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("checkpointd.server.unprivileged")

_NAME = "checkpointd"

# Becomes the account, for good, and then the program.
_STEP_DOWN = """
import os, sys
user, group, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.execv(command[0], command)
"""


class NoAccountError(Exception):
    """There is no system user for PostgreSQL and none can be made; the message says what to do."""


@dataclass(frozen=True)
class Account:
    """Who a process runs as. It has no supplementary groups."""

    uid: int
    gid: int

    def running(self, command: Sequence[str | os.PathLike[str]]) -> list[str]:
        """The command that runs this one, whose program is a path, as the account.

        Not by subprocess's own `user`: that makes it fork in the classic way, in which a thread of gRPC's that was busy
        at that moment leaves a child that crashes before it becomes the program.
        """
        interpreter = [sys.executable, "-I", "-S", "-c", _STEP_DOWN]
        return [*interpreter, str(self.uid), str(self.gid), *(os.fspath(word) for word in command)]


def account_for(data: Path) -> Account | None:
    """The user that PostgreSQL has to run as; None says the one that runs this program, who is not root.

    That is the owner of `data` if it is there, or else the system user `checkpointd`, made if it is missing.
    Raises NoAccountError.
    """
    if os.geteuid() != 0:
        return None
    if data.exists():
        owner = data.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    if (known := _look_up()) is not None:
        return known
    log.info("making the system user %s, since PostgreSQL does not run as root", _NAME)
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", _NAME]
    try:
        reason = subprocess.run(command, check=False, capture_output=True, text=True).stderr.strip()
    except OSError as error:
        reason = f"useradd: {error.strerror}"
    if (made := _look_up()) is not None:  # also when another checkpointd was faster
        return made
    raise NoAccountError(
        f"PostgreSQL does not run as root, and the system user {_NAME!r} could not be made ({reason}): "
        "make a user of that name, or run checkpointd as an ordinary user, or give a database with --database-url"
    )


def _look_up() -> Account | None:
    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def let_in(account: Account, data: Path, programs: Path) -> None:
    """Give the account the least it lacks: the way to `data` and `programs`, and reading the latter."""
    for directory in (*data.parents, *programs.parents):
        if _grant(account, directory, stat.S_IXOTH):
            log.warning("%s lets other users pass now, so that PostgreSQL's gets to its files", directory)
    for path in _programs_in(programs):
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        _grant(account, path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def _programs_in(root: Path) -> Iterator[Path]:
    yield root
    for part in ("bin", "lib", "share"):
        yield root / part
        yield from (root / part).rglob("*")


def _grant(account: Account, path: Path, wanted: int) -> bool:
    """Give the account the rights `wanted` (bits of "others") on `path`; True if it lacked one."""
    status = path.stat()
    if status.st_uid == account.uid:
        has, lent = status.st_mode >> 6, 6
    elif status.st_gid == account.gid:
        has, lent = status.st_mode >> 3, 3
    else:
        has, lent = status.st_mode, 0
    if has & wanted == wanted:
        return False
    path.chmod(stat.S_IMODE(status.st_mode) | wanted << lent)
    return True
