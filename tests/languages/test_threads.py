"""A thread that one language begins and the other one goes on with, for every way in which a graph can stop."""

from __future__ import annotations

import pytest

from tests.languages.sides import Side

Languages = tuple[Side, Side]
HI = {"log": ["hi"]}


def test_an_interrupt_is_answered_in_the_other_language(languages: Languages) -> None:
    one, other = languages
    begun = one.invoke("questions", "t", HI)
    assert list(begun.interrupts.values()) == ["first?"]
    found = other.look("questions", "t")
    assert found.next == ["ask"]
    assert list(found.interrupts.values()) == ["first?"]

    answered = other.resume("questions", "t", "a")
    assert list(answered.interrupts.values()) == ["second?"]
    finished = other.resume("questions", "t", "b")
    assert (finished.log[0], finished.log[-1], finished.next) == ("hi", "done", [])
    assert sorted(finished.log[1:3]) == ["ask a b", "note"]
    assert one.look("questions", "t").log == finished.log


def test_two_interrupts_are_answered_one_by_each(languages: Languages) -> None:
    one, other = languages
    assert one.invoke("questions", "t", HI).ran == ["ask", "note"]

    answered = other.resume("questions", "t", "a")
    assert list(answered.interrupts.values()) == ["second?"]
    assert answered.ran == ["ask"]  # its sibling had finished

    assert list(one.look("questions", "t").interrupts.values()) == ["second?"]
    finished = one.resume("questions", "t", "b")
    assert finished.ran == ["ask", "done"]
    assert sorted(finished.log) == ["ask a b", "done", "hi", "note"]


def test_the_first_answer_is_given_where_the_thread_began_and_the_second_elsewhere(languages: Languages) -> None:
    one, other = languages
    one.invoke("questions", "t", HI)
    assert list(one.resume("questions", "t", "a").interrupts.values()) == ["second?"]

    finished = other.resume("questions", "t", "b")
    assert finished.ran == ["ask", "done"]
    assert sorted(finished.log) == ["ask a b", "done", "hi", "note"]


def test_interrupts_are_answered_by_their_ids_alternating(languages: Languages) -> None:
    one, other = languages
    one.invoke("choices", "t", HI)

    ids = {question: id for id, question in other.look("choices", "t").interrupts.items()}
    assert sorted(ids) == ["left?", "right?"]
    answered = other.resume("choices", "t", {ids["right?"]: "r"})
    assert "right" in answered.ran
    assert list(answered.interrupts.values()) == ["left?"]

    (left,) = one.look("choices", "t").interrupts
    finished = one.resume("choices", "t", {left: "l"})
    assert finished.ran == ["left"]
    assert finished.log == ["hi", "left l", "right r"]
    assert other.look("choices", "t").log == finished.log


def test_sent_tasks_that_finished_do_not_run_again(languages: Languages) -> None:
    one, other = languages
    begun = one.invoke("sends", "t", HI)
    assert begun.ran == ["plan", "work1", "work2", "work3"]
    assert list(begun.interrupts.values()) == ["item 2?"]

    assert list(other.look("sends", "t").interrupts.values()) == ["item 2?"]
    finished = other.resume("sends", "t", "yes")
    assert finished.ran == ["collect", "work2"]
    assert finished.log == ["hi", "plan", "work1", "work2 yes", "work3", "collect"]
    assert one.look("sends", "t").log == finished.log


def test_a_subgraph_goes_on_where_it_was_interrupted(languages: Languages) -> None:
    one, other = languages
    begun = one.invoke("nested", "t", HI)
    assert begun.ran == ["ask", "before", "first"]
    assert list(begun.interrupts.values()) == ["inside?"]

    answered = other.resume("nested", "t", "a")
    assert answered.ran == ["ask", "last"]
    assert list(answered.interrupts.values()) == ["at last?"]

    finished = one.resume("nested", "t", "b")
    assert finished.ran == ["after", "last"]
    # The subgraph begins with the log of the graph around it.
    assert finished.log[-4:] == ["first", "ask a", "last b", "after"]
    assert other.look("nested", "t").log == finished.log


