"""Right histories at random: clients of a store that does one thing at a time, whose calls overlap and whose answers
get lost. They are right because of how they are made, so the checker must pass them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a history is like."""

    seed: int
    writers: Writers
    calls: int
    clients: int = 3
    namespaces: int = 1
    unknown: float = 0.1  # of all calls
    deletes: float = 0.0


@dataclass(slots=True)
class _Client:
    name: str
    heads: dict[str, str] = field(default_factory=dict)  # the last head it knows of each namespace
    token: int = 0
    holder: str = ""  # in whose name it takes a lease
    call: Call | None = None  # the one it is in
    answer: Call | None = None  # what that will come to, once it has taken effect


class Simulation:
    """One thread of a store, and its clients."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._dice = random.Random(plan.seed)
        self._clock = 0
        self._ids = 0
        self._sequence = 0
        self._tokens = 0
        self._lease: tuple[str, int] | None = None  # holder and token
        self._clients = [_Client(f"client-{number}") for number in range(plan.clients)]
        self._in_flight: list[Call] = []  # what nobody waits for any more, and may still happen
        names = [f"ns-{number}" if number else "" for number in range(plan.namespaces)]
        self._stored = {ns: StoredNamespace("t", ns, "", [], []) for ns in names}
        self._calls: list[Call] = []

    def run(self) -> tuple[list[Call], list[StoredNamespace]]:
        """The calls, and what is there at the end."""
        begun = 0
        while begun < self._plan.calls or any(client.call for client in self._clients):
            self._clock += 1
            self._happen()
            client = self._dice.choice(self._clients)
            if client.call is None:
                if begun < self._plan.calls:
                    begun += 1
                    client.call = self._next(client)
            elif self._chance(self._plan.unknown / 2):
                self._lose_answer(client, client.call)
            elif client.answer is None:
                client.answer = self._apply(client.call)
            else:
                self._hear(client, client.answer)
        return self._calls, list(self._stored.values())

    def _chance(self, of_one: float) -> bool:
        return self._dice.random() < of_one

    def _happen(self) -> None:
        """What nobody waits for: late calls, and leases that end by themselves."""
        if self._in_flight and self._chance(0.1):
            late = self._in_flight.pop(self._dice.randrange(len(self._in_flight)))
            if self._chance(0.7):
                self._apply(late)
        if self._chance(0.01):
            self._lease = None

    def _lose_answer(self, client: _Client, call: Call) -> None:
        self._calls.append(replace(call, end=self._clock, outcome=Outcome.UNKNOWN))
        if client.answer is None:
            self._in_flight.append(call)
        client.call = client.answer = None
        client.heads.pop(call.checkpoint_ns, None)
        if call.kind is Kind.COMMIT:
            # It may still be stored under the lease, beside another commit of it that does not expect a head. So this
            # is the end of the lease's use, for ever: who takes it next has another name.
            client.token, client.holder = 0, ""

    def _hear(self, client: _Client, answer: Call) -> None:
        self._calls.append(replace(answer, end=self._clock))
        client.call = client.answer = None
        if answer.kind is Kind.ACQUIRE:
            client.token = answer.token if answer.outcome is Outcome.OK else 0
            client.heads.clear()
        elif answer.kind in {Kind.RELEASE, Kind.DELETE} or answer.reason == "LEASE_LOST":
            client.token, client.holder = 0, ""
        if answer.kind is Kind.READ or answer.reason == "HEAD_MOVED":
            client.heads[answer.checkpoint_ns] = answer.head
        elif answer.kind is Kind.COMMIT and answer.outcome is Outcome.OK and answer.puts:
            client.heads[answer.checkpoint_ns] = answer.puts[-1].checkpoint_id
        elif answer.kind is Kind.DELETE:
            client.heads.clear()

    # What clients ask.

    def _next(self, client: _Client) -> Call:
        ns = self._dice.choice(list(self._stored))
        if self._plan.writers is Writers.LEASE and (not client.token or self._chance(0.03)):
            client.holder = client.holder or self._name()
            return replace(self._call(client, Kind.ACQUIRE), holder=client.holder)
        if self._chance(self._plan.deletes):
            return self._call(client, Kind.DELETE)
        if self._plan.writers is Writers.LEASE and self._chance(0.1):
            kind = self._dice.choice([Kind.RENEW, Kind.RELEASE])
            return replace(self._call(client, kind, token=client.token), holder=client.holder)
        if ns not in client.heads or self._chance(0.3):
            return self._call(client, Kind.READ, ns)
        return self._commit(client, ns, client.heads[ns])

    def _commit(self, client: _Client, ns: str, head: str) -> Call:
        call = self._call(client, Kind.COMMIT, ns, token=client.token)
        if self._plan.writers is Writers.REFUSE or (self._plan.writers is Writers.LEASE and self._chance(0.5)):
            call.expected_head = head
        if self._plan.writers is Writers.FORK and self._chance(0.1):
            call.writes += self._writes(self._name())  # of a checkpoint that never comes
        elif head and self._chance(0.2):
            call.writes += self._writes(head)
        else:
            for _ in range(self._dice.randint(1, 3)):
                if head:
                    call.writes += self._writes(head)
                call.puts.append(Put(self._name(), head, digest(self._dice.randbytes(8))))
                head = call.puts[-1].checkpoint_id
        return call

    def _writes(self, checkpoint_id: str) -> list[Write]:
        task = self._name()
        return [
            Write(checkpoint_id, task, idx, digest(self._dice.randbytes(8))) for idx in range(self._dice.randint(1, 2))
        ]

    def _name(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def _call(self, client: _Client, kind: Kind, ns: str = "", token: int = 0) -> Call:
        return Call(client.name, kind, "t", ns, self._clock, 0, Outcome.OK, self._plan.writers, token=token)

    # What the store does.

    def _apply(self, call: Call) -> Call:
        """Carry out a call and return it with its answer."""
        todo: dict[Kind, Callable[[Call], Call]] = {
            Kind.COMMIT: self._store,
            Kind.READ: self._read,
            Kind.DELETE: self._delete,
            Kind.ACQUIRE: self._acquire,
            Kind.RENEW: self._renew,
            Kind.RELEASE: self._release,
        }
        return todo[call.kind](call)

    def _store(self, call: Call) -> Call:
        there = self._stored[call.checkpoint_ns]
        if call.token and (self._lease is None or self._lease[1] != call.token):
            return replace(call, outcome=Outcome.REFUSED, reason="LEASE_LOST", head=there.head)
        if call.expected_head not in {None, there.head}:
            return replace(call, outcome=Outcome.REFUSED, reason="HEAD_MOVED", head=there.head)
        for put in call.puts:
            self._sequence += 1
            there.checkpoints.append(StoredCheckpoint(put.checkpoint_id, put.parent_id, self._sequence, put.digest))
            there.head = put.checkpoint_id
        there.writes += call.writes
        return call

    def _read(self, call: Call) -> Call:
        there = self._stored[call.checkpoint_ns]
        return replace(call, head=there.head, digest=there.checkpoints[-1].digest if there.head else "")

    def _delete(self, call: Call) -> Call:
        self._lease = None
        for there in self._stored.values():
            there.head = ""
            there.checkpoints.clear()
            there.writes.clear()
        return call

    def _acquire(self, call: Call) -> Call:
        if self._lease is not None and self._lease[0] != call.holder:
            return replace(call, outcome=Outcome.REFUSED, reason="LEASE_HELD")
        if self._lease is None:
            self._tokens += 1
            self._lease = call.holder, self._tokens
        return replace(call, token=self._lease[1])

    def _renew(self, call: Call) -> Call:
        if self._lease != (call.holder, call.token):
            return replace(call, outcome=Outcome.REFUSED, reason="LEASE_LOST")
        return call

    def _release(self, call: Call) -> Call:
        if self._lease == (call.holder, call.token):
            self._lease = None
        return call
