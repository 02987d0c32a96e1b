"""The tests of states, tested: on a server that breaks one rule of the semantics, a chosen case finds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from tests.postgres import TestPostgres
from tests.server_process import ServerProcess
from tests.states.comparing import Tally
from tests.states.updates.corpus import CASES
from tests.states.updates.trial import tried

_MUTATING = Path(__file__).parent / "updates" / "mutating"

_CASES = {case.name: case for case in CASES}


class Mutation(NamedTuple):
    """A rule that is broken, and the case that finds it."""

    rule: str
    module: str
    old: str
    new: str
    case: str


MUTATIONS = (
    Mutation(
        "a node that was updated counts as having seen its triggers as they are",
        "apply",
        "seen.setdefault(task.name, {}).update(consumed)",
        "seen.get(task.name, {}).update(consumed)",
        "a fork as what had not run",
    ),
    Mutation(
        "an update replaces what was to run next",
        "apply",
        "    if is_step:",
        "    if False:",
        "tasks sent are replaced",
    ),
    Mutation(
        "a deferred node runs when nothing else is left",
        "apply",
        "if updated.isdisjoint(triggers):",
        "if False:",
        "a deferred node runs at once when nothing else does",
    ),
    Mutation(
        "a deferred node waits while anything else is left",
        "apply",
        "if updated.isdisjoint(triggers):",
        "if True:",
        "a deferred node waits for what the update leads to",
    ),
    Mutation(
        "an end consumes what its tasks were triggered by",
        "apply",
        "if channels[name].consume() and next_version is not None:",
        "if False:",
        "an end of a full join",
    ),
    Mutation(
        "an update consumes nothing",
        "update",
        "(_INTERRUPT, place), node.name, (_INTERRUPT,), written",
        "(_INTERRUPT, place), node.name, tuple(node.triggers), written",
        "a full join stays",
    ),
    Mutation(
        "updates take the ids of the tasks that were to run",
        "update",
        "        if free:",
        "        if False:",
        "several updates at once",
    ),
    Mutation(
        "each update of a superstep has an id of its own",
        "ids",
        '"__interrupt__" if place == 0 else f"__interrupt__:{place}"',
        '"__interrupt__"',
        "several updates of one node at once",
    ),
    Mutation(
        "the id of a task tells its superstep",
        "tasks",
        "(path, str(step), name, *parts)",
        "(path, str(step + 1), name, *parts)",
        "what siblings have done is lost, as one that waits",
    ),
    Mutation(
        "the id of a task tells its namespace",
        "tasks",
        'path = f"{checkpoint_ns}|{name}" if checkpoint_ns else name',
        "path = name",
        "inside, as the one that asks, as_node",
    ),
    Mutation(
        "nothing is written on a checkpoint that others have built on",
        "next_checkpoint",
        "        if not base.superseded:",
        "        if True:",
        "a fork before b",
    ),
    Mutation(
        "input is the step before the first",
        "next_checkpoint",
        'step = -1 if kind == "input" and not (exists and source.tells_step) else source.step + 1',
        "step = source.step + 1",
        "input of a thread without checkpoints",
    ),
    Mutation(
        "a copy is a sibling",
        "update",
        "put = self._made.put(copied, found.parent_checkpoint_id, source",
        "put = self._made.put(copied, found.checkpoint.id, source",
        "a copy of the head",
    ),
    Mutation(
        "a copy's updates take the ids of its tasks, in order",
        "update",
        "given.task_id = places.pop(0) if places else",
        "given.task_id = places.pop() if places else",
        "a copy and updates of tasks that were sent",
    ),
    Mutation(
        "a step gives one version, above all others",
        "next_checkpoint",
        "successor(greatest(versions.values()), self._place.version_style)",
        'successor(versions.get("count"), self._place.version_style)',
        "the last node, after which nothing runs",
    ),
    Mutation(
        "who wrote last must be one",
        "seen",
        "readers[0] if len(readers) == 1 else None",
        "readers[0]",
        "one of several that ran last is meant",
    ),
    Mutation(
        "a snapshot that nobody wrote is not news",
        "next_checkpoint",
        "        if bumped:",
        "        if False:",
        "input to an older checkpoint, changes by hand",
    ),
    Mutation(
        "changes that wait are not told twice",
        "update",
        "written & deltas.delta_channels(place.spec)",
        "set()",
        "a change of another key on a fork",
    ),
    Mutation(
        "changes are counted up to the next whole",
        "deltas",
        "counted = (updates + (name in updated), supersteps + 1)",
        "counted = (updates, supersteps + 1)",
        "changes up to the whole",
    ),
    Mutation(
        "keys that a node does not write are dropped",
        "node_writes",
        "for key, value in by_key(field, update) if key in names]",
        "for key, value in by_key(field, update)]",
        "a key that is no input, as the start",
    ),
    Mutation(
        "plain edges are taken beside a goto",
        "node_writes",
        "else [*kept, *chosen, *static]",
        "else [*kept, *chosen]",
        "a command to one node beside an edge",
    ),
    Mutation(
        "a value that lives for a step is gone after it",
        "channels",
        "        emptied = self._value is not None\n        self._value = None\n        return emptied",
        "        return False",
        "channels of every kind, emptied",
    ),
    Mutation(
        "an Overwrite is alone in its superstep",
        "folded",
        "        if len(found) > 1:",
        "        if False:",
        "two Overwrites of a key at once",
    ),
    Mutation(
        "a message with a known id replaces",
        "messages",
        "                merged[places[message.id][-1]] = message\n",
        "                merged.append(message)\n",
        "a message is replaced",
    ),
)


@pytest.fixture(scope="module")
def database(postgres: TestPostgres) -> Iterator[str]:
    """One database for all servers: each test has a tenant of its own."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


Serve = Callable[..., ServerProcess]


@pytest.fixture
def serve(database: str, tmp_path: Path) -> Iterator[Serve]:
    """Start a server, mutated by its environment."""
    servers: list[ServerProcess] = []

    def start(**settings: str) -> ServerProcess:
        servers.append(ServerProcess(tmp_path / "log", "--database-url", database, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def _mutated(serve: Serve, mutation: Mutation) -> ServerProcess:
    told = {"module": f"checkpointd.engine.state.{mutation.module}", "old": mutation.old, "new": mutation.new}
    return serve(PYTHONPATH=str(_MUTATING), MUTATION=json.dumps(told))


def _tried(server: ServerProcess, tenant: str, name: str) -> str:
    with RemoteSaver(server.address, tenant=tenant) as saver, Client(server.address, tenant=tenant) as client:
        return tried(_CASES[name], saver, client, Tally())


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rule.replace(" ", "_"))
def test_a_broken_rule_is_found(mutation: Mutation, serve: Serve, tenant: str) -> None:
    assert _tried(_mutated(serve, mutation), tenant, mutation.case)


def test_no_rule_is_broken_and_none_is_found_to_be(serve: Serve, tenant: str) -> None:
    """The same way of starting, with a mutation that changes nothing: the cases find nothing."""
    server = _mutated(serve, MUTATIONS[0]._replace(new=MUTATIONS[0].old))
    for number, mutation in enumerate(MUTATIONS):
        assert not _tried(server, f"{tenant}-{number}", mutation.case), mutation.case
