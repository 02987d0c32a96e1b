"""JWTs as credentials: signed by an issuer whose public keys (a JWKS, RFC 7517) are in a file or behind a URL."""

import asyncio
import hashlib
import json
import logging
import time
import urllib.request
from collections import OrderedDict
from pathlib import Path
from typing import Any

import jwt

from checkpointd.server.identity import claims
from checkpointd.server.identity.access import Credential, expired
from checkpointd.server.identity.config import IdentityError, JwtConfig

_log = logging.getLogger(__name__)

# Signatures that only the issuer can make. Not `none`, and none with a shared secret: a public key would do for one.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

# Seconds by which clocks may differ.
_LEEWAY = 30

# Seconds between looks at a file, and at a URL; and, when a token names a key that is not known, the least time between
# two looks.
_FILE_INTERVAL = 5.0
_URL_INTERVAL = 300.0
_LEAST_INTERVAL = 10.0

_TIMEOUT = 5.0  # seconds
_LARGEST = 1 << 20  # bytes of a JWKS

# Tokens that are remembered as verified.
_MOST_KNOWN = 10_000
_LONGEST_TOKEN = 16 << 10  # characters


class Tokens:
    """Verifies JWTs."""

    def __init__(self, config: JwtConfig) -> None:
        self._config = config
        self._keys: list[jwt.PyJWK] = []
        self._source = b""
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._known: OrderedDict[bytes, Credential] = OrderedDict()

    async def start(self) -> None:
        """Read the keys for the first time. Raises IdentityError when they can't be had."""
        try:
            self._take(await asyncio.to_thread(self._read))
        except (OSError, ValueError) as error:
            raise IdentityError(f"can't read the keys for JWTs from {self._config.jwks} (--jwks): {error}") from error

    async def credential(self, token: str) -> Credential:
        """What a token allows.

        Raises:
            ValueError: it is not good; the message, which is for the log, says why.
            Refusal: it has ended.
        """
        if len(token) > _LONGEST_TOKEN:
            raise ValueError("the JWT is too long")
        await self._refresh(_URL_INTERVAL if self._config.is_url else _FILE_INTERVAL)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            known = await self._verify(token)
            self._known[digest] = known
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        known.check_time()
        return known

    async def _verify(self, token: str) -> Credential:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in _ALGORITHMS:
                raise ValueError(f"the JWT is signed with {header.get('alg')!r}")
            keys = self._candidates(header)
            if not keys:
                await self._refresh(_LEAST_INTERVAL)  # the issuer may have a new one
                keys = self._candidates(header)
            return self._decoded(token, header["alg"], keys)
        except jwt.ExpiredSignatureError:
            raise expired(_end_of(token)) from None
        except jwt.PyJWTError as error:
            raise ValueError(f"the JWT is not good: {error}") from None

    def _candidates(self, header: dict[str, Any]) -> list[jwt.PyJWK]:
        named = header.get("kid")
        return [
            key for key in self._keys if (named is None or key.key_id == named) and _may_verify(key, str(header["alg"]))
        ]

    def _decoded(self, token: str, algorithm: str, keys: list[jwt.PyJWK]) -> Credential:
        for number, key in enumerate(keys):
            try:
                return self._credential(self._claims(token, algorithm, key))
            except jwt.InvalidSignatureError:
                if number + 1 == len(keys):
                    raise
        raise ValueError("the JWT is signed with a key that the issuer does not publish")

    def _claims(self, token: str, algorithm: str, key: jwt.PyJWK) -> dict[str, Any]:
        decoded: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            audience=self._config.audience,
            issuer=self._config.issuer,
            leeway=_LEEWAY,
            options={"require": ["exp"]},
        )
        return decoded

    def _credential(self, decoded: dict[str, Any]) -> Credential:
        given = decoded.get(self._config.claim)
        if not isinstance(given, dict):
            raise ValueError(f"the JWT has no claim {self._config.claim!r} with an object (--jwt-claim)")
        return claims.credential(given, f"JWT of {decoded.get('sub', '?')}", float(decoded["exp"]) + _LEEWAY)

    async def _refresh(self, interval: float) -> None:
        """Read the keys again unless they were just read. Those that are known stay when that fails."""
        if time.monotonic() - self._looked_at < interval or self._looking.locked():
            return
        async with self._looking:
            self._looked_at = time.monotonic()
            try:
                self._take(await asyncio.to_thread(self._read))
            except (OSError, ValueError) as error:
                _log.warning("can't read the keys for JWTs again, the known ones stay: %s", error)

    def _read(self) -> bytes:
        if not self._config.is_url:
            return Path(self._config.jwks).read_bytes()
        with urllib.request.urlopen(self._config.jwks, timeout=_TIMEOUT) as answer:
            found: bytes = answer.read(_LARGEST + 1)
        if len(found) > _LARGEST:
            raise ValueError("the answer is too long")
        return found

    def _take(self, source: bytes) -> None:
        if source != self._source:
            try:
                self._keys = jwt.PyJWKSet.from_dict(json.loads(source)).keys
            except (AttributeError, TypeError, jwt.PyJWTError) as error:
                raise ValueError(f"it is no JWKS ({error})") from error
            self._source = source
            self._known.clear()  # what was signed with a key that is gone is not good any more
        self._looked_at = time.monotonic()


def _may_verify(key: jwt.PyJWK, algorithm: str) -> bool:
    """Whether a key is one for this kind of signature."""
    if key.public_key_use not in (None, "sig"):
        return False
    if key.key_type == "RSA":
        return algorithm[:2] in ("RS", "PS")
    return bool(key.algorithm_name == algorithm)


def _end_of(token: str) -> float:
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return float(decoded["exp"])
