"""The resumable content workflow: its task manager, each of whose calls may come from another process."""

from __future__ import annotations

from typing import Any

from checkpointd.client.langgraph import RemoteSaver
from examples.content_workflow import Content, Entry, TaskManager
from tests.graphs.processes import Processes, tell

STAGES = ["research", "outline", "draft", "finalize"]


def write(stage: str, prompt: str) -> str:
    tell(stage)
    return {"research": "notes", "outline": '["Why", "How"]'}.get(stage, f"{stage} of {prompt}")


def manage(saver: RemoteSaver, verb: str, *given: str) -> Any:
    return getattr(TaskManager(saver, write), verb)(*given)


def create(processes: Processes, task: str = "intro") -> tuple[Content, list[str]]:
    return processes.ran(manage, "create", task, "checkpoints", "a blog")


def killed_at(processes: Processes, stage: str) -> None:
    running = processes.holding_at(stage).start(manage, "create", "intro", "checkpoints", "a blog")
    running.wait_until_told(stage)
    running.kill()


def test_a_created_task_runs_to_its_end(processes: Processes) -> None:
    content, told = create(processes)

    assert told == STAGES
    assert content["outline"] == ["Why", "How"]
    assert content["draft"] == "draft of an article with the sections Why, How"
    assert content["final"] == f"finalize of polish: {content['draft']}"
    assert [line.rpartition("  ")[2] for line in content["log"]] == [
        "task created: checkpoints",
        "research: notes taken",
        "outline: 2 sections",
        "draft: 9 words",
        "finalize: ready to publish",
    ]
    assert processes.run(manage, "status", "intro") == (content, ())


def test_status_of_a_task_that_another_process_is_working_on(processes: Processes) -> None:
    running = processes.holding_at("draft").start(manage, "create", "intro", "checkpoints", "a blog")
    running.wait_until_told("draft")

    content, following = processes.run(manage, "status", "intro")
    assert (content["stage"], following) == ("outline", ("draft",))
    assert "draft" not in content

    running.let_go()
    assert running.result() == processes.run(manage, "status", "intro")[0]


def test_a_task_nobody_created_has_no_status(processes: Processes) -> None:
    create(processes, "other")
    assert processes.run(manage, "status", "intro") is None


def test_a_killed_task_is_resumed_by_another_process(processes: Processes) -> None:
    killed_at(processes, "draft")
    stopped, following = processes.run(manage, "status", "intro")

    content, told = processes.ran(manage, "resume", "intro")

    assert (stopped["stage"], following) == ("outline", ("draft",))
    assert told == ["draft", "finalize"], "what was finished does not run again"
    assert content["research"] == stopped["research"]
    assert content["log"][:3] == stopped["log"]
    assert len(content["log"]) == 5


def test_a_task_killed_twice_is_still_resumed(processes: Processes) -> None:
    killed_at(processes, "outline")
    second = processes.holding_at("finalize").start(manage, "resume", "intro")
    second.wait_until_told("finalize")
    second.kill()

    content, told = processes.ran(manage, "resume", "intro")

    assert second.told == ["outline", "draft", "finalize"]
    assert told == ["finalize"]
    assert content["stage"] == "finalize"
    assert len(content["log"]) == 5


def test_resuming_a_finished_task_runs_nothing(processes: Processes) -> None:
    content, _ = create(processes)
    assert processes.ran(manage, "resume", "intro") == (content, [])


def test_history_across_a_kill_and_a_resume(processes: Processes) -> None:
    killed_at(processes, "draft")
    processes.run(manage, "resume", "intro")

    history: list[Entry] = processes.run(manage, "history", "intro")
    assert [(entry.stage, entry.next) for entry in history] == [
        ("finalize", ()),
        ("draft", ("finalize",)),
        ("outline", ("draft",)),
        ("research", ("outline",)),
        ("created", ("research",)),
        ("", ("__start__",)),
    ]
    assert len({entry.checkpoint_id for entry in history}) == 6


def test_a_task_is_rolled_back_by_another_process(processes: Processes) -> None:
    content, _ = create(processes)
    before: list[Entry] = processes.run(manage, "history", "intro")
    after_research = next(entry for entry in before if entry.stage == "research")

    again, told = processes.ran(manage, "rollback", "intro", after_research.checkpoint_id)

    assert told == ["outline", "draft", "finalize"]
    assert again["final"] == content["final"]
    assert len(again["log"]) == 5, "the log of the abandoned branch is not in the new one"
    after = processes.run(manage, "history", "intro")
    assert after[-len(before) :] == before
    assert [entry.stage for entry in after[: -len(before)]] == ["finalize", "draft", "outline", "research"]
    assert processes.run(manage, "status", "intro") == (again, ())