def test_an_interrupt_inside_a_subgraph_is_answered_by_its_id(languages: Languages) -> None:
    one, other = languages
    one.invoke("nested", "t", HI)
    (inside,) = other.look("nested", "t").interrupts
    answered = other.resume("nested", "t", {inside: "a"})
    assert (answered.ran, list(answered.interrupts.values())) == (["ask", "last"], ["at last?"])
    (last,) = one.look("nested", "t").interrupts
    finished = one.resume("nested", "t", {last: "b"})
    assert finished.log[-4:] == ["first", "ask a", "last b", "after"]


def test_a_join_goes_on_waiting_at_its_barrier(languages: Languages) -> None:
    one, other = languages
    begun = one.invoke("barrier", "t", HI)
    assert (begun.ran, begun.log) == (["ask", "quick", "slow"], ["hi", "quick", "slow"])

    finished = other.resume("barrier", "t", "a")
    assert finished.ran == ["ask", "join"]
    assert finished.log == ["hi", "quick", "slow", "ask a", "join"]
    assert one.look("barrier", "t").log == finished.log


def test_a_state_is_updated_in_one_and_the_run_goes_on_in_the_other(languages: Languages) -> None:
    one, other = languages
    begun = one.invoke("chat", "t", {"messages": [{"role": "user", "content": "tea"}]})
    assert begun.next == ["tools"]
    assert begun.messages[-1] == ["ai", "", [["look", {"for": "tea"}]]]

    updated = other.update("chat", "t", {"messages": [{"role": "assistant", "content": "never mind"}]}, "agent")
    assert (updated.next, updated.messages[-1]) == ([], ["ai", "never mind", []])

    asked = one.invoke("chat", "t", {"messages": [{"role": "user", "content": "milk"}]})
    assert (asked.next, asked.ran) == (["tools"], ["agent"])
    finished = other.invoke("chat", "t", None)
    assert finished.ran == ["agent", "tools"]
    assert [message[:2] for message in finished.messages] == [
        ["human", "tea"],
        ["ai", ""],
        ["ai", "never mind"],
        ["human", "milk"],
        ["ai", ""],
        ["tool", "milk"],
        ["ai", "found milk"],
    ]
    assert one.look("chat", "t").messages == finished.messages


def test_the_past_is_replayed_and_forked_in_the_other_language(languages: Languages) -> None:
    one, other = languages
    one.invoke("steps", "t", HI)
    before = one.history("steps", "t")
    assert other.history("steps", "t") == before
    (second,) = (checkpoint for checkpoint, after in before if after == ["two"])

    replayed = other.invoke("steps", "t", None, second)
    assert replayed.ran == ["three", "two"]
    assert replayed.log == ["hi", "one", "two", "three"]

    after = one.history("steps", "t")
    assert after[-len(before) :] == before
    assert len(after) > len(before)
    assert one.look("steps", "t").log == replayed.log
    # And once more, from a checkpoint that the other language made.
    (third, *_) = (checkpoint for checkpoint, after in after if after == ["three"])
    again = one.invoke("steps", "t", None, third)
    assert (again.ran, again.log) == (["three"], ["hi", "one", "two", "three"])


@pytest.mark.parametrize("graph", ["questions", "choices", "sends", "barrier", "steps"])
def test_another_turn_is_taken_in_the_other_language(languages: Languages, graph: str) -> None:
    one, other = languages
    more = {"log": ["again"]}
    # What waits is done with as if the thread had not changed its language.
    other.invoke(graph, "alone", HI)
    alone = other.invoke(graph, "alone", more)

    one.invoke(graph, "t", HI)
    begun = other.invoke(graph, "t", more)
    assert (begun.ran, begun.log, begun.next) == (alone.ran, alone.log, alone.next)
    assert sorted(begun.interrupts.values()) == sorted(alone.interrupts.values())
