"""Every rpc of the contract with random and changed messages: it is done, or it is refused as the contract says and
nothing of it is stored.

FUZZ_ROUNDS says how many requests each rpc gets, and FUZZ_SEED which ones; by default few, and always the same.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from psycopg import sql

from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, ListCheckpointsRequest, SessionOp, SessionRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.leases_pb2 import ReleaseLeaseRequest
from checkpointd.v1.states_pb2 import GetStateRequest, GraphRef
from checkpointd.v1.states_pb2_grpc import StatesStub
from checkpointd.v1.threads_pb2 import CopyThreadRequest
from tests.contract.documented import documented_reasons
from tests.contract.rpcs import all_rpcs
from tests.messages import checkpoint_put, commit, put_checkpoint, put_writes
from tests.postgres import TestPostgres
from tests.server.conditional import graph, update
from tests.server.fuzzing import Fuzzer
from tests.server.leasing import acquire, renewal
from tests.server.session_carriers import CARRIERS, Ended
from tests.server.whole_requests import whole_request
from tests.server.wire import API_KEYS, METHODS, TENANT, WATCHES, error_reason, health, of_tenant
from tests.server_process import ServerProcess

_ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "300"))
_SEED = os.environ.get("FUZZ_SEED", "0")

# Seconds. A request that waits, for a lease or for what comes, is left at that.
_PATIENCE = 2.0

_RPCS = [rpc for rpc in all_rpcs() if not rpc.client_streaming]


@pytest.fixture(scope="module")
def database_url(postgres: TestPostgres) -> Iterator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="module")
def fuzzed(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that is whole afterwards, and has met nothing that it did not foresee."""
    log: Path = tmp_path_factory.mktemp("fuzz") / "log"
    with ServerProcess(log, "--database-url", database_url, "--database-connections", "2") as server:
        yield server
        assert health(server.address) == "SERVING"
        assert server.process.poll() is None
        said = log.read_text()
        assert "Traceback" not in said
        assert "incident" not in said


# What is counted in the background of tenants that have a quota.
_COUNTED = ["threads", "bytes", "counted_at", "claimed_until"]


class _Stored:
    """All that requests have stored of a tenant, as the database has it."""

    def __init__(self, connection: "psycopg.Connection[Any]", tenant: str) -> None:
        found = connection.execute(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = 'checkpointd' AND column_name = 'tenant' "
            "AND table_name <> 'thread_bytes' ORDER BY table_name"
        )
        of_table = sql.SQL(
            "SELECT {name} AS place, (to_jsonb(one) - {counted})::text AS row "
            "FROM checkpointd.{table} AS one WHERE tenant = {tenant}"
        )
        parts = [
            of_table.format(
                name=sql.Literal(name),
                counted=sql.Literal(_COUNTED),
                table=sql.Identifier(name),
                tenant=sql.Literal(tenant),
            )
            for (name,) in found.fetchall()
        ]
        self._query = sql.SQL("SELECT place, row FROM ({}) AS all_rows ORDER BY place, row").format(
            sql.SQL(" UNION ALL ").join(parts)
        )
        self._connection = connection

    def now(self) -> list[tuple[str, str]]:
        return self._connection.execute(self._query).fetchall()


def _fill(channel: grpc.Channel) -> dict[str, Message]:
    """Store something that requests may meet, and return some that do, by their rpcs."""
    checkpoints = CheckpointsStub(channel)
    StatesStub(channel).RegisterGraph(graph())
    for thread_id in ("t", "u"):
        checkpoints.PutCheckpoint(put_checkpoint(thread_id, "c1", values={"a": "1", "b": "2"}, metadata={"step": 1}))
        checkpoints.PutCheckpoint(put_checkpoint(thread_id, "c2", parent="c1", values={"a": "3"}, metadata={"step": 2}))
        checkpoints.PutWrites(put_writes(thread_id, "c2", "task", [(0, "a", "1")]))
    token = acquire(channel, "me")
    return {
        "GetCheckpoint": GetCheckpointRequest(thread_id="t"),
        "ListCheckpoints": ListCheckpointsRequest(thread_id="t"),
        "RenewLease": renewal("me", token),
        "ReleaseLease": ReleaseLeaseRequest(thread_id="t", holder="me", fencing_token=token),
        "GetState": GetStateRequest(thread_id="t", graph=GraphRef(name="g")),
        "UpdateState": update("new", 1),
        "CopyThread": CopyThreadRequest(source_thread_id="t", target_thread_id="copy"),
    }


def _outcome(channel: grpc.Channel, rpc: MethodDescriptor, request: bytes) -> tuple[StatusCode, str | None]:
    assert rpc.containing_service is not None
    path = f"/{rpc.containing_service.full_name}/{rpc.name}"
    try:
        if rpc.server_streaming:
            stream: Any = channel.unary_stream(path, None, None)
            for _ in stream(request, timeout=_PATIENCE):
                if rpc.containing_service is WATCHES:  # which has no end
                    break
        else:
            call: Any = channel.unary_unary(path, None, None)
            call(request, timeout=_PATIENCE)
    except grpc.RpcError as error:
        return error.code(), error_reason(error)  # type: ignore[arg-type]
    return StatusCode.OK, None


