"""Tokens of watches: a position, signed, so that a watch goes on only where one of the same kind has been. Pure."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from struct import Struct
from typing import NamedTuple

from checkpointd.engine.errors import WatchTokenInvalid
from checkpointd.v1.watch_pb2 import WatchRequest

LAST = 2**63 - 1
"""What no number and no place reaches."""

_POSITION = Struct("!BQQI")  # the form's version
_VERSION = 1
_SCOPE_BYTES = 8
_MAC_BYTES = 16
_LAST_PLACE = 2**32 - 1


class Position(NamedTuple):
    """A place in the order of a tenant's events: what follows comes after it."""

    turn: int
    number: int = LAST
    place: int = _LAST_PLACE
    """Of the event in its row; the last one there is: after all of the row."""

    @property
    def is_whole(self) -> bool:
        """Whether it is after all of its row."""
        return self.place == _LAST_PLACE


class Tokens:
    """Writes and reads the tokens of one watch."""

    def __init__(self, key: bytes, tenant: str, request: WatchRequest) -> None:
        self._key = key
        self._tenant = tenant.encode() + b"\0"
        self._scope = _scope(request)

    def write(self, position: Position) -> str:
        payload = _POSITION.pack(_VERSION, *position) + self._scope
        return urlsafe_b64encode(payload + self._mac(payload)).rstrip(b"=").decode()

    def read(self, token: str) -> Position:
        """Raises WatchTokenInvalid."""
        try:
            whole = urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except ValueError:
            raise WatchTokenInvalid from None
        payload, mac = whole[:-_MAC_BYTES], whole[-_MAC_BYTES:]
        if len(payload) != _POSITION.size + _SCOPE_BYTES or not hmac.compare_digest(mac, self._mac(payload)):
            raise WatchTokenInvalid
        version, turn, number, place = _POSITION.unpack(payload[: _POSITION.size])
        if version != _VERSION or payload[_POSITION.size :] != self._scope:
            raise WatchTokenInvalid
        return Position(turn, number, place)

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, self._tenant + payload, "sha256")[:_MAC_BYTES]


def _scope(request: WatchRequest) -> bytes:
    """What tells a watch from others: all that it asks for, but where it begins."""
    asked = WatchRequest(
        thread_id=request.thread_id,
        thread_id_prefix=request.thread_id_prefix,
        kinds=sorted(set(request.kinds)),
        checkpoint_ns=sorted(set(request.checkpoint_ns)),
    )
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).digest()[:_SCOPE_BYTES]
