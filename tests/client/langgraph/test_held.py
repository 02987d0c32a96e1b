"""What a process holds of large values: only so much, what was used last, and what is stored."""

import os
import subprocess
import sys
import threading

import pytest

from checkpointd.changes import hash_of
from checkpointd.client import InvalidRequest, ServerFault
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph.configs import Place
from checkpointd.client.langgraph.held import SMALLEST, Entry, Held
from checkpointd.v1.checkpoints_pb2 import GetCheckpointResponse

KIB = 1024


def entry(version: str = "1", size: int = 4 * KIB) -> Entry:
    data = os.urandom(size)
    return Entry(version, "msgpack", data, hash_of(data))


def test_the_last_value_of_a_channel_is_held() -> None:
    held = Held(KIB * KIB)
    first, second, other = entry("1"), entry("2"), entry("1")
    held.enter("t", "", {"a": first, "b": other})
    held.enter("t", "", {"a": second})
    assert held.get("t", "", "a") == second
    assert held.of("t", "") == {"a": second, "b": other}
    assert held.of("t", "sub:1") == {}
    assert held.get("u", "", "a") is None
    assert held.size == 8 * KIB


@pytest.mark.parametrize(("size", "is_held"), [(SMALLEST - 1, False), (SMALLEST, True), (16 * KIB, True)])
def test_small_and_huge_values_are_not_held(size: int, is_held: bool) -> None:
    held = Held(64 * KIB)
    held.enter("t", "", {"a": entry(size=size)})
    held.enter("t", "", {"b": entry(size=16 * KIB + 1)})
    assert list(held.of("t", "")) == ["a"] * is_held
    assert held.size == size * is_held


def test_a_value_that_became_too_large_is_forgotten() -> None:
    held = Held(64 * KIB)
    held.enter("t", "", {"a": entry("1")})
    held.enter("t", "", {"a": entry("2", 17 * KIB)})
    assert held.of("t", "") == {}
    assert held.size == 0


def test_what_was_used_longest_ago_goes_first() -> None:
    held = Held(64 * KIB)
    for number in range(4):
        held.enter(f"t{number}", "", {"a": entry(size=16 * KIB)})
    assert held.get("t0", "", "a")
    assert held.of("t1", "")
    held.enter("t4", "", {"a": entry(size=16 * KIB)})
    assert [number for number in range(5) if held.of(f"t{number}", "")] == [0, 1, 3, 4]
    assert held.size == 64 * KIB


def test_nothing_is_held_with_0() -> None:
    held = Held(0)
    held.enter("t", "", {"a": entry()})
    assert held.of("t", "") == {}
    assert not held.wants(bytes(KIB * KIB))


def test_no_more_is_named_than_a_request_takes() -> None:
    held = Held(64 * KIB * KIB)
    held.enter("t", "", {f"c{number}": entry() for number in range(1001)})
    named = held.of("t", "")
    assert len(named) == 1000
    assert "c1000" in named


def test_a_thread_is_forgotten() -> None:
    held = Held(KIB * KIB)
    for thread_id in ("t", "u"):
        held.enter(thread_id, "", {"a": entry(), "b": entry()})
        held.enter(thread_id, "sub:1", {"a": entry()})
    held.forget("t")
    held.forget("t")
    assert held.of("t", "") == held.of("t", "sub:1") == {}
    assert len(held.of("u", "")) == 2
    assert held.size == 12 * KIB


def test_a_value_that_nobody_was_told_of_can_not_be_left_out() -> None:
    answer = GetCheckpointResponse(held_channels=["a"])
    with pytest.raises(ServerFault, match="left out the value of channel 'a'"):
        Held(0).received(Place("t", "", ""), answer, {})


def test_many_threads_at_once() -> None:
    """The count stays right and within its bound."""
    held = Held(64 * KIB)
    over: list[int] = []

    def work(number: int) -> None:
        for step in range(300):
            held.enter(f"t{(number + step) % 7}", "", {"a": entry(), "b": entry()})
            held.get(f"t{step % 7}", "", "a")
            held.of(f"t{step % 5}", "")
            if step % 50 == 0:
                held.forget(f"t{step % 7}")
            if held.size > 64 * KIB + 8 * KIB:  # what one call may add before it removes
                over.append(held.size)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert over == []
    assert held.size == sum(len(one.data) for number in range(7) for one in held.of(f"t{number}", "").values())


def test_a_child_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    program = """
import os
from checkpointd.client.langgraph.held import Entry, Held
held = Held(1 << 20)
held.enter("t", "", {"a": Entry("1", "e", bytes(4096), 1)})
with held._lock:
    child = os.fork()
    if not child:
        assert held.of("t", "") == {}
        os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert held.of("t", "")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("bad", [-1, 1.5, "1", None])
def test_a_cache_of_no_size_is_refused(bad: object) -> None:
    with pytest.raises(InvalidRequest, match="value_cache is"):
        RemoteSaver(value_cache=bad)  # type: ignore[arg-type]
