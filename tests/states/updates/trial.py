"""A case, tried: a thread is made and copied, one copy is updated with the graph and the other without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateUpdate

from checkpointd.client import CheckpointdError, Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.core_pb2 import CheckpointTuple
from tests.states.comparing import Tally
from tests.states.corpus.playing import Graph, Play
from tests.states.updates.allowed import Problem, allowed
from tests.states.updates.cases import Case, Update, Way
from tests.states.updates.differing import Differing, differing
from tests.states.updates.naming import Names
from tests.states.updates.photos import Place, photo, state

UPDATED = "updated"
"""Where the way to a difference begins that is there before the graph runs on."""

Updater = Callable[[Place, Update], RunnableConfig]


class Outcome(NamedTuple):
    """What an update gave: a config, or an error."""

    config: RunnableConfig | None
    error: Exception | None


def with_graph(place: Place, update: Update) -> RunnableConfig:
    """As LangGraph does it."""
    supersteps = [[StateUpdate(*told[:3]) for told in superstep] for superstep in update.supersteps]
    return place.graph.bulk_update_state(_config(place, update), supersteps)


def without_graph(place: Place, update: Update) -> RunnableConfig:
    """As the server does it."""
    return place.saver.bulk_update_state(_config(place, update), update.supersteps)


def _config(place: Place, update: Update) -> RunnableConfig:
    config = place.config(**update.configurable)
    return {**config, "metadata": update.metadata} if update.metadata else config


class Trial:
    """Two equal threads, one of which is updated one way, and one another way."""

    def __init__(
        self,
        graph: Graph,
        saver: RemoteSaver,
        client: Client,
        tally: Tally,
        *,
        again: Callable[[], None] = lambda: None,
        recursion_limit: int = 25,
        one_by_one: bool = True,
    ) -> None:
        """`again` is called before whatever must come out the same on both threads: it winds chance back."""
        self.made, self.expected, self.actual = (
            Place(graph, saver, client, thread_id) for thread_id in ("made", "with graph", "without graph")
        )
        self.play = Play(graph, self.made.config(), one_by_one, recursion_limit)
        self._tally = tally
        self._again = again

    def part(self) -> None:
        """Make the two threads, as the one that was played on is now; anew if they are there."""
        known: set[str] = set()
        for place in (self.expected, self.actual):
            place.saver.delete_thread(place.thread_id)
        if rows := self.made.rows():
            for place in (self.expected, self.actual):
                place.saver.copy_thread(self.made.thread_id, place.thread_id)
            names = Names(self.made.thread_id)
            photo(self.made, names)
            known = names.met
            # The ids that LangGraph gives to updates of a checkpoint.
            marks = ["__input__", "__interrupt__", *(f"__interrupt__:{number}" for number in range(1, 10))]
            known |= {str(uuid5(UUID(row.checkpoint.id), mark)) for row in rows for mark in marks}
            known |= {row.checkpoint.ts for row in rows}
        self._names = [Names(place.thread_id, known) for place in (self.expected, self.actual)]

    def update(self, way: Way, *, first: Updater = with_graph, second: Updater = without_graph) -> tuple[Outcome, ...]:
        """Update both threads."""
        self._update = update = way(self.play)
        self.part()
        self._tally.count("updates", sum(map(len, update.supersteps)))
        return self._tried(first, self.expected, update), self._tried(second, self.actual, update)

    def _tried(self, updater: Updater, place: Place, update: Update) -> Outcome:
        self._again()
        try:
            # LangGraph gives ids to the very messages that it is given.
            return Outcome(updater(place, deepcopy(update)), None)
        except Exception as error:  # LangGraph may raise anything that the graph's own code does
            return Outcome(None, error)

    def problems(self, *outcomes: Outcome) -> Iterator[Problem]:
        """All that differs after an update that both took, and in the three runs that follow."""
        mine, theirs = (names.plain(one.config) for names, one in zip(self._names, outcomes, strict=True))
        yield from self._compare(UPDATED, mine, theirs)
        yield from self._photos(UPDATED)
        yield from self._unordered()
        for number in range(3):
            yield from self._runs(number)
            if number < 2:
                yield from self._compare(f"state after run {number}", *self._both(state))
        yield from self._photos("after the runs")

    def _photos(self, when: str) -> Iterator[Problem]:
        mine, theirs = self._both(photo)
        self._tally.count("checkpoints", len(mine["rows"]))
        self._tally.count("snapshots", sum(map(len, mine["histories"].values())) + 1)
        yield from self._compare(when, mine, theirs)

    def _both(self, look: Callable[[Place, Names], Any]) -> list[Any]:
        return [look(place, names) for place, names in zip((self.expected, self.actual), self._names, strict=True)]

    def _compare(self, what: str, expected: Any, actual: Any) -> Iterator[Problem]:
        for one in differing(expected, actual, self._tally, (what,)):
            yield Problem(self.play.graph, self._update, one)

    def _unordered(self) -> Iterator[Problem]:
        """Savers take the greatest id of a namespace for its latest checkpoint: a new one must be that."""
        greatest: dict[str, str] = {}
        for row in self.actual.rows():
            before, new = greatest.get(row.checkpoint_ns, ""), row.checkpoint.id
            if not self._names[1].is_known(new) and new <= before:
                yield Problem(
                    self.play.graph, self._update, Differing((UPDATED, "order of ids"), f"above {before}", new)
                )
            greatest[row.checkpoint_ns] = max(before, new)

    def _runs(self, number: int) -> Iterator[Problem]:
        self._tally.count("runs")
        yield from self._compare(f"run {number}", *self._both(lambda place, names: self._run(place, names, number)))

    def _run(self, place: Place, names: Names, number: int) -> list[Any]:
        """What a run streams, and how it ends. The second one answers what is asked."""
        play = Play(place.graph, place.config(), self.play.one_by_one, self.play.recursion_limit)
        given: Any = None
        events: list[Any] = []
        try:
            if number == 1 and (asked := play.asked()):
                given = Command(resume={one: f"answer {place}" for place, one in enumerate(asked)})
            self._again()
            config: RunnableConfig = {
                **play.thread,
                "max_concurrency": 1 if play.one_by_one else None,
                "recursion_limit": play.recursion_limit,
            }
            modes: Any = ["values", "updates", "tasks"] if play.one_by_one else ["values"]
            for event in place.graph.stream(given, config, stream_mode=modes, durability="sync"):
                events.append(names.plain(event))  # noqa: PERF401 - those before a failure count
        except Exception as error:  # as above
            events.append(names.plain(error))
        return events


def untouched(place: Place, made: Place) -> bool:
    """Whether a copy of a thread has all that the thread has, and nothing else."""
    return [_as_made(row) for row in place.rows()] == [_as_made(row) for row in made.rows()]


def _as_made(row: CheckpointTuple) -> CheckpointTuple:
    """Without what a copy has of its own: its name, and when it was committed."""
    for field in ("thread_id", "sequence", "committed_at"):
        row.ClearField(field)
    for pending in row.pending_writes:
        pending.ClearField("sequence")
    return row


def differences(problems: Iterator[Problem], tally: Tally) -> list[Differing]:
    """Those that are not allowed; the others are counted."""
    found = []
    for problem in problems:
        if name := allowed(problem):
            tally.allowed[name] += 1
        else:
            found.append(problem.differing)
    return found


def told(found: Sequence[Differing]) -> str:
    """Differences for a person to read; "" for none."""
    return "\n".join([f"{len(found)} differences", *map(str, found[:20])]) if found else ""


def tried(case: Case, saver: RemoteSaver, client: Client, tally: Tally) -> str:
    """What is not as it should be after a case, for a person to read, or ""."""
    graph = case.build(saver)
    saver.register(graph, case.build.__name__)
    trial = Trial(graph, saver, client, tally)
    case.prepare(trial.play)
    outcomes = trial.update(case.update)
    expected, actual = (outcome.error for outcome in outcomes)
    refused = actual.reason if isinstance(actual, CheckpointdError) else ""
    if refused != case.refused or (expected is None) == bool(case.refused and not case.stricter):
        return f"to be refused with {case.refused or 'nothing'!r}; LangGraph: {expected!r}; server: {actual!r}"
    if case.refused:
        tally.count("refusals")
        return "" if untouched(trial.actual, trial.made) else "the server has changed the thread"
    return told(differences(trial.problems(*outcomes), tally))
