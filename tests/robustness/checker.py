"""Whether a history kept every promise: nothing acknowledged is lost, nothing is there that should not be, and all that
clients were told could have come from one server that does one thing at a time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.robustness.chains import check_chain, check_head, check_sequences
from tests.robustness.history import Call, Kind, Outcome, StoredNamespace, Writers
from tests.robustness.model import check_order
from tests.robustness.namespaces import Namespace, sort
from tests.robustness.rows import Rows
from tests.robustness.tokens import check_grants, check_stored


@dataclass(slots=True)
class Verdict:
    """What was found. Each message begins with the promise that was broken."""

    calls: int = 0
    acknowledged_ops: int = 0  # checkpoints, and tasks with their writes
    refused: int = 0
    unknown: int = 0
    threads: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.lost and not self.wrong

    def __str__(self) -> str:
        counts = (
            f"{self.calls} calls on {self.threads} threads: {self.acknowledged_ops} ops acknowledged, "
            f"{self.refused} calls refused, {self.unknown} unknown; {len(self.lost)} lost, {len(self.wrong)} wrong"
        )
        return "\n".join([counts, *self.lost, *self.wrong])


def check(calls: Iterable[Call], finals: Iterable[StoredNamespace]) -> Verdict:
    """Judge the calls of all clients, and what is there after the last of them.

    Threads must have been empty before, and all calls that wrote to them must be among the calls. A namespace that is
    not among `finals` is empty.
    """
    calls = list(calls)
    namespaces = sort(calls, finals)
    verdict = Verdict(
        calls=len(calls),
        acknowledged_ops=sum(call.ops for call in calls if call.kind is Kind.COMMIT and call.outcome is Outcome.OK),
        refused=sum(call.outcome is Outcome.REFUSED for call in calls),
        unknown=sum(call.outcome is Outcome.UNKNOWN for call in calls),
        threads=len({call.thread_id for call in calls} | {namespace.thread_id for namespace in namespaces}),
    )
    verdict.wrong += _mixed(calls)
    verdict.wrong += check_grants(calls)
    for namespace in namespaces:
        rows = Rows(namespace)
        verdict.lost += rows.lost()
        verdict.wrong += rows.wrong()
        verdict.wrong += check_head(namespace)
        verdict.wrong += check_chain(namespace)
        verdict.wrong += check_order(namespace)
    for thread in _threads(namespaces):
        verdict.wrong += check_sequences(thread)
        verdict.wrong += check_stored(thread)
    return verdict


def _threads(namespaces: list[Namespace]) -> Iterable[list[Namespace]]:
    of_thread: dict[str, list[Namespace]] = {}
    for namespace in namespaces:
        of_thread.setdefault(namespace.thread_id, []).append(namespace)
    return of_thread.values()


def _mixed(calls: list[Call]) -> Iterable[str]:
    """The writers of a thread must agree how they agree; otherwise nothing can be said of it."""
    writers: dict[str, set[Writers]] = {}
    for call in calls:
        writers.setdefault(call.thread_id, set()).add(call.writers)
    return [
        f"mixed writers: thread {thread_id!r}: {', '.join(sorted(kinds))}"
        for thread_id, kinds in writers.items()
        if len(kinds) > 1
    ]
