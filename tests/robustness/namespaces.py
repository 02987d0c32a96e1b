"""A history sorted by namespaces, and how its parts are named in messages."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.robustness.history import Call, Kind, Outcome, StoredNamespace, Writers

HEAD_MOVED = "HEAD_MOVED"


@dataclass(slots=True)
class Namespace:
    """All that is known of one namespace of a thread."""

    thread_id: str
    checkpoint_ns: str
    writers: Writers
    stored: StoredNamespace
    commits: list[Call] = field(default_factory=list)
    reads: list[Call] = field(default_factory=list)  # those that were answered
    deletes: list[Call] = field(default_factory=list)  # of the thread, those that may have happened
    leases: list[Call] = field(default_factory=list)  # of the thread: all that were asked of its lease

    @property
    def where(self) -> str:
        return f"thread {self.thread_id!r}, namespace {self.checkpoint_ns!r}"

    @property
    def asked(self) -> list[Call]:
        """The commits that happened or may have."""
        return [call for call in self.commits if call.outcome is not Outcome.REFUSED]


def sort(calls: list[Call], finals: Iterable[StoredNamespace]) -> list[Namespace]:
    """The namespaces that were written, read or found at the end, with what was asked of their threads as a whole."""
    stored = {(final.thread_id, final.checkpoint_ns): final for final in finals}
    writers = {thread_id: Writers.FORK for thread_id, _ in stored}
    writers |= {call.thread_id: call.writers for call in calls}
    keys = dict.fromkeys(stored)
    keys |= dict.fromkeys(
        (call.thread_id, call.checkpoint_ns) for call in calls if call.kind in {Kind.COMMIT, Kind.READ}
    )
    found = {
        (thread_id, ns): Namespace(
            thread_id,
            ns,
            writers[thread_id],
            stored.get((thread_id, ns)) or StoredNamespace(thread_id, ns, "", [], []),
        )
        for thread_id, ns in keys
    }
    of_thread: dict[str, list[Namespace]] = {}
    for namespace in found.values():
        of_thread.setdefault(namespace.thread_id, []).append(namespace)
    for call in calls:
        if call.kind is Kind.COMMIT:
            found[call.thread_id, call.checkpoint_ns].commits.append(call)
        elif call.kind is Kind.READ:
            if call.outcome is Outcome.OK:
                found[call.thread_id, call.checkpoint_ns].reads.append(call)
        else:
            for namespace in of_thread.get(call.thread_id, []):
                if call.kind is not Kind.DELETE:
                    namespace.leases.append(call)
                elif call.outcome is not Outcome.REFUSED:
                    namespace.deletes.append(call)
    for namespace in found.values():
        namespace.commits = [_doubted(call, namespace.deletes) for call in namespace.commits]
    return list(found.values())


def _doubted(call: Call, deletes: list[Call]) -> Call:
    """A refusal proves nothing when the thread was deleted meanwhile.

    An attempt that got no answer may have been stored and then deleted, so that the next one did not find itself there
    and was refused. The call counts as one of unknown outcome.
    """
    if call.outcome is not Outcome.REFUSED or not any(overlap(call, delete) for delete in deletes):
        return call
    return replace(call, outcome=Outcome.UNKNOWN)


def overlap(call: Call, delete: Call) -> bool:
    """Whether a deletion may have happened between a call's beginning and its end."""
    return delete.start <= call.end and may_follow(delete, call)


def ended_before(first: Call, second: Call) -> bool:
    """Whether the first call had taken effect before the second one began."""
    return first.outcome is not Outcome.UNKNOWN and first.end < second.start


def may_follow(second: Call, first: Call) -> bool:
    """Whether the second call may have taken effect after the first one did."""
    return second.outcome is Outcome.UNKNOWN or second.end >= first.start


def describe(call: Call) -> str:
    """A call as a person looks for it in the files of a run."""
    said: list[str] = []
    if call.expected_head is not None:
        said.append(f"expecting head {call.expected_head!r}")
    if call.token:
        said.append(f"token {call.token}")
    if len(call.puts) > 3:
        first, last = call.puts[0].checkpoint_id, call.puts[-1].checkpoint_id
        said.append(f"putting {len(call.puts)} checkpoints, {first!r} to {last!r}")
    elif call.puts:
        said.append("putting " + ", ".join(repr(put.checkpoint_id) for put in call.puts))
    if call.writes:
        said.append(f"writes: {len(call.writes)}, the first on {call.writes[0].checkpoint_id!r}")
    if call.kind is Kind.READ:
        said.append(f"found head {call.head!r}")
    elif call.outcome is Outcome.REFUSED:
        said.append(f"refused {call.reason}, head {call.head!r}")
    elif call.outcome is Outcome.UNKNOWN:
        said.append("outcome unknown")
    by = f"{call.client} as {call.holder}" if call.holder else call.client
    return f"{call.kind} of {by} [{call.start}..{call.end}] ({'; '.join(said) or call.outcome})"
