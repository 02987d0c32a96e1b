"""An address that can't be a server's is refused at once, and not shown: it may hold a password."""

import pytest

from checkpointd.client import Client, InvalidRequest
from checkpointd.client.target import check_target


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "localhost:1",
        "checkpoints.example_internal:65535",
        "[::1]:50051",
        "[fe80::1%eth0]:50051",
        "ipv4:10.0.0.1:50051,10.0.0.2:50051",
        "ipv6:[::1]:50051",
        "dns:///checkpointd.internal:50051",
        "dns:checkpointd.internal",
        "unix:/run/checkpointd.socket",
        "unix-abstract:checkpointd",
        "xds:///checkpointd",
        "vsock:2:50051",
    ],
)
def test_an_address_is_taken(target: str) -> None:
    check_target(target)
    Client(target).close()


@pytest.mark.parametrize(
    "target",
    [
        "",
        "nohost",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:https",
        ":50051",
        "::1:50051",
        " 127.0.0.1:50051",
        "127.0.0.1:50051\n",
        "127.0.0.1:50051/",
        "127.0.0.1:1,127.0.0.1:2",
        "http://127.0.0.1:50077",
        "postgresql://u:secret@127.0.0.1:5432/db",
        "u:secret@127.0.0.1:5432",
        "dns://u:secret@127.0.0.1:5432",
        "\ud800:1",
        50051,
        None,
        b"127.0.0.1:50051",
    ],
)
def test_anything_else_is_refused_unseen(target: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_target(target)
    assert str(refused.value) == (
        "target is not HOST:PORT; give it one, such as 127.0.0.1:50051 [INVALID_ARGUMENT INVALID_FIELD]"
    )
    assert refused.value.metadata == {"field": "target"}
    assert refused.value.__context__ is None
