"""What a client shows a server to say who it is, and how it makes sure that it talks to the right one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from checkpointd.client.errors import InvalidRequest

# What may go into a header, which also keeps a line's end at the end of a file out.
_TOKEN = re.compile(r"[\x21-\x7e]+")

# Targets that do not leave this machine.
_LOOPBACK = re.compile(r"(?:dns:(?://[^/]*/)?|ipv4:|ipv6:)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?|unix.*", re.I)

_Metadata = tuple[tuple[str, str], ...]

_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class Credentials:
    """Who the client is, for servers that ask (`--auth`), and TLS. By default, what the environment says.

        RemoteSaver("checkpoints.internal:50051", credentials=Credentials(token_file="/run/secrets/checkpointd"))

    Everything may be left out. A secret is never part of an error or of `repr()`.
    """

    token: str | Callable[[], str] | None = field(default=None, repr=False)
    """An API key or a JWT; or what returns the one to use, asked for every call. [CHECKPOINTD_TOKEN]"""

    token_file: str | os.PathLike[str] | None = None
    """A file with the token, read again when it changes. [CHECKPOINTD_TOKEN_FILE]"""

    tls: bool = False
    """Talk TLS, and trust who the system's certificate authorities do. [CHECKPOINTD_TLS]"""

    ca_file: str | os.PathLike[str] | None = None
    """TLS, and trust these certificates (PEM) instead. [CHECKPOINTD_CA_FILE]"""

    cert_file: str | os.PathLike[str] | None = None
    """TLS, and show this certificate (PEM), with those between it and the root. [CHECKPOINTD_CERT_FILE]"""

    key_file: str | os.PathLike[str] | None = None
    """The private key of `cert_file`, PEM. [CHECKPOINTD_KEY_FILE]"""

    plaintext: bool = False
    """Send the token without TLS to other machines too: something else keeps it secret. [CHECKPOINTD_PLAINTEXT]"""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """What the variables CHECKPOINTD_TOKEN, _TOKEN_FILE, _TLS, _CA_FILE, _CERT_FILE, _KEY_FILE and _PLAINTEXT say.

        Raises:
            InvalidRequest: one of them makes no sense.
        """

        def text(name: str) -> str | None:
            return environment.get(f"CHECKPOINTD_{name}") or None

        def truth(name: str) -> bool:
            given = environment.get(f"CHECKPOINTD_{name}", "").lower()
            if given not in _YES + _NO:
                raise refused(f"CHECKPOINTD_{name}", "is neither 1 nor 0; give it one of them")
            return given in _YES

        return cls(
            token=text("TOKEN"),
            token_file=text("TOKEN_FILE"),
            tls=truth("TLS"),
            ca_file=text("CA_FILE"),
            cert_file=text("CERT_FILE"),
            key_file=text("KEY_FILE"),
            plaintext=truth("PLAINTEXT"),
        )

    @property
    def secure(self) -> bool:
        """Whether to talk TLS."""
        return self.tls or bool(self.ca_file or self.cert_file)

    def check(self, target: str) -> None:
        """Raises InvalidRequest unless these make sense, and may be shown at a target."""
        if bool(self.cert_file) != bool(self.key_file):
            raise refused("credentials.cert_file", "needs its key_file, and the reverse; give both")
        if self.token is not None and self.token_file is not None:
            raise refused("credentials.token_file", "is given beside a token; give one of them")
        if isinstance(self.token, str):
            _checked(self.token, "credentials.token")
        has_token = self.token is not None or self.token_file is not None
        if has_token and not self.secure and not self.plaintext and not _stays_here(target):
            raise refused(
                "credentials",
                "would send the token where others can read it; use TLS (tls=True, CHECKPOINTD_TLS=1), or say that "
                "something else keeps it secret (plaintext=True, CHECKPOINTD_PLAINTEXT=1)",
            )

    def channel(self, target: str, options: Any) -> grpc.Channel:
        """A channel to a target. Raises InvalidRequest when a file can't be read."""
        if not self.secure:
            return grpc.insecure_channel(target, options)
        ca, key, cert = (_read(name, getattr(self, name)) for name in ("ca_file", "key_file", "cert_file"))
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, cert), options)


class CallMetadata:
    """What goes with a call that is made now: the tenant if one is named, and the token."""

    def __init__(self, tenant: str | None, credentials: Credentials) -> None:
        self._named = () if tenant is None else (("checkpointd-tenant", tenant),)
        self._token = credentials.token
        self._file = credentials.token_file
        # Of the file, when it was read last: what tells whether it has changed, and the metadata.
        self._seen: tuple[tuple[int, int], _Metadata] | None = None
        self._always = self._named + _authorization(self._token) if isinstance(self._token, str) else self._named

    def __call__(self) -> _Metadata:
        """The metadata. Raises InvalidRequest when the token can't be had."""
        if self._file is not None:
            return self._of_file(self._file)
        if callable(self._token):
            return self._named + _authorization(_checked(self._token(), "credentials.token"))
        return self._always

    def _of_file(self, path: str | os.PathLike[str]) -> _Metadata:
        try:
            found = os.stat(path)
            version = (found.st_mtime_ns, found.st_ino)
            if self._seen is None or self._seen[0] != version:
                token = _checked(Path(path).read_text(encoding="utf-8").strip(), "credentials.token_file")
                self._seen = (version, self._named + _authorization(token))
            return self._seen[1]
        except (OSError, UnicodeError) as error:
            raise _unreadable("credentials.token_file", error) from None


def _authorization(token: str) -> _Metadata:
    return (("authorization", f"Bearer {token}"),)


def _checked(token: object, name: str) -> str:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise refused(name, "is no token: it is empty, or has a space or a character that is none of ASCII's")
    return token


def _read(name: str, path: str | os.PathLike[str] | None) -> bytes | None:
    try:
        return None if path is None else Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(f"credentials.{name}", error) from None


def _stays_here(target: str) -> bool:
    return all(_LOOPBACK.fullmatch(place) for place in target.split(","))


def _unreadable(name: str, error: Exception) -> InvalidRequest:
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return refused(name, f"can't be read ({why}); give a file that can")


def refused(name: str, problem: str) -> InvalidRequest:
    """The error for credentials that can't be used. Never with what may be a secret."""
    return InvalidRequest(f"{name} {problem}", reason="INVALID_FIELD", metadata={"field": name})
