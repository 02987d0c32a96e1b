"""`checkpointd verify`: check that everything in a database is as it was stored."""

import json
import os
import signal
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import psycopg

from checkpointd.engine.database import first_line
from checkpointd.engine.errors import StartupError
from checkpointd.engine.verify import Counts, Fault, Verification, connect
from checkpointd.server.embedded import EmbeddedPostgresError
from checkpointd.server.existing import database

_SOUND, _FAULTY, _FAILED = 0, 1, 2

# Seconds between two reports of the progress.
_PACE = 0.2


def run(database_url: str | None, data_dir: Path, tenant: str, thread_id: str, *, as_json: bool) -> int:
    """Verify the database and print what is wrong; returns the exit code.

    Args:
        database_url: which one; "" is what libpq's variables say, None the embedded one in `data_dir`.
        data_dir: where the embedded one's data is.
        tenant: whose threads only; "" for all.
        thread_id: which threads only; "" for all.
        as_json: print each fault, and at the end the counts, as a JSON object in a line.
    """
    # A PostgreSQL that was started for this is to be stopped, however this ends.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    for stream in (sys.stdout, sys.stderr):
        # An id's characters may be more than a terminal's; an escape is better than a traceback.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with database(database_url, data_dir) as conninfo, closing(connect(conninfo)) as connection:
            faults = _walk(Verification(connection, tenant, thread_id), as_json=as_json)
        sys.stdout.flush()
    except (StartupError, EmbeddedPostgresError) as error:
        return _failed(str(error))
    except psycopg.Error as error:
        return _failed(f"the database failed, and not all is verified: {first_line(error)}")
    except BrokenPipeError:
        # Nobody reads any more. What is left in the buffer must not be written at the end of the process either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return _FAULTY if faults else _SOUND


def _end(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _failed(problem: str) -> int:
    sys.stderr.write(f"checkpointd: {problem}\n")
    return _FAILED


def _walk(verification: Verification, *, as_json: bool) -> int:
    """Walk and print; returns the number of faults."""
    progress = _Progress(verification)
    verification.on_progress = progress.show
    for fault in verification.run():
        progress.clear()
        sys.stdout.write(f"{_as_json(fault) if as_json else _as_text(fault)}\n")
    progress.clear()
    counts = verification.counts
    sys.stdout.write(f"{json.dumps(asdict(counts))}\n" if as_json else _summary(counts))
    return counts.faults


class _Progress:
    """A line on the standard error that is written over, when that is a terminal."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification
        self._shown = sys.stderr.isatty()
        self._total = verification.total() if self._shown else None
        self._started = time.monotonic()
        self._last = self._started
        self._width = 0

    def show(self) -> None:
        """Say how far it is, if it was not just said."""
        now = time.monotonic()
        if not self._shown or now - self._last < _PACE:
            return
        self._last = now
        counts = self._verification.counts
        of_all = f" of about {max(self._total, counts.threads):,}" if self._total is not None else ""
        rate = counts.bytes / (now - self._started)
        text = f"{counts.threads:,}{of_all} threads, {counts.values:,} values, {_bytes(counts.bytes)}, {_bytes(rate)}/s"
        sys.stderr.write(f"\r{text:{self._width}}")
        sys.stderr.flush()
        self._width = len(text)

    def clear(self) -> None:
        """Make room for other lines."""
        if self._width:
            sys.stderr.write(f"\r{'':{self._width}}\r")
            sys.stderr.flush()
            self._width = 0


def _as_json(fault: Fault) -> str:
    return json.dumps({name: value for name, value in fault._asdict().items() if value is not None})


def _as_text(fault: Fault) -> str:
    """One line. Ids are quoted as Python does it, which leaves nothing in them that could steer a terminal."""
    place = [
        f"{name} {value!r}"
        for name, value in (
            ("tenant", fault.tenant),
            ("thread", fault.thread_id),
            ("namespace", fault.checkpoint_ns),
            ("channel", fault.channel),
            ("version", fault.version),
            ("checkpoint", fault.checkpoint_id),
            ("task", fault.task_id),
            ("idx", fault.idx),
        )
        if value is not None
    ]
    return f"{', '.join(place)}: {fault.problem}"


def _summary(counts: Counts) -> str:
    rows = [
        ("threads", counts.threads, ""),
        ("checkpoints", counts.checkpoints, f"{counts.hidden:,} kept for channel histories only"),
        ("values", counts.values, f"{counts.changes:,} stored as changes, {counts.unused:,} used by no checkpoint"),
        ("writes", counts.writes, ""),
        ("without a hash", counts.unhashed, "stored by an older version, not verifiable" if counts.unhashed else ""),
        ("faults", counts.faults, ""),
    ]
    lines = [f"{name:<16}{number:>14,}  {note}".rstrip() for name, number, note in rows]
    lines.insert(4, f"{'bytes':<16}{_bytes(counts.bytes):>14}")
    return "".join(f"{line}\n" for line in lines)


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
