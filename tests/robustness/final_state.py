"""What is there at the end, as readers of one server find it; and whether the other server says the same."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

import psycopg

from checkpointd.client import Client
from checkpointd.client.errors import NotFound
from checkpointd.v1.checkpoints_pb2 import CHECKPOINT_VIEW_METADATA
from checkpointd.v1.core_pb2 import CheckpointTuple
from tests.robustness.contents import checkpoint_digest, stored_write_digest, write_digest
from tests.robustness.history import StoredCheckpoint, StoredNamespace, Write

_PATIENCE = 120.0  # seconds that a call may take now that nothing is broken any more

# The API shows writes with their checkpoint only.
_ORPHANS = """
SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, encoding, data
FROM checkpointd.writes AS write
WHERE tenant = %s AND NOT EXISTS (
    SELECT FROM checkpointd.checkpoints AS checkpoint
    WHERE checkpoint.tenant = write.tenant AND checkpoint.thread_id = write.thread_id
        AND checkpoint.checkpoint_ns = write.checkpoint_ns AND checkpoint.checkpoint_id = write.checkpoint_id
)
"""

Key = tuple[str, str]  # thread_id, checkpoint_ns


def read_final(
    addresses: Sequence[str], tenant: str, database_url: str, thread_ids: Iterable[str]
) -> tuple[list[StoredNamespace], list[str]]:
    """All namespaces of these threads, and in what the servers at the addresses contradict themselves or each other."""
    orphans = _orphans(database_url, tenant)
    found: list[StoredNamespace] = []
    wrong: list[str] = []
    first, *others = [Client(address, tenant=tenant, timeout=_PATIENCE) for address in addresses]
    try:
        for thread_id in sorted(thread_ids):
            namespaces = _thread(first, thread_id, orphans)
            found += namespaces
            for namespace in namespaces:
                for other in others:
                    wrong += _compare(other, namespace)
    finally:
        for client in (first, *others):
            client.close()
    return found, wrong


def _thread(client: Client, thread_id: str, orphans: dict[Key, list[Write]]) -> list[StoredNamespace]:
    tuples = sorted(client.list_checkpoints(thread_id=thread_id), key=lambda one: one.checkpoint_ns)
    by_namespace = {ns: list(group) for ns, group in groupby(tuples, lambda one: one.checkpoint_ns)}
    names = by_namespace.keys() | {ns for thread, ns in orphans if thread == thread_id}
    return [
        _namespace(client, thread_id, ns, by_namespace.get(ns, []), orphans.get((thread_id, ns), []))
        for ns in sorted(names)
    ]


def _namespace(
    client: Client, thread_id: str, ns: str, tuples: list[CheckpointTuple], orphans: list[Write]
) -> StoredNamespace:
    stored = [
        StoredCheckpoint(
            one.checkpoint.id,
            one.parent_checkpoint_id,
            one.sequence,
            checkpoint_digest(one.checkpoint, one.metadata),
        )
        for one in tuples
    ]
    writes = [
        Write(one.checkpoint.id, pending.task_id, pending.write.idx, write_digest(pending.write))
        for one in tuples
        for pending in one.pending_writes
    ]
    return StoredNamespace(thread_id, ns, _head(client, thread_id, ns), stored, writes + orphans)


def _head(client: Client, thread_id: str, ns: str) -> str:
    try:
        return client.get_checkpoint(thread_id=thread_id, checkpoint_ns=ns).checkpoint.id
    except NotFound:
        return ""


def _compare(client: Client, namespace: StoredNamespace) -> list[str]:
    """What another server says differently of a namespace."""
    where = f"thread {namespace.thread_id}, namespace {namespace.checkpoint_ns!r}"
    listing = client.list_checkpoints(
        thread_id=namespace.thread_id, checkpoint_ns=namespace.checkpoint_ns, view=CHECKPOINT_VIEW_METADATA
    )
    theirs = [(one.checkpoint.id, one.parent_checkpoint_id, one.sequence) for one in listing]
    ours = [(one.checkpoint_id, one.parent_id, one.sequence) for one in namespace.checkpoints]
    wrong = []
    if theirs != ours:
        wrong.append(f"{where}: one server lists {len(ours)} checkpoints, the other {len(theirs)}, or others")
    head = _head(client, namespace.thread_id, namespace.checkpoint_ns)
    if head != namespace.head:
        wrong.append(f"{where}: the head is {namespace.head!r} for one server and {head!r} for the other")
    return wrong


def _orphans(database_url: str, tenant: str) -> dict[Key, list[Write]]:
    found: defaultdict[Key, list[Write]] = defaultdict(list)
    with psycopg.connect(database_url) as connection, connection.cursor(name="orphans") as cursor:
        cursor.execute(_ORPHANS, [tenant])
        for thread_id, ns, checkpoint_id, task_id, idx, channel, encoding, data in cursor:
            found[thread_id, ns].append(
                Write(checkpoint_id, task_id, idx, stored_write_digest(channel, encoding, bytes(data)))
            )
    return dict(found)
