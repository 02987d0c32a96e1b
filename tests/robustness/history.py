"""What clients asked, what they were told, and what is there at the end: the input of the checker.

Times are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share and no test steps. Values are compared
by a digest of their bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What was asked."""

    COMMIT = "commit"  # any number of checkpoints and writes, all or nothing
    READ = "read"  # the head of a namespace
    DELETE = "delete"  # the thread
    ACQUIRE = "acquire"  # the thread's lease
    RENEW = "renew"
    RELEASE = "release"


class Outcome(StrEnum):
    """What the client was told."""

    OK = "ok"
    REFUSED = "refused"  # the server said no, and so nothing may have happened
    UNKNOWN = "unknown"  # no answer: it may have happened, at any time after the call began


class Writers(StrEnum):
    """How the writers of a thread agree, which decides what must hold of it."""

    FORK = "fork"  # not at all
    REFUSE = "refuse"  # every write expects a head
    LEASE = "lease"  # every write carries the token of a lease


@dataclass(frozen=True, slots=True)
class Put:
    """A checkpoint of a commit."""

    checkpoint_id: str
    parent_id: str  # "" for the first one
    digest: str


@dataclass(frozen=True, slots=True)
class Write:
    """A write of a commit."""

    checkpoint_id: str
    task_id: str
    idx: int
    digest: str


@dataclass(slots=True)
class Call:
    """One call of one client, with all the attempts that it took."""

    client: str
    kind: Kind
    thread_id: str
    checkpoint_ns: str
    start: int
    end: int
    outcome: Outcome
    writers: Writers
    expected_head: str | None = None  # COMMIT: the precondition; None: there was none
    token: int = 0  # COMMIT, RENEW, RELEASE: the token sent. ACQUIRE: the token given
    puts: list[Put] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    head: str = ""  # READ: the head found, "" for none. A COMMIT that was refused: the head it was told
    digest: str = ""  # READ: the digest of that head
    reason: str = ""  # of a refusal, or what is known of an unknown outcome
    holder: str = ""  # ACQUIRE: who takes the lease; "" if the client does so in its own name

    @property
    def ops(self) -> int:
        """How many ops the call consists of."""
        return max(1, len(self.puts) + len({(write.checkpoint_id, write.task_id) for write in self.writes}))


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint that is there at the end."""

    checkpoint_id: str
    parent_id: str
    sequence: int
    digest: str


@dataclass(slots=True)
class StoredNamespace:
    """A namespace of a thread at the end."""

    thread_id: str
    checkpoint_ns: str
    head: str  # as GetCheckpoint says; "" for none
    checkpoints: list[StoredCheckpoint]
    writes: list[Write]  # of all checkpoints, those that were never stored too


def digest(*parts: bytes) -> str:
    """A short name of bytes. Parts are kept apart."""
    sums = hashlib.blake2b(digest_size=12)
    for part in parts:
        sums.update(len(part).to_bytes(8, "big"))
        sums.update(part)
    return sums.hexdigest()


class Recorder:
    """Writes calls to a file, a JSON object a line, each at once: the process may be killed at any time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def add(self, call: Call) -> None:
        self._file.write(json.dumps(asdict(call), separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()


def read_calls(paths: Iterable[Path]) -> Iterator[Call]:
    """The calls of several files. A last line that was cut off by the end of its process is passed over."""
    for path in paths:
        with path.open() as lines:
            for line in lines:
                if not line.endswith("\n"):
                    continue
                raw = json.loads(line)
                raw["kind"], raw["outcome"], raw["writers"] = (
                    Kind(raw["kind"]),
                    Outcome(raw["outcome"]),
                    Writers(raw["writers"]),
                )
                raw["puts"] = [Put(**put) for put in raw["puts"]]
                raw["writes"] = [Write(**write) for write in raw["writes"]]
                yield Call(**raw)
