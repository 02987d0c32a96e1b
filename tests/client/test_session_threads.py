"""A session on a socket for threads: one of those that wait reads for all."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest

from checkpointd.client.session import ASK_ALONE
from checkpointd.client.session_threads import ThreadSession
from checkpointd.client.status import INTERRUPTED
from checkpointd.client.waiting import Outcome, WaitingThread
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from tests.client.socket_peer import Peer, get, pair, writes


class Use:
    """A session, the server's end of it, and threads that use it."""

    def __init__(self, session: ThreadSession, peer: Peer, pool: ThreadPoolExecutor) -> None:
        self.session, self.peer = session, peer
        self._pool = pool

    def get(self, checkpoint_id: str, seconds: float | None = 30) -> "Future[str | None]":
        """Ask in a thread. None when there was no answer in time."""
        return self._pool.submit(self._get, checkpoint_id, seconds)

    def _get(self, checkpoint_id: str, seconds: float | None) -> str | None:
        outcome = self.ask("get_checkpoint", get(checkpoint_id), seconds)
        if outcome is None:
            return None
        assert outcome.status is None, outcome.status
        found: str = outcome.response.checkpoint_tuple.checkpoint.id
        return found

    def ask(self, kind: str, request: bytes, seconds: float | None = 30) -> Outcome | None:
        """Ask in this thread."""
        waiting = WaitingThread(kind)
        number = self.session.send(waiting, request)
        assert number
        if not self.session.wait(waiting, seconds):
            assert self.session.drop(number)
        return waiting.outcome

    def op(self, checkpoint_id: str) -> checkpoints.SessionOp:
        """The op that has come, which must be this one."""
        op = self.peer.op()
        assert op.get_checkpoint.checkpoint_id == checkpoint_id
        return op


@pytest.fixture
def use() -> Iterator[Use]:
    with pair() as (carrier, peer), ThreadPoolExecutor(32) as pool:
        session = ThreadSession(carrier)
        yield Use(session, peer, pool)
        session.interrupt()


def test_a_thread_that_is_alone_has_nobody_beside_it(use: Use) -> None:
    before = threading.active_count()
    for number in range(3):
        found = use.get(f"{number}")
        use.peer.answer(use.op(f"{number}"))
        assert found.result() == f"{number}"
    assert threading.active_count() <= before + 3  # the pool's


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_answers_in_any_order(use: Use, order: tuple[int, ...]) -> None:
    found, ops = [], []
    for number in range(4):  # the first one reads
        found.append(use.get(f"{number}"))
        ops.append(use.op(f"{number}"))
    for place, number in enumerate(order):
        use.peer.answer(ops[number])
        assert found[number].result() == f"{number}"
        assert not any(found[later].done() for later in order[place + 1 :])


def test_answers_that_come_together(use: Use) -> None:
    found, ops = [], []
    for number in range(16):
        found.append(use.get(f"{number}"))
        ops.append(use.op(f"{number}"))
    use.peer.answer(*ops)
    assert [one.result() for one in found] == [f"{number}" for number in range(16)]


def test_when_the_one_who_reads_gives_up_another_goes_on(use: Use) -> None:
    late = use.get("late", 0.05)
    use.op("late")
    others = [(use.get(f"{number}"), use.op(f"{number}")) for number in range(3)]
    assert late.result() is None
    for number, (found, op) in enumerate(others):
        use.peer.answer(op)
        assert found.result() == f"{number}"


def test_an_answer_to_who_has_given_up_is_passed_over(use: Use) -> None:
    late = use.get("late", 0.05)
    op = use.op("late")
    assert late.result() is None
    use.peer.answer(op)
    found = use.get("next")
    use.peer.answer(use.op("next"))
    assert found.result() == "next"


def test_many_threads_at_once(use: Use) -> None:
    together = threading.Barrier(16)

    def ask(name: int) -> None:
        together.wait(30)
        for number in range(50):
            found = use._get(f"{name} {number}", 30)
            assert found == f"{name} {number}"

    with ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask, name) for name in range(16)]
        for _ in range(16 * 50):
            use.peer.answer(use.peer.op())
        for one in asking:
            one.result()
    assert sum(use.peer.messages) == 800


def test_a_server_that_goes_interrupts_all(use: Use) -> None:
    asking = [use._pool.submit(use.ask, "get_checkpoint", get(f"{number}")) for number in range(4)]
    for _ in asking:
        use.peer.op()
    use.peer.raw.close()
    assert [one.result() for one in asking] == [Outcome(None, INTERRUPTED)] * 4
    assert use.session.ended
    assert use.session.send(WaitingThread("get_checkpoint"), get("later")) == 0


def test_one_that_has_gone_while_nobody_waited(use: Use) -> None:
    use.peer.raw.close()
    assert use.ask("get_checkpoint", get("x")) == Outcome(None, INTERRUPTED)


