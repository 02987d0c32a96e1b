"""Fencing tokens only grow, over all threads, and each is one holder's."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.robustness.history import Call, Kind, Outcome
from tests.robustness.namespaces import Namespace, describe


@dataclass(slots=True)
class _Grant:
    """A token, and between which moments it was made."""

    token: int
    start: int
    end: int
    first: Call


def check_grants(calls: list[Call]) -> Iterator[str]:
    """No token goes to two holders or threads, and one that was given earlier is smaller."""
    acquires = sorted((call for call in calls if call.kind is Kind.ACQUIRE), key=lambda call: call.start)
    given: dict[int, list[Call]] = {}
    of_holder: dict[tuple[str, str], list[Call]] = {}
    for call in acquires:
        of_holder.setdefault(_holder(call), []).append(call)
        if call.outcome is Outcome.OK:
            given.setdefault(call.token, []).append(call)
    grants = []
    for token, same in given.items():
        first = same[0]
        for other in same[1:]:
            if _holder(other) != _holder(first):
                yield (
                    f"token given twice: {token} to {describe(first)} for thread {first.thread_id!r} "
                    f"and to {describe(other)} for thread {other.thread_id!r}"
                )
                break
        since = _since(first, of_holder[_holder(first)])
        grants.append(_Grant(token, since, min(call.end for call in same), first))
    yield from _backwards(grants)


def _holder(call: Call) -> tuple[str, str]:
    """Who holds a lease after a call, and of what."""
    return call.holder or call.client, call.thread_id


def _since(grant: Call, own: list[Call]) -> int:
    """When a token may have been made that `grant` was the first to tell.

    Who holds a lease is given its token again. So it may be the token that a call of the same holder made which got no
    answer; but not before the holder was given another one, for then that would have been told again.
    """
    earlier = [call for call in own if call.start < grant.start]
    unanswered = [call.start for call in earlier if call.outcome is Outcome.UNKNOWN]
    told = [call.start for call in earlier if call.outcome is Outcome.OK]
    return max([min(unanswered), *told]) if unanswered else grant.start


def _backwards(grants: list[_Grant]) -> Iterator[str]:
    """The grants in the order of time: each is compared with the greatest that was over when it began."""
    running: list[tuple[int, int, _Grant]] = []
    greatest: _Grant | None = None
    for grant in sorted(grants, key=lambda each: each.start):
        while running and running[0][0] < grant.start:
            over = heapq.heappop(running)[2]
            if greatest is None or over.token > greatest.token:
                greatest = over
        if greatest is not None and grant.token < greatest.token:
            yield (
                f"token went down: thread {grant.first.thread_id!r}: {describe(grant.first)} "
                f"came after {describe(greatest.first)} of thread {greatest.first.thread_id!r}"
            )
        heapq.heappush(running, (grant.end, grant.token, grant))


def check_stored(namespaces: list[Namespace]) -> Iterator[str]:
    """Along a thread's sequence, the tokens of the commits don't go down. Takes the namespaces of one thread."""
    line: list[tuple[int, str, Call]] = []
    for namespace in namespaces:
        putters = {put.checkpoint_id: call for call in namespace.asked for put in call.puts}
        for each in namespace.stored.checkpoints:
            call = putters.get(each.checkpoint_id)
            if call is not None and call.token:
                line.append((each.sequence, each.checkpoint_id, call))
    line.sort(key=lambda each: each[0])
    for (_, before, first), (_, after, second) in pairwise(line):
        if second.token < first.token:
            yield (
                f"stale token stored: thread {first.thread_id!r}: {after!r} ({describe(second)}) "
                f"is stored after {before!r} ({describe(first)})"
            )
