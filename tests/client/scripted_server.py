"""A gRPC server of the contract on a real socket that does what a test tells it: fail, wait, break off, answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import checkpoints_pb2_grpc, leases_pb2_grpc, states_pb2_grpc, threads_pb2_grpc
from checkpointd.v1 import leases_pb2 as leases
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1 import threads_pb2 as threads
from tests.client.scripted_sessions import ScriptedSessions


class Failure(NamedTuple):
    """How a call is to fail."""

    code: grpc.StatusCode
    message: str = "as told"
    reason: str = ""
    metadata: Mapping[str, str] | None = None
    details: bytes | None = None

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        details = self.details
        if self.reason:
            packed = AnyMessage()
            packed.Pack(ErrorInfo(reason=self.reason, domain="checkpointd", metadata=self.metadata or {}))
            details = Status(code=self.code.value[0], message=self.message, details=[packed]).SerializeToString()
        if details is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(self.code, self.message)
        raise AssertionError("abort returned")


class Call(NamedTuple):
    """A call that the server got."""

    rpc: str
    request: Any
    tenant: str | bytes | None


Answer = Callable[[Any, grpc.ServicerContext], Any]


class ScriptedServer(
    checkpoints_pb2_grpc.CheckpointsServicer,
    threads_pb2_grpc.ThreadsServicer,
    states_pb2_grpc.StatesServicer,
    leases_pb2_grpc.LeasesServicer,
):
    """Answers every rpc with an empty response unless it is told otherwise.

    `script` has what the next calls meet, in order: a Failure, or a function that answers. `answers` says what an rpc,
    by its name, is answered otherwise. `calls` is what came, by calls of their own and by sessions alike.
    """

    def __init__(self, port: int = 0, *, options: tuple[tuple[str, int], ...] = ()) -> None:
        self.script: deque[Failure | Answer] = deque()
        self.answers: dict[str, Answer] = {}
        self.calls: list[Call] = []
        self.sessions = ScriptedSessions(self)
        self._server = grpc.server(ThreadPoolExecutor(64), options=options)
        checkpoints_pb2_grpc.add_CheckpointsServicer_to_server(self, self._server)
        threads_pb2_grpc.add_ThreadsServicer_to_server(self, self._server)
        states_pb2_grpc.add_StatesServicer_to_server(self, self._server)
        leases_pb2_grpc.add_LeasesServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.target = f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _meet(self, rpc: str, request: Message, context: grpc.ServicerContext, otherwise: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        self.calls.append(Call(rpc, request, metadata.get("checkpointd-tenant")))
        told = self.script.popleft() if self.script else self.answers.get(rpc)
        if isinstance(told, Failure):
            told.abort(context)
        return told(request, context) if told else otherwise

    def PutCheckpoint(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("PutCheckpoint", request, context, checkpoints.PutCheckpointResponse(sequence=7))

    def PutWrites(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("PutWrites", request, context, checkpoints.PutWritesResponse())

    def Commit(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("Commit", request, context, checkpoints.CommitResponse(checkpoint_sequences=[1, 2]))

    def GetCheckpoint(self, request: Any, context: grpc.ServicerContext) -> Any:
        found = checkpoints.GetCheckpointResponse()
        found.checkpoint_tuple.checkpoint.id = request.checkpoint_id or "head"
        return self._meet("GetCheckpoint", request, context, found)

    def Session(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        return self.sessions.answers(request_iterator, context)

    def ListCheckpoints(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from self._meet("ListCheckpoints", request, context, ())

    def GetChannelHistory(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("GetChannelHistory", request, context, checkpoints.GetChannelHistoryResponse())

    def GetThread(self, request: Any, context: grpc.ServicerContext) -> Any:
        found = threads.GetThreadResponse(thread=threads.Thread(thread_id=request.thread_id))
        return self._meet("GetThread", request, context, found)

    def ListThreads(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("ListThreads", request, context, threads.ListThreadsResponse())

    def UpdateThread(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("UpdateThread", request, context, threads.UpdateThreadResponse())

    def DeleteThread(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("DeleteThread", request, context, threads.DeleteThreadResponse())

    def CopyThread(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("CopyThread", request, context, threads.CopyThreadResponse())

    def PruneThreads(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("PruneThreads", request, context, threads.PruneThreadsResponse(removed_checkpoints=3))

    def DeleteRuns(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("DeleteRuns", request, context, threads.DeleteRunsResponse(removed_checkpoints=4))

    def RegisterGraph(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("RegisterGraph", request, context, states.RegisterGraphResponse(version=1))

    def GetState(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("GetState", request, context, states.GetStateResponse())

    def GetStateHistory(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from self._meet("GetStateHistory", request, context, ())

    def UpdateState(self, request: Any, context: grpc.ServicerContext) -> Any:
        updated = states.UpdateStateResponse(config=states.StateConfig(thread_id=request.thread_id))
        return self._meet("UpdateState", request, context, updated)

    def AcquireLease(self, request: Any, context: grpc.ServicerContext) -> Any:
        lease = leases.Lease(fencing_token=5, holder=request.holder)
        return self._meet("AcquireLease", request, context, leases.AcquireLeaseResponse(lease=lease))

    def RenewLease(self, request: Any, context: grpc.ServicerContext) -> Any:
        lease = leases.Lease(fencing_token=request.fencing_token, holder=request.holder)
        return self._meet("RenewLease", request, context, leases.RenewLeaseResponse(lease=lease))

    def ReleaseLease(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._meet("ReleaseLease", request, context, leases.ReleaseLeaseResponse())


def found(*checkpoint_ids: str, then: Failure | None = None) -> Answer:
    """Answers a list with checkpoints of these ids, and then ends it or breaks it off."""

    def answer(request: checkpoints.ListCheckpointsRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        for checkpoint_id in checkpoint_ids:
            response = checkpoints.ListCheckpointsResponse()
            response.checkpoint_tuple.checkpoint.id = checkpoint_id
            yield response
        if then is not None:
            then.abort(context)

    return answer


class Waiting:
    """An answer that waits until it is let go, or its call is over."""

    def __init__(self, then: Any = None) -> None:
        self.entered = threading.Event()
        self.over = threading.Event()
        self._go = threading.Event()
        self._then = then

    def let_go(self) -> None:
        self._go.set()

    def __call__(self, request: Any, context: grpc.ServicerContext) -> Any:
        def end() -> None:
            self.over.set()
            self._go.set()

        if not context.add_callback(end):
            end()
        self.entered.set()
        self._go.wait()
        return self._then