@pytest.mark.parametrize(
    ("code", "asks_alone"), [(grpc.StatusCode.UNAVAILABLE, False), (grpc.StatusCode.INVALID_ARGUMENT, True)]
)
def test_a_server_that_ends_it_says_why(use: Use, code: grpc.StatusCode, asks_alone: bool) -> None:
    asking = use._pool.submit(use.ask, "get_checkpoint", get("x"))
    use.peer.op()
    use.peer.end(code.value[0], "SERVER_STOPPING")
    outcome = asking.result()
    assert outcome is not None
    assert outcome.status is not None
    assert (outcome.status is ASK_ALONE) == asks_alone
    if not asks_alone:
        assert (outcome.status.code, outcome.status.reason) == (code, "SERVER_STOPPING")
    assert use.peer.has_ended()


def test_bytes_that_are_no_response(use: Use) -> None:
    asking = use._pool.submit(use.ask, "get_checkpoint", get("x"))
    use.peer.op()
    use.peer.raw.sendall(b"\0\0\0\3\xff\xff\xff")
    assert asking.result() == Outcome(None, INTERRUPTED)


def test_closing_wakes_who_reads_and_who_waits(use: Use) -> None:
    asking = [use._pool.submit(use.ask, "get_checkpoint", get(f"{number}"), None) for number in range(3)]
    for _ in asking:
        use.peer.op()
    use.session.interrupt()
    assert [one.result() for one in asking] == [Outcome(None, INTERRUPTED)] * 3
    assert use.peer.has_ended()


def test_who_is_broken_off_while_it_reads_ends_the_session(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C would: what was read by then may be lost, and the others must not wait for it."""
    broken_off = threading.Event()
    receive = use.session._receive

    def interrupted() -> None:
        if not broken_off.is_set():
            broken_off.set()
            raise KeyboardInterrupt
        receive()

    monkeypatch.setattr(use.session, "_receive", interrupted)
    first = use._pool.submit(use.ask, "get_checkpoint", get("first"))
    op = use.op("first")
    second = use._pool.submit(use.ask, "get_checkpoint", get("second"))
    use.op("second")
    use.peer.answer(op)
    # Whichever of them read.
    ends = [asked.exception() or asked.result() for asked in (first, second)]
    assert sorted(type(end).__name__ for end in ends) == ["KeyboardInterrupt", "Outcome"]
    assert Outcome(None, INTERRUPTED) in ends


def test_what_the_server_does_not_read_yet_waits(use: Use) -> None:
    """Much more than the buffers between take; and answers are read meanwhile."""
    asking = [use._pool.submit(use.ask, "put_writes", writes(200_000)) for _ in range(32)]
    for _ in asking:
        use.peer.answer(use.peer.op())
    assert all(one.result() == Outcome(checkpoints.PutWritesResponse()) for one in asking)


def test_an_answer_in_pieces_and_a_large_one(use: Use) -> None:
    asking = use._pool.submit(use.ask, "get_checkpoint", get("x"))
    response = checkpoints.SessionResponse()
    answer = response.answers.add(number=use.op("x").number)
    answer.get_checkpoint.checkpoint_tuple.checkpoint.channel_values["a"].data = bytes(5_000_000)
    data = response.SerializeToString()
    use.peer.raw.sendall(len(data).to_bytes(4)[:3])
    use.peer.raw.sendall(len(data).to_bytes(4)[3:] + data[:1])
    use.peer.raw.sendall(data[1:])
    outcome = asking.result()
    assert outcome is not None
    assert outcome.response == answer.get_checkpoint


def test_what_may_wait_goes_with_the_next(use: Use) -> None:
    held = [WaitingThread("get_checkpoint") for _ in range(2)]
    for number, waiting in enumerate(held):
        assert use.session.send(waiting, get(f"held {number}"), may_wait=True)
    found = use.get("now")
    ops = [use.peer.op() for _ in range(3)]
    assert use.peer.messages == [3]
    assert [op.get_checkpoint.checkpoint_id for op in ops] == ["held 0", "held 1", "now"]
    use.peer.answer(*ops)
    assert found.result() == "now"
    assert all(waiting.wait(30) for waiting in held)


def test_what_may_wait_goes_when_told_to_hurry(use: Use) -> None:
    waiting = WaitingThread("get_checkpoint")
    use.session.send(waiting, get("held"), may_wait=True)
    use.session.hurry()
    use.peer.answer(use.op("held"))
    assert use.session.wait(waiting, 30)


def test_no_more_than_a_few_wait(use: Use) -> None:
    for number in range(3):
        use.session.send(WaitingThread("get_checkpoint"), get(f"{number}"), may_wait=True)
    use.session.send(WaitingThread("get_checkpoint"), get("3"), may_wait=True)
    assert [use.peer.op().get_checkpoint.checkpoint_id for _ in range(4)] == ["0", "1", "2", "3"]
