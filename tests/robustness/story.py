"""Small histories told call by call, with what is stored at the end; made to be right, and then made wrong."""

from typing import Any

from tests.robustness.checker import Verdict, check
from tests.robustness.history import (
    Call,
    Kind,
    Outcome,
    Put,
    StoredCheckpoint,
    StoredNamespace,
    Write,
    Writers,
    digest,
)


class Story:
    """One namespace of a thread. Each call begins after the one before has ended, unless `at` says when it was."""

    def __init__(self, writers: Writers, *, thread_id: str = "t", ns: str = "") -> None:
        self.writers = writers
        self.calls: list[Call] = []
        self.stored = StoredNamespace(thread_id, ns, "", [], [])
        self.others: list[StoredNamespace] = []  # what else is there at the end
        self._clock = 0
        self._sequence = 0

    def call(self, kind: Kind, client: str = "a", at: tuple[int, int] | None = None, **said: Any) -> Call:
        """Add a call. What it does to the store is up to who adds it."""
        start, end = at or (self._clock + 1, self._clock + 9)
        self._clock = max(self._clock, end + 1)
        about: dict[str, Any] = {
            "thread_id": self.stored.thread_id,
            "checkpoint_ns": self.stored.checkpoint_ns,
            "outcome": Outcome.OK,
            "writers": self.writers,
        }
        call = Call(client=client, kind=kind, start=start, end=end, **about | said)
        self.calls.append(call)
        return call

    def commit(self, name: str, on: str = "", *, store: bool = True, **said: Any) -> Call:
        """A superstep: a task's write on the checkpoint `on`, and the checkpoint that follows."""
        puts = [Put(name, on, digest(name.encode()))]
        writes = [Write(on, f"task-{name}", 0, digest(b"written", name.encode()))] if on else []
        if self.writers is Writers.REFUSE:
            said.setdefault("expected_head", on)
        call = self.call(Kind.COMMIT, puts=puts, writes=writes, **said)
        if store:
            self.store(call)
        return call

    def writes(self, on: str, task: str, *, store: bool = True, **said: Any) -> Call:
        """A task's write in a call of its own."""
        call = self.call(Kind.COMMIT, writes=[Write(on, task, 0, digest(task.encode()))], **said)
        if store:
            self.store(call)
        return call

    def unknown(self, name: str, on: str = "", *, happened: bool, **said: Any) -> Call:
        """A superstep that got no answer."""
        return self.commit(name, on, store=happened, outcome=Outcome.UNKNOWN, **said)

    def refused(self, name: str, on: str = "", *, head: str, reason: str = "HEAD_MOVED", **said: Any) -> Call:
        """A superstep that was refused."""
        return self.commit(name, on, store=False, outcome=Outcome.REFUSED, head=head, reason=reason, **said)

    def read(self, head: str, **said: Any) -> Call:
        """A read that found this head."""
        said.setdefault("digest", digest(head.encode()) if head else "")
        return self.call(Kind.READ, head=head, **said)

    def delete(self, *, happened: bool = True, **said: Any) -> Call:
        """A deletion of the thread."""
        call = self.call(Kind.DELETE, **said)
        if happened:
            for there in (self.stored, *self.others):
                there.head = ""
                there.checkpoints.clear()
                there.writes.clear()
        return call

    def acquire(self, token: int, client: str = "a", **said: Any) -> Call:
        """A lease that was given."""
        return self.call(Kind.ACQUIRE, client, token=token, **said)

    def store(self, call: Call) -> None:
        """Let a commit be there at the end."""
        for put in call.puts:
            self.row(put.checkpoint_id, put.parent_id, put.digest)
            self.stored.head = put.checkpoint_id
        self.stored.writes += call.writes

    def row(self, checkpoint_id: str, parent_id: str, content: str) -> None:
        """Let a checkpoint be there at the end, whoever put it."""
        self._sequence += 1
        self.stored.checkpoints.append(StoredCheckpoint(checkpoint_id, parent_id, self._sequence, content))

    def check(self) -> Verdict:
        """The checker's opinion."""
        return check(self.calls, [self.stored, *self.others])


def refuse() -> Story:
    """Two clients on a thread whose writers expect a head."""
    story = Story(Writers.REFUSE)
    story.read("", client="b")
    story.commit("c1")
    story.commit("c2", "c1")
    story.refused("b2", "c1", head="c2", client="b")
    story.commit("c3", "c2", client="b")
    story.read("c3")
    return story


def lease() -> Story:
    """Two clients that hold the lease of a thread one after the other."""
    story = Story(Writers.LEASE)
    story.acquire(1)
    story.commit("c1", token=1)
    story.call(Kind.RENEW, token=1)
    story.commit("c2", "c1", token=1, expected_head="c1")
    story.acquire(2, "b")  # a's has ended by itself
    story.refused("a3", "c2", head="c2", reason="LEASE_LOST", token=1)
    story.commit("c3", "c2", token=2, client="b")
    story.call(Kind.RELEASE, "b", token=2)
    story.read("c3")
    return story


def fork() -> Story:
    """Two clients that know nothing of each other."""
    story = Story(Writers.FORK)
    story.commit("c1")
    story.commit("c2", "c1")
    story.commit("b2", "c1", client="b")
    story.read("b2")
    story.commit("c3", "c2")
    story.read("c3", client="b")
    return story
