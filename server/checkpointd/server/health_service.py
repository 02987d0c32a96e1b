"""The standard service that tells whether the server serves."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checkpointd.engine.readiness import Readiness

_Response = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpc_health has no types
    """SERVING for each of its services while the database can be used, until stop(). Not grpc_health's own, whose
    streams never end: a client that watches would hold up every stop."""

    def __init__(self, services: Collection[str], readiness: Readiness) -> None:
        self._services = services
        self._readiness = readiness
        self._stopped = False
        self._changed = asyncio.Event()
        readiness.on_change = self._tell

    def stop(self) -> None:
        """From here on nothing is served: those who watch are told, and their streams end."""
        self._stopped = True
        self._tell()

    def _tell(self) -> None:
        """Wake those who watch, each of whom waits for the next change on another event."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return _Response(status=self._status(request.service))

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        told = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != told:
                told = status
                yield _Response(status=status)
            if self._stopped:
                return
            await changed.wait()

    def _status(self, service: str) -> "health_pb2.HealthCheckResponse.ServingStatus.ValueType":
        if service not in self._services:
            return _Response.SERVICE_UNKNOWN
        ready = not self._stopped and self._readiness.problem is None
        return _Response.SERVING if ready else _Response.NOT_SERVING
