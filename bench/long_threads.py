"""Two threads of ours that end in the same state of a real graph of five nodes, one after 10 checkpoints and one after
10,000."""

from collections.abc import Iterator

from langgraph.checkpoint.base.id import uuid6

from bench.workflow import at, run, workflow
from checkpointd.client import Client
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.v1.checkpoints_pb2 import CheckpointPut, CommitOp, WritesPut
from checkpointd.v1.core_pb2 import CheckpointTuple

SHORT, LONG = 10, 10_000

_BATCH = 500  # ops in a Commit


def repeated(templates: list[CheckpointTuple], count: int) -> Iterator[CommitOp]:
    """`count` checkpoints and their writes: a run over and over, to its end, each time with versions of its own."""
    parent = ""
    first = -count % len(templates)
    for number in range(first, first + count):
        again, place = divmod(number, len(templates))
        put, writes = _copy(templates, place, again)
        put.parent_checkpoint_id = parent
        parent = put.checkpoint.id
        yield CommitOp(put_checkpoint=put)
        for one in writes:
            yield CommitOp(put_writes=one)


def _copy(templates: list[CheckpointTuple], place: int, again: int) -> tuple[CheckpointPut, list[WritesPut]]:
    template = templates[place]
    put = CheckpointPut(checkpoint=template.checkpoint, metadata=template.metadata)
    put.checkpoint.id = str(uuid6())
    before = templates[place - 1].checkpoint.channel_versions if place else {}
    versions = put.checkpoint.channel_versions
    for channel in template.checkpoint.channel_values:
        if before.get(channel) == versions[channel]:
            del put.checkpoint.channel_values[channel]  # stored with the checkpoint before
    for version in (versions, *(seen.versions for seen in put.checkpoint.versions_seen.values())):
        for channel in list(version):
            step, _, tail = version[channel].partition(".")
            version[channel] = f"{int(step) + again * len(templates):032}.{tail}"
    writes = [
        WritesPut(checkpoint_id=put.checkpoint.id, task_id=one.task_id, task_path=one.task_path, writes=[one.write])
        for one in template.pending_writes
    ]
    return put, writes


def fill(client: Client, thread_id: str, ops: Iterator[CommitOp]) -> None:
    waiting: list[CommitOp] = []
    for op in ops:
        waiting.append(op)
        if len(waiting) == _BATCH:
            client.commit(thread_id=thread_id, ops=waiting)
            waiting.clear()
    if waiting:
        client.commit(thread_id=thread_id, ops=waiting)


def prepare(address: str) -> None:
    """Make the threads "short" and "long"."""
    with RemoteSaver.from_conn_string(address) as saver, Client(address) as client:
        graph = workflow(saver)
        saver.register(graph, "workflow")
        run(graph, "short", 1)
        templates = list(client.list_checkpoints(thread_id="short"))[::-1]
        second = SHORT - len(templates)  # checkpoints that the second run adds
        fill(client, "long", repeated(templates, LONG - second))
        for thread_id, count in (("short", SHORT), ("long", LONG)):
            run(graph, thread_id, 2)
            assert sum(1 for _ in client.list_checkpoints(thread_id=thread_id)) == count
        short, long = (saver.get_state(at(one)) for one in ("short", "long"))
        assert (short.values, short.next) == (long.values, long.next)
        assert not long.warnings
        assert short.interrupts[0].value == long.interrupts[0].value
