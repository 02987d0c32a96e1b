"""Where a server may be said to be."""

import re

from checkpointd.client.errors import InvalidRequest

# gRPC would take more: a name without a port means port 443, and a URL is looked up as if it were a name. Either is
# tried again until the timeout, and nothing says that the address is the mistake.
_HOST_PORT = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]):([0-9]{1,5})")
_SCHEME = re.compile(r"unix(?:-abstract)?:.+|(?:ipv4|ipv6|dns|xds|vsock):[^@]+")


def check_target(target: object) -> None:
    """Raise InvalidRequest unless this is HOST:PORT or has one of gRPC's schemes."""
    if isinstance(target, str):
        if _SCHEME.fullmatch(target):
            return
        host_port = _HOST_PORT.fullmatch(target)
        if host_port and 0 < int(host_port[1]) < 1 << 16:
            return
    # Without the target: a URL that was meant for something else may hold a password.
    raise InvalidRequest(
        "target is not HOST:PORT; give it one, such as 127.0.0.1:50051",
        reason="INVALID_FIELD",
        metadata={"field": "target"},
    )


def is_of_several(target: str) -> bool:
    """Whether a target may lead to several servers: a list of addresses, or a name with gRPC's scheme for it."""
    return target.startswith("dns:") or "," in target
