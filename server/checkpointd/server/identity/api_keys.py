"""API keys as credentials: looked up in the database, and remembered for a few seconds."""

import asyncio
import time
from collections import OrderedDict
from typing import NamedTuple

from checkpointd.engine.api_keys import PREFIX, ApiKeys, StoredKey
from checkpointd.server.identity.access import Credential

# Seconds that a key is taken for what it was. The contract allows 10 for a change to be heeded.
_FRESH = 5.0

# Keys that are remembered, also those that are not there.
_MOST_KNOWN = 10_000

# Look-ups at once, so that guessing takes no more of the database than that.
_MOST_LOOKING = 4


class _Known(NamedTuple):
    """A key as it was found, or None, and when that was, by time.monotonic()."""

    stored: StoredKey | None
    credential: Credential | None
    found_at: float


class KeyRing:
    """The API keys that were shown here lately."""

    def __init__(self, api_keys: ApiKeys) -> None:
        self._api_keys = api_keys
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._looking = asyncio.Semaphore(_MOST_LOOKING)

    async def credential(self, key: str) -> Credential:
        """What a key allows.

        Raises:
            ValueError: it is not one of ours; the message, which is for the log, says why.
            Refusal: it has ended.
            EngineError: the database is not to be had.
        """
        key_id, _, secret = key.removeprefix(PREFIX).partition("_")
        if not secret or len(key_id) > 64 or "\0" in key_id:
            raise ValueError("the API key is not whole")
        known = self._known.get(key_id)
        if known is None or time.monotonic() - known.found_at >= _FRESH:
            known = await self._find(key_id)
        stored, credential, _ = known
        if stored is None or credential is None or not stored.has_secret(secret):
            raise ValueError(f"there is no such API key (its id would be {key_id!r})")
        credential.check_time()
        return credential

    async def _find(self, key_id: str) -> _Known:
        async with self._looking:
            known = self._known.get(key_id)
            now = time.monotonic()
            if known is not None and now - known.found_at < _FRESH:  # by somebody who looked just before
                return known
            stored = await self._api_keys.find(key_id)
        known = _Known(stored, stored and _credential(key_id, stored), now)
        self._known[key_id] = known
        self._known.move_to_end(key_id)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return known


def _credential(key_id: str, stored: StoredKey) -> Credential:
    ends_at = None if stored.good_for is None else time.time() + stored.good_for
    return Credential(stored.tenant, stored.role, tuple(stored.thread_id_prefixes), f"API key {key_id}", ends_at)
