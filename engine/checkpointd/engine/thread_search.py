"""Which threads a list asks for: the statement that finds them, and where its next page begins. Pure."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from psycopg.types.json import Jsonb

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from checkpointd.v1.threads_pb2 import ListThreadsRequest, ThreadOrder, ThreadStatus

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)

_MARKS = {
    ThreadStatus.THREAD_STATUS_INTERRUPTED: "__interrupt__",
    ThreadStatus.THREAD_STATUS_FAILED: "__error__",
}


def search(request: ListThreadsRequest) -> tuple[str, dict[str, Any]]:
    """The statement that finds them, looking at as few others as may be, and its parameters. Raises InvalidField."""
    validate.text("thread_id_prefix", request.thread_id_prefix, validate.THREAD_ID_BYTES, 0)
    validate.labels("labels", request.labels)
    validate.text("owner", request.owner, validate.OWNER_BYTES, 0)
    if request.status not in ThreadStatus.values():
        raise InvalidField("status", f"is {request.status}, which this server does not know")
    if request.min_sequence > validate.MAX_TOKEN:
        raise InvalidField("min_sequence", f"is {request.min_sequence}, which no thread reaches")
    key, value = min(request.labels.items(), default=("", ""))
    wanted = {
        "prefix": request.thread_id_prefix,
        "labels": Jsonb(dict(request.labels)),
        "owner": request.owner,
        "status": int(request.status),
        "updated_from": _time(request, "updated_from", _EARLIEST),
        "updated_before": _time(request, "updated_before", _LATEST),
        "min_sequence": request.min_sequence,
        "label_key": key,
        "label_value": value,
        "mark": _MARKS.get(request.status, ""),
    }
    return _statement(request), wanted


def _statement(request: ListThreadsRequest) -> str:
    if request.order == ThreadOrder.THREAD_ORDER_UPDATED:
        return "list_threads_by_update"
    if request.status == ThreadStatus.THREAD_STATUS_BUSY:
        return "list_busy_threads"
    if request.labels:
        return "list_threads_with_label"
    if request.owner:
        return "list_threads_of_owner"
    return "list_marked_threads" if request.status in _MARKS else "list_threads_by_id"


def _time(request: ListThreadsRequest, field: str, absent: datetime) -> datetime:
    if not request.HasField(field):  # type: ignore[arg-type]
        return absent
    given: Timestamp = getattr(request, field)
    try:
        return given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidField(field, "is not a time from the year 1 to 9999") from None


class PageToken:
    """Where the next page begins: after a thread, in the list of the call that gave the token."""

    def __init__(self, thread_id: str, updated_at: datetime) -> None:
        self.thread_id = thread_id
        self.updated_at = updated_at

    @classmethod
    def read(cls, request: ListThreadsRequest) -> "PageToken":
        """The token of a request; the beginning when it has none. Raises InvalidField for one of another list."""
        if not request.page_token:
            return cls("", _EARLIEST)
        try:
            asked, time, thread_id = urlsafe_b64decode(request.page_token).decode().split("\0")
            if asked != _asked(request):
                raise ValueError("of another list")
            return cls(thread_id, datetime.fromisoformat(time))
        except ValueError:
            raise InvalidField(
                "page_token", "is not one that a call for the same list gave; start again without one"
            ) from None

    def write(self, request: ListThreadsRequest) -> str:
        """The token for the page after this one."""
        parts = (_asked(request), self.updated_at.isoformat(), self.thread_id)
        return urlsafe_b64encode("\0".join(parts).encode()).decode()


def _asked(request: ListThreadsRequest) -> str:
    """What tells a list from others: all that is asked, but for where and how long the page is."""
    asked = ListThreadsRequest()
    asked.CopyFrom(request)
    asked.page_token, asked.page_size = "", 0
    asked.order = request.order or ThreadOrder.THREAD_ORDER_THREAD_ID
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()[:16]