@pytest.mark.parametrize("rpc", _RPCS, ids=lambda rpc: rpc.name)
def test_any_request_is_done_or_refused(
    fuzzed: ServerProcess, database_url: str, tenant: str, rpc: MethodDescriptor
) -> None:
    fuzzer = Fuzzer(f"{_SEED} {rpc.full_name}")
    documented = documented_reasons(rpc)
    met: Counter[object] = Counter()
    with grpc.insecure_channel(fuzzed.address) as plain, psycopg.connect(database_url, autocommit=True) as connection:
        channel = of_tenant(plain, tenant)
        found = _fill(channel)
        requests = [found[rpc.name]] if rpc.name in found else []
        requests += [whole_request(rpc.name)] if rpc.name in METHODS else []
        good = [request.SerializeToString() for request in requests]
        stored = _Stored(connection, tenant)
        before = stored.now()
        for number in range(_ROUNDS):
            request = fuzzer.request(rpc.input_type, good)
            code, reason = _outcome(channel, rpc, request)
            met[code, reason] += 1
            after = stored.now()
            said = f"FUZZ_SEED={_SEED}, request {number}: {request!r}"
            if code not in (StatusCode.OK, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNIMPLEMENTED):
                assert reason in documented, f"{code} {reason}; {said}"
                assert after == before, f"{code} {reason} has changed something; {said}"
            before = after
    if (StatusCode.UNIMPLEMENTED, None) in met:  # it is of a service that this server does not have, as a whole
        assert met.keys() == {(StatusCode.UNIMPLEMENTED, None)}
    else:
        # A server without identity has no keys to make; what is asked of it is looked at all the same.
        keyless = rpc.containing_service is API_KEYS and (StatusCode.FAILED_PRECONDITION, "API_KEYS_OFF") in met
        assert keyless or met[StatusCode.OK, None] > 0, met  # or all that is tested is what refuses
        assert met[StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST"] > 0, met
        assert met[StatusCode.DEADLINE_EXCEEDED, None] <= _ROUNDS // 20, met


@pytest.mark.parametrize("kind", CARRIERS)
def test_any_request_of_a_session_is_answered_or_ends_it(
    fuzzed: ServerProcess, database_url: str, tenant: str, kind: str
) -> None:
    fuzzer = Fuzzer(f"{_SEED} {kind}")
    documented = {
        "get_checkpoint": documented_reasons(_rpc("GetCheckpoint")),
        "put_checkpoint": documented_reasons(_rpc("PutCheckpoint")),
        "put_writes": documented_reasons(_rpc("PutWrites")),
        "commit": documented_reasons(_rpc("Commit")),
        None: {"INVALID_FIELD"},
    }
    some = (
        SessionOp(number=1, put_checkpoint=put_checkpoint("t", "c3", values={"a": "4"}, metadata={"step": 3})),
        SessionOp(number=2, put_writes=put_writes("t", "c3", "task", [(0, "a", "5")])),
        SessionOp(number=3, get_checkpoint=GetCheckpointRequest(thread_id="t")),
        SessionOp(number=4, commit=commit("u", checkpoint_put("c4", parent="c2", values={"b": "6"}))),
    )
    good = [SessionRequest(ops=ops).SerializeToString() for ops in (some, *((op,) for op in some))]
    met: Counter[str | None] = Counter()
    with grpc.insecure_channel(fuzzed.address) as plain, psycopg.connect(database_url, autocommit=True) as connection:
        _fill(of_tenant(plain, tenant))
        stored = _Stored(connection, tenant)
        before = stored.now()
        carrier = CARRIERS[kind](fuzzed.address, tenant)
        for number in range(_ROUNDS):
            data = fuzzer.request(SessionRequest.DESCRIPTOR, good)
            said = f"FUZZ_SEED={_SEED}, request {number}: {data!r}"
            carrier.send(data)
            reasons: list[str | None] = []
            ended = None
            ops = _ops(data)
            try:
                while len(reasons) < len(ops) or not ops:
                    response = carrier.receive()
                    assert response is not None, said
                    for answer in response.answers:
                        kinds = {op.WhichOneof("request") for op in ops if op.number == answer.number}
                        reasons.append(answer.error.reason or None)
                        met[reasons[-1]] += 1
                        assert reasons[-1] is None or any(reasons[-1] in documented[one] for one in kinds), said
                        assert answer.error.code not in (StatusCode.INTERNAL.value[0], StatusCode.UNKNOWN.value[0])
            except Ended as end:
                ended = end.reason
                met[ended] += 1
                carrier.close()
                carrier = CARRIERS[kind](fuzzed.address, tenant)
            assert ended in (None, "INVALID_FIELD", "MALFORMED_REQUEST"), said
            after = stored.now()
            assert None in reasons or after == before, f"what was refused has changed something; {said}"
            before = after
        carrier.close()
    assert met[None] > 0
    assert met["MALFORMED_REQUEST"] > 0
    assert met["INVALID_FIELD"] > 0


def _rpc(name: str) -> MethodDescriptor:
    (found,) = [rpc for rpc in all_rpcs() if rpc.name == name]
    return found


def _ops(data: bytes) -> list[Any]:
    try:
        return list(SessionRequest.FromString(data).ops)
    except DecodeError:
        return []


def test_any_tenant_is_one_or_refused(fuzzed: ServerProcess) -> None:
    fuzzer = Fuzzer(f"{_SEED} tenants")
    call: Any = None
    with grpc.insecure_channel(fuzzed.address) as channel:
        call = channel.unary_unary("/checkpointd.v1.Threads/ListThreads", None, None)
        for _ in range(_ROUNDS):
            name = "".join(chr(fuzzer.chance.randrange(32, 127)) for _ in range(fuzzer.chance.randrange(80)))
            key = fuzzer.chance.choice((TENANT, TENANT, f"{TENANT}-bin"))
            try:
                call(b"", metadata=((key, name.encode() if key.endswith("-bin") else name),), timeout=_PATIENCE)
            except grpc.RpcError as error:
                assert error_reason(error) == "INVALID_FIELD"  # type: ignore[arg-type]  # noqa: PT017
