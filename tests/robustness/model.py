"""A namespace as an object that does one thing at a time, and the calls that are to be put in order for it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from tests.robustness.history import Call, Kind, Outcome, Write
from tests.robustness.linearizability import Operation, Result, TooManyConfigurations, linearize
from tests.robustness.namespaces import HEAD_MOVED, Namespace, describe


class State(NamedTuple):
    """What decides the answer to a call."""

    head: str = ""
    token: int = 0  # of the lease acquired last; 0 once that was released, or the thread deleted
    newest: int = 0  # the greatest token of all


class Model:
    """What each answer says of the state.

    A lease also ends by itself, which nobody is told of. So an answer that a lease is lost says nothing; one that it
    was not does.
    """

    initial = State()

    def __init__(self, follows: dict[str, str]) -> None:
        self._follows = follows  # the head before each commit, by the commit's last checkpoint, where that is known

    def step(self, state: State, op: Call) -> tuple[State, ...]:
        return (_after(state, op),) if self._possible(state, op) else ()

    def observes(self, op: Call) -> bool:
        if op.kind is Kind.COMMIT:
            return op.outcome is Outcome.REFUSED or not op.puts
        return op.kind in {Kind.READ, Kind.RENEW}

    def _possible(self, state: State, op: Call) -> bool:
        match op.kind:
            case Kind.READ:
                return state.head == op.head
            case Kind.COMMIT if op.outcome is Outcome.REFUSED:
                return state.head == op.head != op.expected_head
            case Kind.COMMIT:
                before = self._follows.get(op.puts[-1].checkpoint_id) if op.puts else None
                return {op.expected_head, before} <= {None, state.head} and op.token in {0, state.token}
            case Kind.ACQUIRE:
                return op.token > state.newest or op.token == state.token != 0
            case Kind.RENEW:
                return op.token == state.token
        return True


def _after(state: State, op: Call) -> State:
    """The state after a call that is possible."""
    if op.kind is Kind.COMMIT and op.outcome is not Outcome.REFUSED and op.puts:
        return state._replace(head=op.puts[-1].checkpoint_id)
    if op.kind is Kind.DELETE:
        return state._replace(head="", token=0)
    if op.kind is Kind.ACQUIRE:
        return state._replace(token=op.token, newest=max(op.token, state.newest))
    # A release of a lease that has ended is no change.
    if op.kind is Kind.RELEASE and op.token == state.token:
        return state._replace(token=0)
    return state


def check_order(namespace: Namespace) -> Iterator[str]:
    """The answers about a namespace, and what is there at the end, are those of some order of the calls."""
    operations = list(_operations(namespace))
    try:
        result = linearize(Model(_follows(namespace, operations)), operations)
    except TooManyConfigurations as error:
        yield f"undecided: {namespace.where}: {error} of {len(operations)} calls"
        return
    if not result.ok:
        yield f"not linearizable: {namespace.where}: {_explain(result)}"


def _operations(namespace: Namespace) -> Iterator[Operation[Call]]:
    answered = list(_first_ones(namespace))
    answered += [call for call in namespace.commits if call.outcome is Outcome.REFUSED and call.reason == HEAD_MOVED]
    answered += namespace.reads
    final = _final_read(namespace)
    answered.append(final)
    taken, empty_seen = _happened(namespace, answered)
    for call in answered:
        yield Operation(call, call.start, call.end)
    for call, end in taken:
        yield Operation(call, call.start, end)
    for call in namespace.deletes:
        # One of unknown outcome is left out if nobody found the namespace empty after it: until the next commit nobody
        # looked, and nothing else that anybody was told depends on a thread's having gone.
        if call.outcome is Outcome.OK:
            yield Operation(call, call.start, call.end)
        elif call.start <= empty_seen:
            yield Operation(call, call.start, None)
    for call in namespace.leases:
        # Calls of unknown outcome are left out: they can only end leases, and whose lease has ended is refused more,
        # never less. Nobody uses a token that nobody was told.
        if call.outcome is Outcome.OK:
            yield Operation(call, call.start, call.end)


def _first_ones(namespace: Namespace) -> Iterator[Call]:
    """The acknowledged commits, without those that may be repeats.

    What is sent again with the same content is answered as before, whatever the head is now, and the server can't tell
    who sends it. So are the writes of a task that two clients run who both resume a graph at the same head. Of such
    calls the first one to be carried out met what they demand, at some time before the first of their answers.
    """
    sharing: dict[Write, list[Call]] = {}
    for call in namespace.asked:
        for write in call.writes:
            sharing.setdefault(write, []).append(call)
    told: set[int] = set()
    for call in namespace.commits:
        if call.outcome is not Outcome.OK or id(call) in told:
            continue
        if call.puts or any(len(sharing[write]) == 1 for write in call.writes) or not call.writes:
            yield call
            continue
        others = {id(other): other for write in call.writes for other in sharing[write]}.values()
        if all(_same_request(call, other) for other in others):
            told.update(map(id, others))
            start = min(other.start for other in others)
            yield replace(call, start=start, end=min(other.end for other in others if other.outcome is Outcome.OK))
        # Otherwise they may have demanded different things, and it is not known which of them was the first.


def _same_request(call: Call, other: Call) -> bool:
    def said(one: Call) -> tuple[object, ...]:
        return one.puts, one.writes, one.expected_head, one.token

    return said(call) == said(other)


def _final_read(namespace: Namespace) -> Call:
    """What is there at the end, as a read after all calls."""
    calls = [*namespace.commits, *namespace.reads, *namespace.deletes, *namespace.leases]
    end = max((max(call.start, call.end) for call in calls), default=0)
    stored = namespace.stored
    return Call(
        client="the last reader",
        kind=Kind.READ,
        thread_id=namespace.thread_id,
        checkpoint_ns=namespace.checkpoint_ns,
        start=end + 1,
        end=end + 2,
        outcome=Outcome.OK,
        writers=namespace.writers,
        head=stored.head,
    )


def _happened(namespace: Namespace, answered: list[Call]) -> tuple[list[tuple[Call, int]], int]:
    """The commits of unknown outcome that did happen, each with a moment before which it did; and the last moment at
    which somebody may have found the namespace empty (-1: nobody did).

    Ids are put by one call only. So a commit whose last checkpoint was the head for anybody happened, and before that
    answer was given; it counts as one that ended then. A commit that was the head for nobody is left out: in an order
    that has it, what comes after it until the next change of the head tells nothing of the head, and the next change
    does not demand one either, so the order without it is as good.
    """
    unknown = {
        call.puts[-1].checkpoint_id: call for call in namespace.commits if call.outcome is Outcome.UNKNOWN and call.puts
    }
    seen: dict[str, int] = {}  # the earliest end of a call that found the head
    empty_seen = -1
    todo = [(_found(call), call.end) for call in answered]
    while todo:
        head, end = todo.pop()
        if head is None:
            continue
        if not head:
            empty_seen = max(empty_seen, end)
        elif end < seen.get(head, end + 1):
            seen[head] = end
            if head in unknown:
                # What it expected was the head before it, and so earlier still.
                todo.append((unknown[head].expected_head, end))
    # One that was seen before it was asked for is wrong, and has no place after its beginning.
    return [(call, max(call.start, seen[head])) for head, call in unknown.items() if head in seen], empty_seen


def _found(call: Call) -> str | None:
    """The head that an answer tells of. None: it tells nothing."""
    if call.kind is Kind.READ or call.outcome is Outcome.REFUSED:
        return call.head
    return call.expected_head


def _follows(namespace: Namespace, operations: list[Operation[Call]]) -> dict[str, str]:
    """The head before each commit that demands none, as the sequences of what is stored say.

    Only where all that was committed is still there: then the sequence is the order of the commits. It makes the search
    short where many write at once and nothing else says who came first.
    """
    sequences = {each.checkpoint_id: each.sequence for each in namespace.stored.checkpoints}
    commits = [each.op for each in operations if each.op.kind is Kind.COMMIT and each.op.outcome is not Outcome.REFUSED]
    heads = [call.puts[-1].checkpoint_id for call in commits if call.puts]
    if namespace.deletes or any(head not in sequences for head in heads):
        return {}
    heads.sort(key=lambda head: sequences[head])
    return dict(zip(heads, ["", *heads], strict=False))


def _explain(result: Result[State, Call]) -> str:
    """Where the longest order ends, for a person."""
    due = describe(result.due) if result.due is not None else "nothing"
    state = result.state
    text = f"no place for {due}: before it ended, the head was {state.head!r}"
    if state.newest:
        text += f" and the lease's token {state.token}"
    last = [describe(call) for call in result.order if call.puts or call.kind is not Kind.READ][-3:]
    text += f", after {len(result.order)} calls in order, of which the last changes were: {'; '.join(last) or 'none'}"
    if result.blocked:
        text += f". No place there either for: {'; '.join(describe(call) for call in result.blocked[:4])}"
    return text
