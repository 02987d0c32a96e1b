"""The address to listen on: whether it can be had, before anything is started for it."""

import errno
import os
import socket
from pathlib import Path

HINT = "choose another address with --listen (CHECKPOINTD_LISTEN)"
METRICS_HINT = "choose another --metrics-listen (CHECKPOINTD_METRICS_LISTEN)"
SESSION_HINT = "choose another --session-port (CHECKPOINTD_SESSION_PORT); 0 takes a free one"


class ListenError(Exception):
    """The address to listen on can't be had; the message says which, why, and what to do."""


def taken(address: str, hint: str = HINT) -> ListenError:
    """The error for an address that something else listens on."""
    return ListenError(f"can't listen on {address}: is another server running there? Stop it, or {hint}")


def check(address: str, hint: str = HINT) -> None:
    """Look whether HOST:PORT or unix:PATH can be listened on, and leave it free. Blocks while a name is looked up.

    Raises:
        ListenError: it can't.
    """
    if address.startswith("unix:"):
        _check_unix(Path(address.removeprefix("unix:")), hint)
        return
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # the latter for a name that no machine can have
        found = []
    refusals = [_refusal(family, place) for family, _, _, _, place in found]
    if errno.EADDRINUSE in refusals:
        raise taken(address, hint)
    if None in refusals:
        return  # where a name means several addresses, one will do
    if errno.EACCES in refusals:
        raise ListenError(f"can't listen on {address}: this user may not listen on port {port}; {hint}")
    raise ListenError(f"can't listen on {address}: {host} is not an address of this machine; {hint}")


def _check_unix(path: Path, hint: str) -> None:
    """gRPC takes the place of a socket that is there, so one that somebody listens on must be left alone."""
    if path.exists() and not path.is_socket():
        raise ListenError(f"can't listen on unix:{path}: there is something else with this name; {hint}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ListenError(f"can't listen on unix:{path}: this user can't make files in {path.parent}; {hint}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        if attempt.connect_ex(str(path)) == 0:
            raise taken(f"unix:{path}", hint)


def _refusal(family: socket.AddressFamily, place: object) -> int | None:
    """Why a socket can't listen there; None if it can."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            # As gRPC does: connections that a server before us has closed don't stand in the way.
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(place)  # type: ignore[arg-type]
            attempt.listen()
    except OSError as error:
        return error.errno
    return None
