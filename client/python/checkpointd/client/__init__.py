"""checkpointd's client: `Client` for threads, `AsyncClient` for event loops, and the errors that both raise.

Values are the messages of the contract, `checkpointd.v1`. LangGraph's saver on top of it is in
`checkpointd.client.langgraph`, which needs the extra `checkpointd[langgraph]`.
"""

from checkpointd.client.clients import AsyncClient, Client
from checkpointd.client.credentials import Credentials
from checkpointd.client.errors import (
    Aborted,
    AccessDenied,
    AlreadyExists,
    AlreadyWritten,
    CheckpointdError,
    ClientClosed,
    DeadlineExceeded,
    FailedPrecondition,
    GraphUnknown,
    HeadMoved,
    InvalidRequest,
    LeaseHeld,
    LeaseLost,
    NeedsCode,
    NotFound,
    Overloaded,
    QuotaExceeded,
    ResourceExhausted,
    ServerFault,
    TooLarge,
    Unavailable,
    UnknownTask,
    UnreadableValue,
    Unsupported,
    WatchExpired,
)
from checkpointd.client.retention import retention_policy

__all__ = [
    "Aborted",
    "AccessDenied",
    "AlreadyExists",
    "AlreadyWritten",
    "AsyncClient",
    "CheckpointdError",
    "Client",
    "ClientClosed",
    "Credentials",
    "DeadlineExceeded",
    "FailedPrecondition",
    "GraphUnknown",
    "HeadMoved",
    "InvalidRequest",
    "LeaseHeld",
    "LeaseLost",
    "NeedsCode",
    "NotFound",
    "Overloaded",
    "QuotaExceeded",
    "ResourceExhausted",
    "ServerFault",
    "TooLarge",
    "Unavailable",
    "UnknownTask",
    "UnreadableValue",
    "Unsupported",
    "WatchExpired",
    "retention_policy",
]
