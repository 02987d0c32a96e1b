"""What can go wrong, by what a caller does about it.

    CheckpointdError
    ├── InvalidRequest       the request breaks a rule of the contract (also a ValueError): change it
    ├── NotFound             there is no such thread, checkpoint, graph or subgraph
    ├── AlreadyExists        the target has a history of its own: choose another id
    ├── FailedPrecondition   the thread, as it is, does not allow this: change that first
    │   ├── GraphUnknown     no graph is known for the thread: register it, or name one
    │   └── NeedsCode        only the graph's code knows the outcome: say it in the request, or update with the graph
    ├── Aborted              another writer was first: read again and decide
    │   ├── HeadMoved        the head is not the one that was expected
    │   ├── LeaseLost        the lease has ended: acquire it again, and read again
    │   ├── AlreadyWritten   another run has written a task's result: read again
    │   └── LeaseHeld        somebody else has the lease: wait, or try later
    ├── Unavailable          the server, or its database, was not there for the whole timeout: try later
    ├── DeadlineExceeded     no answer within the timeout: try later, or allow more time
    ├── ResourceExhausted    the server has no room: free some
    │   ├── TooLarge         one message is over the server's limit: store less, or raise the limit
    │   ├── Overloaded       the server had too much to do for the whole timeout: try later
    │   └── QuotaExceeded    the tenant uses all that it may: delete something, or ask an operator for more
    ├── WatchExpired         events after the token of a watch are gone: watch from now on, and read again
    ├── AccessDenied         the caller may not do this
    ├── Unsupported          the server does not know the call: it is older than this client
    ├── ServerFault          a fault of the server's own: its log says more
    ├── UnreadableValue      a stored value can't be read with this client's serialiser
    ├── UnknownTask          an answer waits for a task of another language that none of this graph's is known to be
    └── ClientClosed         the client was used after it was closed

Every error says in its message which server it came from, why, and what to do; its attributes say the same to programs.
"""

from collections.abc import Mapping

import grpc


class CheckpointdError(Exception):
    """A call failed.

    Attributes:
        code: the gRPC status code of the failure; of a failure on this side, the one that says the same.
        reason: a name from the contract's `ErrorReason` without its prefix, such as `INVALID_FIELD`; "" when the
            failure has none because it did not come from a checkpointd server.
        metadata: the reason's details, by the names that the contract documents.
        server: the target the client was made with; "" when no server was involved.
        advice: what to do.
        grpc_error: the failed call's own message; "" when no call was made. gRPC's exception is not kept: it holds the
            call, which must not outlive a fork.
    """

    advice: str = ""
    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    reason: str = ""
    server: str = ""
    grpc_error: str = ""

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        server: str = "",
        grpc_error: str = "",
        advice: str | None = None,
    ) -> None:
        super().__init__(message)
        # Only `message` is positional, so that pickle and copy can make the error again and restore these.
        self.code = code or type(self).code
        self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.server = server
        self.grpc_error = grpc_error
        if advice is not None:
            self.advice = advice

    def __str__(self) -> str:
        said_already = f" at {self.server} " in self.args[0]
        server = f"from {self.server}" if self.server and not said_already else ""
        cause = " ".join(filter(None, (self.code.name, self.reason, server)))
        return f"{self.args[0]} [{cause}]" + (f"; {self.advice}" if self.advice else "")


class InvalidRequest(CheckpointdError, ValueError):
    """The request breaks a rule of the contract; nothing was stored. `metadata["field"]` names the field."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(CheckpointdError):
    """There is no such thread, checkpoint, graph or subgraph."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(CheckpointdError):
    """The target of a copy has a history of its own."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(CheckpointdError):
    """The thread, as it is, does not allow this; nothing was stored."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class GraphUnknown(FailedPrecondition):
    """No graph is known for the thread, and the request names none; nothing was stored."""


class NeedsCode(FailedPrecondition):
    """The outcome depends on code of the graph, which the server does not have; nothing was stored.

    `metadata["field"]` names the part of the request that does.
    """


class Aborted(CheckpointdError):
    """Another writer was first; nothing was stored."""

    advice = "read the thread again and decide whether to repeat"
    code = grpc.StatusCode.ABORTED


class HeadMoved(Aborted):
    """The head of the namespace is not the one that was expected: another writer was first. Nothing was stored."""

    @property
    def expected_head(self) -> str:
        """The checkpoint that was expected to be the head; "" for none."""
        return self.metadata.get("expected_head", "")

    @property
    def head(self) -> str:
        """The checkpoint that was the head; "" for none."""
        return self.metadata.get("head", "")


class LeaseLost(Aborted):
    """The lease has ended, so that somebody else may write the thread; nothing was stored.

    `metadata` has `holder`, who has the thread now, if anybody has, and of a write `head`, that of its namespace.
    """

    advice = "run again: that takes the lease anew and reads the thread as it is now"


class AlreadyWritten(Aborted):
    """Another run has written what the same task of this one wrote, and something else; nothing was stored."""

    advice = "run again: that goes on from what is there"


class LeaseHeld(Aborted):
    """Somebody else has the lease of the thread. `metadata` has `holder` and `expires_in_ms`."""

    advice = "wait for longer, or try again later"


class Unavailable(CheckpointdError):
    """The server or its database could not be reached for the whole timeout. A write may or may not be stored."""

    advice = "check that the server runs at this address and try again: repeating a call is safe"
    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(CheckpointdError):
    """There was no answer within the timeout. A write may or may not be stored."""

    advice = "try again, which is safe, or give the client a longer timeout"
    code = grpc.StatusCode.DEADLINE_EXCEEDED


class ResourceExhausted(CheckpointdError):
    """The server has no room for the request; nothing was stored."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class TooLarge(ResourceExhausted):
    """A message is over the server's limit; nothing was stored.

    `metadata` has `size` and `limit`, in bytes, and `option`, the server's option that sets the limit.
    """


class WatchExpired(CheckpointdError):
    """Events after the token of a watch are not kept any more: the watch was broken off for too long."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Overloaded(ResourceExhausted):
    """The server had too much to do for the whole timeout; nothing was stored.

    `metadata` has `limit`, `option`, the server's option that sets it, and `retry_after_ms`.
    """

    advice = "try again later, or start more servers: repeating a call is safe"


class QuotaExceeded(ResourceExhausted):
    """The tenant uses all that it may; nothing was stored.

    `metadata` has `quota` (`threads`, `bytes` or `ops_per_second`), `limit`, and of the last one `retry_after_ms`: that
    one was exceeded for the whole timeout.
    """

    advice = "delete what is not needed, or ask who runs this server for more"


class AccessDenied(CheckpointdError):
    """The caller is not known to the server, or may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unsupported(CheckpointdError):
    """The server does not know this call."""

    advice = "check that the address is a checkpointd server's and that it is not older than this client"
    code = grpc.StatusCode.UNIMPLEMENTED


class ServerFault(CheckpointdError):
    """The server failed in a way that it did not expect."""

    advice = "the server's log says more"


class UnreadableValue(CheckpointdError):
    """A stored value can't be read with this client's serialiser."""

    advice = "use the serialiser (serde) that the value was stored with"
    code = grpc.StatusCode.DATA_LOSS


class UnknownTask(CheckpointdError):
    """Another language worked on a task of the thread, and it is not known which of this graph's tasks it is."""

    advice = "go on in the language that began it"
    code = grpc.StatusCode.FAILED_PRECONDITION


class ClientClosed(CheckpointdError):
    """The client was used after it was closed."""

    advice = "make a new one"
    code = grpc.StatusCode.CANCELLED
