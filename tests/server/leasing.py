"""Short ways to take, keep and end leases over the wire."""

from typing import Any

import grpc
import psycopg
from google.protobuf.duration_pb2 import Duration

from checkpointd.v1.leases_pb2 import AcquireLeaseRequest, Lease, ReleaseLeaseRequest, RenewLeaseRequest
from checkpointd.v1.leases_pb2_grpc import LeasesStub

_MINUTE = Duration(seconds=60)


def acquisition(holder: str, thread_id: str = "t", *, wait: float | None = None) -> AcquireLeaseRequest:
    """A request for the lease for a minute, which is longer than any test here takes."""
    request = AcquireLeaseRequest(thread_id=thread_id, holder=holder, ttl=_MINUTE)
    if wait is not None:
        request.wait.FromMilliseconds(round(wait * 1000))
    return request


def renewal(holder: str, token: int, thread_id: str = "t") -> RenewLeaseRequest:
    return RenewLeaseRequest(thread_id=thread_id, holder=holder, fencing_token=token, ttl=_MINUTE)


def acquire(channel: grpc.Channel, holder: str, thread_id: str = "t", *, wait: float | None = None) -> int:
    """Take the lease and return its token."""
    return int(LeasesStub(channel).AcquireLease(acquisition(holder, thread_id, wait=wait)).lease.fencing_token)


def renew(channel: grpc.Channel, holder: str, token: int, thread_id: str = "t") -> Lease:
    return LeasesStub(channel).RenewLease(renewal(holder, token, thread_id)).lease


def release(channel: grpc.Channel, holder: str, token: int, thread_id: str = "t") -> None:
    request = ReleaseLeaseRequest(thread_id=thread_id, holder=holder, fencing_token=token)
    LeasesStub(channel).ReleaseLease(request)


class StoredLeases:
    """The leases of a tenant as the database has them."""

    def __init__(self, database_url: str, tenant: str) -> None:
        self._database_url = database_url
        self._tenant = tenant

    def expire(self, thread_id: str = "t") -> None:
        """Let a lease end now, as if its time were over."""
        assert self._execute("UPDATE checkpointd.leases SET expires_at = clock_timestamp()", thread_id).rowcount == 1

    def holder(self, thread_id: str = "t") -> str | None:
        """Who holds the lease, if anybody does."""
        row = self._execute("SELECT holder FROM checkpointd.leases", thread_id, "AND expires_at > now()").fetchone()
        return row[0] if row else None

    def _execute(self, statement: str, thread_id: str, more: str = "") -> "psycopg.Cursor[Any]":
        with psycopg.connect(self._database_url) as connection:
            query = f"{statement} WHERE tenant = %s AND thread_id = %s {more}"
            return connection.execute(query.encode(), (self._tenant, thread_id))
