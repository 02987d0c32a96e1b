"""`checkpointd health`: ask a running server whether it serves."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT = 5.0  # seconds


def run(address: str) -> int:
    """Print what a server answers; 0 when it serves."""
    try:
        channel = _channel(address, os.environ)
    except OSError as error:
        sys.stderr.write(f"checkpointd: {error.filename} can't be read: {error.strerror}\n")
        return 1
    with channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
        except grpc.RpcError as error:
            print(f"checkpointd: {address} does not answer: {error.details()}", file=sys.stderr)
            return 1
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{address} {status}")
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


def _channel(address: str, environment: Mapping[str, str]) -> grpc.Channel:
    """With TLS where the variables that clients heed say so."""

    def read(name: str) -> bytes | None:
        path = environment.get(f"CHECKPOINTD_{name}_FILE")
        return Path(path).read_bytes() if path else None

    ca, key, cert = read("CA"), read("KEY"), read("CERT")
    if not ca and not cert and environment.get("CHECKPOINTD_TLS", "").lower() not in ("1", "true", "yes"):
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert))
