"""What RemoteSaver does with whole threads: delete them, copy them, remove what is old."""

from collections.abc import Sequence

from checkpointd.client.calls import acall, call
from checkpointd.client.connection import Connection
from checkpointd.client.langgraph import requests
from checkpointd.client.langgraph.bridge.bridge import Bridge
from checkpointd.client.langgraph.held import Held


class Upkeep:
    """The part of RemoteSaver that looks after threads."""

    _connection: Connection
    _held: Held
    _bridge: Bridge

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with everything in it. One that does not exist is deleted already."""
        call(self._connection, requests.delete_thread(thread_id))
        self._held.forget(str(thread_id))
        self._bridge.forget(str(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await acall(self._connection, requests.delete_thread(thread_id))
        self._held.forget(str(thread_id))
        self._bridge.forget(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, in all threads, a thousand runs at a time.

        What a remaining checkpoint needs of them to rebuild its delta channels is kept, hidden.
        """
        for operation in requests.delete_runs(run_ids):
            call(self._connection, operation)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        for operation in requests.delete_runs(run_ids):
            await acall(self._connection, operation)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, complete and as of one moment, to another id.

        Raises NotFound when the source does not exist, AlreadyExists when the target has checkpoints that it does not.
        """
        call(self._connection, requests.copy_thread(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await acall(self._connection, requests.copy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints of threads, a thousand threads at a time.

        Args:
            thread_ids: the threads; those that do not exist are passed over.
            strategy: "keep_latest" leaves the head of each namespace, and hidden what its delta channels are rebuilt
                from; "delete" leaves nothing.

        Raises:
            ValueError: the strategy is another one.
            TypeError: thread_ids is a single string.
        """
        for operation in requests.prune(thread_ids, strategy):
            call(self._connection, operation)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        for operation in requests.prune(thread_ids, strategy):
            await acall(self._connection, operation)
