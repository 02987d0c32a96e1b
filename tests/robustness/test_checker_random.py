"""Right histories at random pass, and each fails once something in it is changed."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.robustness.checker import check
from tests.robustness.history import Call, Kind, Outcome, StoredCheckpoint, StoredNamespace, Write, Writers
from tests.robustness.simulation import Plan, Simulation

_SEEDS = st.integers(0, 1 << 32)
_WRITERS = st.sampled_from(Writers)

History = tuple[list[Call], list[StoredNamespace]]


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        Plan,
        seed=_SEEDS,
        writers=_WRITERS,
        calls=st.integers(0, 80),
        clients=st.integers(1, 10),
        namespaces=st.integers(1, 2),
        unknown=st.sampled_from([0.0, 0.1, 0.4]),
        deletes=st.sampled_from([0.0, 0.0, 0.03, 0.1]),
    )
)
def test_right(plan: Plan) -> None:
    verdict = check(*Simulation(plan).run())
    assert verdict.ok, str(verdict)


# Each changes one thing of a history in which nothing was deleted, and returns False where there is nothing to change.


def _pick(dice: random.Random, calls: list[Call], kind: Kind, outcome: Outcome) -> Call | None:
    found = [call for call in calls if call.kind is kind and call.outcome is outcome and (call.puts or call.head)]
    return dice.choice(found) if found else None


def lose_checkpoint(dice: random.Random, history: History) -> bool:
    """Of an acknowledged commit."""
    calls, finals = history
    call = _pick(dice, calls, Kind.COMMIT, Outcome.OK)
    if call is None or not call.puts:
        return False
    for final in finals:
        if final.checkpoint_ns == call.checkpoint_ns:
            final.checkpoints.remove(next(each for each in final.checkpoints if _is(each, call.puts[0].checkpoint_id)))
    return True


def lose_write(dice: random.Random, history: History) -> bool:
    """Of an acknowledged commit."""
    calls, finals = history
    writes = [write for call in calls if call.outcome is Outcome.OK for write in call.writes]
    if not writes:
        return False
    lost = dice.choice(writes)
    for final in finals:
        final.writes = [write for write in final.writes if write != lost]
    return True


def change_checkpoint(dice: random.Random, history: History) -> bool:
    """A byte of it."""
    return _change(dice, history[1], lambda each: replace(each, digest="another"))


def change_parent(dice: random.Random, history: History) -> bool:
    """To one that is not there."""
    return _change(dice, history[1], lambda each: replace(each, parent_id="another"))


def change_write(dice: random.Random, history: History) -> bool:
    """A byte of it."""
    writes = [(final, at) for final in history[1] for at in range(len(final.writes))]
    if not writes:
        return False
    final, at = dice.choice(writes)
    final.writes[at] = replace(final.writes[at], digest="another")
    return True


def store_refused(dice: random.Random, history: History) -> bool:
    """As if it had not been, and all of it."""
    calls, finals = history
    call = _pick(dice, calls, Kind.COMMIT, Outcome.REFUSED)
    if call is None or not call.puts:
        return False
    top = max((each.sequence for final in finals for each in final.checkpoints), default=0)
    for final in finals:
        if final.checkpoint_ns == call.checkpoint_ns:
            final.checkpoints += [
                StoredCheckpoint(put.checkpoint_id, put.parent_id, top + number, put.digest)
                for number, put in enumerate(call.puts, start=1)
            ]
            final.writes += call.writes
            final.head = call.puts[-1].checkpoint_id
    return True


def store_strange_row(dice: random.Random, history: History) -> bool:
    """Of nobody."""
    final = dice.choice(history[1])
    if not final.head:
        return False
    final.writes.append(Write(final.head, "strange", 0, "content"))
    return True


def move_head(dice: random.Random, history: History) -> bool:
    """Back to an earlier one."""
    final = dice.choice(history[1])
    if not final.head:
        return False
    final.head = dice.choice(["", *(each.checkpoint_id for each in final.checkpoints[:-1])])
    return True


def read_nothing(dice: random.Random, history: History) -> bool:
    """Where another read, of before, has found something."""
    reads = [call for call in history[0] if call.kind is Kind.READ and call.outcome is Outcome.OK]
    pairs = [
        second
        for first in reads
        for second in reads
        if first.head and first.end < second.start and first.checkpoint_ns == second.checkpoint_ns
    ]
    if not pairs:
        return False
    read = dice.choice(pairs)
    read.head = read.digest = ""
    return True


def read_other_bytes(dice: random.Random, history: History) -> bool:
    """Of the right head."""
    call = _pick(dice, history[0], Kind.READ, Outcome.OK)
    if call is None:
        return False
    call.digest = "another"
    return True


def read_ahead(dice: random.Random, history: History) -> bool:
    """A commit that has not begun."""
    reads = [call for call in history[0] if call.kind is Kind.READ and call.outcome is Outcome.OK]
    pairs = [
        (read, call)
        for read in reads
        for call in history[0]
        if call.puts and read.end < call.start and read.checkpoint_ns == call.checkpoint_ns
    ]
    if not pairs:
        return False
    read, call = dice.choice(pairs)
    read.head, read.digest = call.puts[-1].checkpoint_id, call.puts[-1].digest
    return True


def acknowledge_refused(dice: random.Random, history: History) -> bool:
    """Tell the client that it was stored."""
    call = _pick(dice, history[0], Kind.COMMIT, Outcome.REFUSED)
    if call is None or not call.puts:
        return False
    call.outcome = Outcome.OK
    return True


def refuse_stored(dice: random.Random, history: History) -> bool:
    """Tell the client that it was not."""
    call = _pick(dice, history[0], Kind.COMMIT, Outcome.OK)
    if call is None:
        return False
    call.outcome = Outcome.REFUSED
    return True


def give_token_again(dice: random.Random, history: History) -> bool:
    """To somebody else."""
    given = [call for call in history[0] if call.kind is Kind.ACQUIRE and call.outcome is Outcome.OK]
    if not given:
        return False
    history[0].append(replace(dice.choice(given), client="another", holder="another"))
    return True


def use_old_token(dice: random.Random, history: History) -> bool:
    """Let the last holder commit with a token of before."""
    acquired = {call.token: call for call in history[0] if call.kind is Kind.ACQUIRE and call.outcome is Outcome.OK}
    oldest = min(acquired, default=0)
    commits = [
        call
        for call in history[0]
        if call.puts and call.outcome is Outcome.OK and call.token > oldest and acquired[call.token].end < call.start
    ]
    if not commits:
        return False
    dice.choice(commits).token = oldest
    return True


def _is(each: StoredCheckpoint, checkpoint_id: str) -> bool:
    return each.checkpoint_id == checkpoint_id


def _change(
    dice: random.Random, finals: list[StoredNamespace], change: Callable[[StoredCheckpoint], StoredCheckpoint]
) -> bool:
    checkpoints = [(final, at) for final in finals for at in range(len(final.checkpoints))]
    if not checkpoints:
        return False
    final, at = dice.choice(checkpoints)
    final.checkpoints[at] = change(final.checkpoints[at])
    return True


SPOILERS = [
    lose_checkpoint,
    lose_write,
    change_checkpoint,
    change_parent,
    change_write,
    store_refused,
    store_strange_row,
    move_head,
    read_nothing,
    read_other_bytes,
    read_ahead,
    acknowledge_refused,
    refuse_stored,
    give_token_again,
    use_old_token,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_wrong(spoil: Callable[[random.Random, History], bool]) -> None:
    found = 0

    @settings(max_examples=150, deadline=None)
    @given(_SEEDS, _WRITERS, st.integers(1, 8))
    def spoiled(seed: int, writers: Writers, clients: int) -> None:
        nonlocal found
        history = Simulation(Plan(seed, writers, calls=80, clients=clients, namespaces=1 + seed % 2)).run()
        changed = spoil(random.Random(seed), history)
        if not changed:
            return
        found += 1
        verdict = check(*history)
        assert not verdict.ok

    spoiled()
    assert found > 5, "hardly a history has what is to be changed"


@pytest.mark.parametrize("writers", Writers)
def test_long_histories(writers: Writers) -> None:
    """Thousands of calls on one thread, dozens of them unknown: right, and wrong at the very end."""
    calls, finals = Simulation(Plan(1, writers, calls=5000, clients=8, unknown=0.01)).run()
    verdict = check(calls, finals)
    assert verdict.ok, str(verdict)
    assert verdict.unknown > 30
    calls.append(replace(calls[-1], kind=Kind.READ, outcome=Outcome.OK, head="", digest="", start=10**9, end=10**9))
    assert any(message.startswith("not linearizable") for message in check(calls, finals).wrong)
