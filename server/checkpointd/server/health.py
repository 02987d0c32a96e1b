"""`checkpointd health`: ask a running server whether it serves."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT = 5.0  # seconds


def run(address: str) -> int:
    """Print what a server answers; 0 when it serves."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
        except grpc.RpcError as error:
            print(f"checkpointd: {address} does not answer: {error.details()}", file=sys.stderr)
            return 1
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{address} {status}")
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1
