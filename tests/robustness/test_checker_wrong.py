"""Histories that are wrong on purpose: each is found, and for the reason it is wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.robustness.history import Kind, Outcome, Put, Write, Writers, digest
from tests.robustness.story import Story, fork, lease, refuse

# What makes a right history wrong; the table below says which history.


def lost_checkpoint(story: Story) -> None:
    del story.stored.checkpoints[0]


def lost_write(story: Story) -> None:
    del story.stored.writes[0]


def lost_last_commit(story: Story) -> None:
    story.commit("c4", "c3", store=False)


def lost_after_deletion(story: Story) -> None:
    story.delete()
    story.commit("d1", store=False)


def changed_checkpoint(story: Story) -> None:
    story.stored.checkpoints[1] = replace(story.stored.checkpoints[1], digest="another")


def changed_write(story: Story) -> None:
    story.stored.writes[1] = replace(story.stored.writes[1], digest="another")


def changed_parent(story: Story) -> None:
    story.stored.checkpoints[2] = replace(story.stored.checkpoints[2], parent_id="c1")


def stored_twice(story: Story) -> None:
    story.row("c3", "c2", digest(b"c3"))


def refused_put_stored(story: Story) -> None:
    story.store(story.refused("b4", "c2", head="c3"))


def refused_write_stored(story: Story) -> None:
    refused = story.refused("b4", "c2", head="c3")
    story.stored.writes += refused.writes


def refused_for_the_lease_and_stored(story: Story) -> None:
    story.store(story.refused("a4", "c3", head="c3", reason="LEASE_LOST", token=1))


def strange_checkpoint(story: Story) -> None:
    story.row("x", "c3", "content")


def strange_write(story: Story) -> None:
    story.stored.writes.append(Write("c3", "nobody", 0, "content"))


def half_of_an_unknown_commit(story: Story) -> None:
    call = story.unknown("c4", "c3", happened=False)
    story.stored.writes += call.writes


def other_half_of_an_unknown_commit(story: Story) -> None:
    story.unknown("c4", "c3", happened=True)
    story.stored.writes.pop()


def half_deleted(story: Story) -> None:
    story.delete(outcome=Outcome.UNKNOWN, happened=False)
    story.stored.writes.pop()


def orphan(story: Story) -> None:
    story.writes("never", "task", expected_head="never")


def orphan_of_an_acknowledged_checkpoint(story: Story) -> None:
    story.writes("c4", "task", expected_head="c3")  # as a graph's background sends it
    story.commit("c4", "c3", store=False)


def too_late_together(story: Story) -> None:
    story.commit("c4", "c3")
    story.writes("c3", "task", expected_head="c3")  # neither of them can be the other one's repeat
    story.writes("c3", "task", expected_head="c3", client="b", store=False)


def orphan_of_a_stored_checkpoint(story: Story) -> None:
    story.writes("c2", "task")
    del story.stored.checkpoints[1]


def head_of_another_commit(story: Story) -> None:
    story.stored.head = "c2"


def no_head(story: Story) -> None:
    story.stored.head = ""


def sequence_given_twice(story: Story) -> None:
    story.stored.checkpoints[1] = replace(story.stored.checkpoints[1], sequence=1)


def sequence_given_twice_in_a_thread(story: Story) -> None:
    other = Story(story.writers, ns="inner:1")
    other.commit("c1", at=(0, 1))
    story.calls += other.calls
    story.others.append(other.stored)


def two_beginnings(story: Story) -> None:
    story.commit("d1")


def two_children(story: Story) -> None:
    story.commit("b4", "c2", token=2)


def no_such_parent(story: Story) -> None:
    story.commit("c4", "x")


def no_beginning(story: Story) -> None:
    story.calls.clear()
    story.stored.checkpoints.clear()
    story.commit("c1", "c0")


def parent_after_child(story: Story) -> None:
    first, second, third = story.stored.checkpoints
    story.stored.checkpoints = [first, replace(second, sequence=3), replace(third, sequence=2)]


def lost_update(story: Story) -> None:
    story.commit("b4", "c3", at=(200, 300))
    story.commit("c4", "c3", at=(200, 300))


def stale_read(story: Story) -> None:
    story.read("c2")


def read_of_nothing(story: Story) -> None:
    story.read("")


def reads_that_go_backwards(story: Story) -> None:
    story.commit("c4", "c3", at=(200, 300))
    story.read("c4", at=(210, 220), client="b")
    story.read("c3", at=(230, 240), client="c")


def read_before_it_was_sent(story: Story) -> None:
    story.read("c4", client="b")
    story.unknown("c4", "c3", happened=True)


def read_of_a_middle_checkpoint(story: Story) -> None:
    call = story.commit("c4", "c3")
    call.puts.append(Put("c5", "c4", digest(b"c5")))
    story.row("c5", "c4", digest(b"c5"))
    story.stored.head = "c5"
    story.read("c4")


def seen_and_gone(story: Story) -> None:
    story.unknown("c4", "c3", happened=False)
    story.read("c4")


def refused_for_nothing(story: Story) -> None:
    story.refused("c4", "c3", head="c3")


def told_a_stale_head(story: Story) -> None:
    story.refused("c4", "c1", head="c2")


def order_against_time(story: Story) -> None:
    first, second, *others, last = story.stored.checkpoints
    story.stored.checkpoints = [first, replace(second, sequence=3), replace(others[0], sequence=2), last]


def deleted_and_read(story: Story) -> None:
    story.delete()
    story.read("c3")


def deletion_forgotten(story: Story) -> None:
    story.delete(happened=False)


def deletion_half_forgotten(story: Story) -> None:
    story.delete()
    story.commit("d1")
    story.stored.writes.append(story.calls[2].writes[0])


def misread(story: Story) -> None:
    story.read("c3", digest="another")


def read_of_a_refused_put(story: Story) -> None:
    story.read("b2")


def read_of_what_nobody_put(story: Story) -> None:
    story.read("x")


def stale_token_accepted(story: Story) -> None:
    story.commit("c4", "c3", token=1)


def stale_token_accepted_for_writes(story: Story) -> None:
    story.writes("c3", "late", token=1)


def stale_lease_renewed(story: Story) -> None:
    story.call(Kind.RENEW, token=1)


def released_and_used(story: Story) -> None:
    story.commit("c4", "c3", token=2, client="b")


def deleted_and_used(story: Story) -> None:
    story.acquire(3)
    story.delete()
    story.commit("d1", token=3)


def lease_expects_another_head(story: Story) -> None:
    story.acquire(3)
    story.commit("c4", "c3", token=3, expected_head="c2")


def token_given_twice(story: Story) -> None:
    story.acquire(2, "c")


def token_given_to_two_holders(story: Story) -> None:
    story.acquire(3, holder="h1")
    story.acquire(3, holder="h2")


def token_of_another_thread(story: Story) -> None:
    story.acquire(2, "b", thread_id="u")


def token_went_down(story: Story) -> None:
    story.acquire(5)
    story.acquire(4, "b")


def token_went_down_on_another_thread(story: Story) -> None:
    story.acquire(5)
    story.acquire(4, "b", thread_id="u")


def token_of_a_lost_answer_too_late(story: Story) -> None:
    story.acquire(0, "c", outcome=Outcome.UNKNOWN)
    story.acquire(5, "c")
    story.acquire(4, "c")


def mixed(story: Story) -> None:
    story.call(Kind.READ, writers=Writers.FORK, head="c3", digest=digest(b"c3"))


WRONG = [
    (refuse, lost_checkpoint, "lost checkpoint 'c1'"),
    (lease, lost_checkpoint, "lost checkpoint 'c1'"),
    (fork, lost_checkpoint, "lost checkpoint 'c1'"),
    (refuse, lost_write, "lost write 'task-c2'/0 of checkpoint 'c1'"),
    (refuse, lost_last_commit, "lost checkpoint 'c4'"),
    (refuse, lost_after_deletion, "lost checkpoint 'd1'"),
    (refuse, changed_checkpoint, "changed: {where}: checkpoint 'c2'"),
    (fork, changed_write, "changed: {where}: write 'task-b2'/0 of checkpoint 'c1'"),
    (lease, changed_parent, "changed: {where}: checkpoint 'c3'"),
    (fork, stored_twice, "stored twice: {where}: checkpoint 'c3'"),
    (refuse, refused_put_stored, "refused but stored: {where}: checkpoint 'b4'"),
    (refuse, refused_write_stored, "refused but stored: {where}: write 'task-b4'/0"),
    (lease, refused_for_the_lease_and_stored, "refused but stored: {where}: checkpoint 'a4'"),
    (refuse, strange_checkpoint, "a stranger's row: {where}: checkpoint 'x'"),
    (fork, strange_write, "a stranger's row: {where}: write 'nobody'/0"),
    (refuse, half_of_an_unknown_commit, "half a superstep: {where}: write 'task-c4'/0 of checkpoint 'c3' is stored"),
    (lease, other_half_of_an_unknown_commit, "half a superstep: {where}: checkpoint 'c4' is stored"),
    (fork, half_deleted, "half a superstep: {where}: checkpoint 'c3' is stored"),
    (refuse, orphan, "orphan: {where}: write 'task'/0 of checkpoint 'never'"),
    (refuse, orphan_of_an_acknowledged_checkpoint, "orphan: {where}: write 'task'/0 of checkpoint 'c4'"),
    (fork, orphan_of_a_stored_checkpoint, "orphan: {where}: write 'task'/0 of checkpoint 'c2'"),
    (refuse, head_of_another_commit, "wrong head: {where}: the head is 'c2'"),
    (fork, no_head, "wrong head: {where}: the head is ''"),
    (fork, sequence_given_twice, "sequence given twice: {where}: 1 to 'c1'"),
    (fork, sequence_given_twice_in_a_thread, "sequence given twice: thread 't', namespace 'inner:1': 1 to 'c1'"),
    (refuse, two_beginnings, "fork: {where}: 'c1' and 'd1' both have no parent"),
    (lease, two_children, "fork: {where}: 'c3' and 'b4' both have the parent 'c2'"),
    (lease, no_such_parent, "gap: {where}: 'c4' has the parent 'x'"),
    (refuse, no_beginning, "no beginning: {where}"),
    (refuse, parent_after_child, "parent after child: {where}: 'c3'"),
    (refuse, lost_update, "not linearizable: {where}: no place for commit of a [200..300] (expecting head 'c3'"),
    (refuse, stale_read, "not linearizable: {where}: no place for read"),
    (fork, stale_read, "not linearizable: {where}: no place for read"),
    (refuse, read_of_nothing, "not linearizable: {where}: no place for read"),
    (refuse, reads_that_go_backwards, "not linearizable: {where}: no place for read of c [230..240]"),
    (fork, reads_that_go_backwards, "not linearizable: {where}: no place for read of c [230..240]"),
    (refuse, read_before_it_was_sent, "not linearizable: {where}: no place for read of b"),
    (refuse, read_of_a_middle_checkpoint, "not linearizable: {where}: no place for read"),
    (fork, read_of_a_middle_checkpoint, "not linearizable: {where}: no place for read"),
    (refuse, seen_and_gone, "not linearizable: {where}: no place for read of the last reader"),
    (refuse, refused_for_nothing, "not linearizable: {where}: no place for commit"),
    (refuse, too_late_together, "not linearizable: {where}: no place for commit"),
    (refuse, told_a_stale_head, "not linearizable: {where}: no place for commit"),
    (fork, order_against_time, "not linearizable: {where}: no place for commit"),
    (refuse, deleted_and_read, "not linearizable: {where}: no place for read"),
    (lease, deletion_forgotten, "not linearizable: {where}: no place for read of the last reader"),
    (refuse, deletion_forgotten, "deleted but there: {where}: checkpoint 'c1'"),
    (fork, deletion_half_forgotten, "deleted but there: {where}: write 'task-b2'/0 of checkpoint 'c1'"),
    (refuse, misread, "misread: {where}: read of a"),
    (refuse, read_of_a_refused_put, "misread: {where}: read of a"),
    (fork, read_of_what_nobody_put, "misread: {where}: read of a"),
    (lease, stale_token_accepted, "not linearizable: {where}: no place for commit"),
    (lease, stale_token_accepted, "stale token stored: thread 't': 'c4'"),
    (lease, stale_token_accepted_for_writes, "not linearizable: {where}: no place for commit"),
    (lease, stale_lease_renewed, "not linearizable: {where}: no place for renew"),
    (lease, released_and_used, "not linearizable: {where}: no place for commit"),
    (lease, deleted_and_used, "not linearizable: {where}: no place for commit"),
    (lease, lease_expects_another_head, "not linearizable: {where}: no place for commit"),
    (lease, token_given_twice, "token given twice: 2 to acquire of b"),
    (lease, token_given_to_two_holders, "token given twice: 3 to acquire of a as h1"),
    (lease, token_of_another_thread, "token given twice: 2 to acquire of b"),
    (lease, token_went_down, "token went down: thread 't': acquire of b"),
    (lease, token_went_down, "not linearizable: {where}: no place for acquire of b"),
    (lease, token_went_down_on_another_thread, "token went down: thread 'u': acquire of b"),
    (lease, token_of_a_lost_answer_too_late, "not linearizable: {where}: no place for acquire of c"),
    (refuse, mixed, "mixed writers: thread 't': fork, refuse"),
]


@pytest.mark.parametrize(
    ("make", "spoil", "message"),
    WRONG,
    ids=[f"{make.__name__}-{spoil.__name__}-{message.split(':')[0]}" for make, spoil, message in WRONG],
)
def test_wrong(make: Callable[[], Story], spoil: Callable[[Story], None], message: str) -> None:
    story = make()
    spoil(story)
    verdict = story.check()
    found = verdict.lost if message.startswith("lost") else verdict.wrong
    message = message.replace("{where}", "thread 't', namespace ''")
    assert any(each.startswith(message) for each in found), str(verdict)
    assert not verdict.ok


def test_says_where_to_look() -> None:
    story = refuse()
    story.read("c2", client="late")
    (message,) = story.check().wrong
    assert message == (
        "not linearizable: thread 't', namespace '': no place for read of late [61..69] (found head 'c2'): "
        "before it ended, the head was 'c3', after 6 calls in order, of which the last changes were: "
        "commit of a [21..29] (expecting head 'c1'; putting 'c2'; writes: 1, the first on 'c1'); "
        "commit of b [31..39] (expecting head 'c1'; putting 'b2'; writes: 1, the first on 'c1'; "
        "refused HEAD_MOVED, head 'c2'); "
        "commit of b [41..49] (expecting head 'c2'; putting 'c3'; writes: 1, the first on 'c2')"
    )


def test_names_long_commits_briefly() -> None:
    story = Story(Writers.FORK)
    call = story.commit("c1", store=False)
    call.puts += [Put(f"c{number}", f"c{number - 1}", "content") for number in range(2, 10)]
    assert "putting 9 checkpoints, 'c1' to 'c9'" in story.check().lost[0]
