"""The standard service that tells whether the server serves."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Response = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpc_health has no types
    """SERVING for each of its services until stop(). Not grpc_health's own, whose streams never end: a client that
    watches would hold up every stop."""

    def __init__(self, services: Collection[str]) -> None:
        self._services = services
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """From here on nothing is served: those who watch are told, and their streams end."""
        self._stopped.set()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self._answer(request.service)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        ended = self._stopped.is_set()
        yield self._answer(request.service)
        if not ended:
            await self._stopped.wait()
            yield self._answer(request.service)

    def _answer(self, service: str) -> health_pb2.HealthCheckResponse:
        if service not in self._services:
            return _Response(status=_Response.SERVICE_UNKNOWN)
        return _Response(status=_Response.NOT_SERVING if self._stopped.is_set() else _Response.SERVING)
