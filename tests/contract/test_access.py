"""Every rpc of the contract says who may call it."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from checkpointd.v1.access_pb2 import Reach, Role, access
from tests.contract.rpcs import all_rpcs


@pytest.mark.parametrize("rpc", all_rpcs(), ids=lambda rpc: rpc.full_name)
def test_an_rpc_says_who_may_call_it(rpc: MethodDescriptor) -> None:
    wanted = rpc.GetOptions().Extensions[access]
    assert wanted.role != Role.ROLE_UNSPECIFIED
    assert wanted.reach != Reach.REACH_UNSPECIFIED
