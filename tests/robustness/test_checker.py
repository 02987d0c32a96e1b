"""Right histories, told call by call, pass. Those that are wrong are in test_checker_wrong.py."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.robustness.checker import check
from tests.robustness.history import Kind, Outcome, Put, Write, Writers, digest
from tests.robustness.story import Story, fork, lease, refuse


def concurrent() -> Story:
    """All at once: what each was told tells who came first."""
    story = Story(Writers.REFUSE)
    story.commit("c1", at=(0, 100))
    story.commit("c2", "c1", at=(0, 100), client="b")
    story.refused("d1", at=(0, 100), client="c", head="c1")
    story.read("", at=(0, 100), client="d")
    story.read("c2", at=(0, 100), client="e")
    story.read("c1", at=(0, 100), client="f")
    return story


def unanswered() -> Story:
    """Calls without an answer: one that was stored at once, one much later, and two that never were."""
    story = Story(Writers.REFUSE)
    story.unknown("c1", happened=True)
    story.unknown("x1", happened=False, client="b")
    late = story.unknown("c2", "c1", happened=False)
    story.read("c1", client="b")
    story.read("c1")
    story.store(late)
    story.read("c2")
    story.refused("x2", "c1", head="c2", client="b")
    story.unknown("x3", "c2", happened=False)
    story.call(Kind.READ, outcome=Outcome.UNKNOWN)
    story.writes("c2", "task", outcome=Outcome.UNKNOWN, store=False)
    return story


def unknown_in_between() -> Story:
    """Commits of unknown outcome of which only what came after them tells."""
    story = Story(Writers.REFUSE)
    story.unknown("c1", happened=True)
    story.unknown("c2", "c1", happened=True)
    story.commit("c3", "c2", client="b")
    return story


def deleted() -> Story:
    """A thread that is deleted and begins anew, and one deletion that never got through."""
    story = refuse()
    story.delete()
    story.read("", client="b")
    story.refused("b4", "c3", head="", client="b")
    story.commit("d1")
    story.delete(outcome=Outcome.UNKNOWN, happened=False)
    story.commit("d2", "d1")
    return story


def deleted_unheard() -> Story:
    """A deletion whose answer was lost, which happened; and a commit beside it that went with it."""
    story = refuse()
    story.delete(outcome=Outcome.UNKNOWN)
    story.unknown("c4", "c3", happened=False, client="b")
    story.read("", client="b")
    story.commit("d1")
    return story


def deleted_under_a_retry() -> Story:
    """Stored, read, and deleted before the client, which had no answer, sent it again and was refused."""
    story = Story(Writers.REFUSE)
    story.commit("c1")
    story.refused("c2", "c1", at=(20, 60), head="")
    story.read("c2", at=(30, 35), client="b")
    story.delete(at=(40, 45), client="b")
    return story


def lease_unanswered() -> Story:
    """The lease of a lost answer is given again; one that was released in vain too; a thread deleted under a lease."""
    story = Story(Writers.LEASE)
    story.acquire(0, outcome=Outcome.UNKNOWN)  # which was given 1
    story.acquire(2, "b", thread_id="u")
    story.acquire(1)
    story.commit("c1", token=1)
    story.acquire(1)
    story.commit("c2", "c1", token=1)
    story.call(Kind.RELEASE, token=1, outcome=Outcome.UNKNOWN)
    story.commit("c3", "c2", token=1)
    story.acquire(4, "b")
    story.delete(client="b")
    story.refused("b1", reason="LEASE_LOST", head="", token=4, client="b")
    story.acquire(5, "b")
    story.commit("d1", token=5, client="b")
    return story


def lone_writes() -> Story:
    """Writes without a checkpoint, of writers that agree on nothing."""
    story = fork()
    story.writes("never", "task-1")
    story.writes("lost", "task-2", client="b")
    story.unknown("lost", "c3", happened=False, client="b")
    return story


def writes_before_their_checkpoint() -> Story:
    """As LangGraph's background sends them: what tasks wrote comes before the checkpoint that they started from."""
    story = refuse()
    story.writes("c4", "task-1", expected_head="c3")
    story.commit("c4", "c3")
    story.writes("d5", "task-2", expected_head="c4")
    story.commit("c5", "c4", client="b")
    story.refused("d5", "c4", head="c5")
    story.writes("c6", "task-3", expected_head="c5", client="b")
    story.unknown("c6", "c5", happened=False, client="b")
    story.writes("c7", "task-4", expected_head="c5", client="b")  # its put waited for c6 and was never sent
    return story


def written_again() -> Story:
    """A special write, of which the last one stays; and a task that ran twice and wrote something else."""
    story = refuse()
    for number, idx in ((1, -4), (2, -4), (1, 0), (2, 0)):
        write = Write("c3", "task", idx, digest(b"%d" % number))
        story.call(Kind.COMMIT, writes=[write], expected_head="c3")
        if number == (2 if idx < 0 else 1):
            story.stored.writes.append(write)
    return story


def resumed_twice() -> Story:
    """Two clients that both ran a task at the head: who comes too late is taken for the other one's repeat."""
    story = refuse()
    for outcome in (Outcome.UNKNOWN, Outcome.OK):
        story.writes("c3", "task", expected_head="c3", client="b", outcome=outcome, store=outcome is Outcome.OK)
        story.writes("c3", f"task {outcome}", expected_head="c3", client="b", outcome=outcome)
    story.commit("c4", "c3")
    story.writes("c3", "task", expected_head="c3", store=False)
    story.writes("c3", "task unknown", expected_head="c3", store=False)
    return story


def resumed_twice_by_leases() -> Story:
    """The same with two leases: nothing is known of who came first."""
    story = lease()
    story.acquire(3)
    story.writes("c3", "task", token=3)
    story.acquire(4, "b")
    story.writes("c3", "task", token=4, client="b", store=False)
    story.writes("c3", "task", token=3, store=False)
    return story


def several_supersteps() -> Story:
    """More than one checkpoint a call: nobody sees those in the middle as the head."""
    story = Story(Writers.REFUSE)
    story.commit("c1")
    call = story.commit("c2", "c1", store=False, outcome=Outcome.UNKNOWN)
    call.puts.append(Put("c3", "c2", digest(b"c3")))
    story.read("c1", client="b")
    story.store(call)
    story.read("c3", client="b")
    return story


def several_threads() -> Story:
    """Two namespaces under one lease, and a thread beside them."""
    story = lease()
    story.stored.checkpoints = [replace(each, sequence=10 * each.sequence) for each in story.stored.checkpoints]
    inner = Story(Writers.LEASE, ns="inner:1")
    inner.commit("c1", at=(15, 16), token=1)
    beside = Story(Writers.FORK, thread_id="u")
    beside.commit("c1")
    for other in (inner, beside):
        story.calls += other.calls
        story.others.append(other.stored)
    return story


def empty() -> Story:
    return Story(Writers.FORK)


RIGHT = [
    refuse,
    lease,
    fork,
    concurrent,
    unanswered,
    unknown_in_between,
    deleted,
    deleted_unheard,
    deleted_under_a_retry,
    lease_unanswered,
    lone_writes,
    writes_before_their_checkpoint,
    written_again,
    resumed_twice,
    resumed_twice_by_leases,
    several_supersteps,
    several_threads,
    empty,
]


@pytest.mark.parametrize("make", RIGHT, ids=lambda make: make.__name__)
def test_right(make: Callable[[], Story]) -> None:
    verdict = make().check()
    assert verdict.ok, str(verdict)


def test_counts() -> None:
    story = unanswered()
    story.commit("c3", "c2")
    verdict = story.check()
    assert (verdict.calls, verdict.refused, verdict.unknown, verdict.threads) == (11, 1, 6, 1)
    assert verdict.acknowledged_ops == 2
    assert "11 calls on 1 threads: 2 ops acknowledged, 1 calls refused, 6 unknown; 0 lost, 0 wrong" in str(verdict)


def test_a_namespace_that_is_not_there_is_empty() -> None:
    story = refuse()
    lost = [message.partition(":")[0] for message in check(story.calls, []).lost]
    assert lost == [
        "lost checkpoint 'c1'",
        "lost checkpoint 'c2'",
        "lost write 'task-c2'/0 of checkpoint 'c1'",
        "lost checkpoint 'c3'",
        "lost write 'task-c3'/0 of checkpoint 'c2'",
    ]
