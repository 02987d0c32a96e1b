"""What a server can be told about identity."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from checkpointd.engine.row_security import RowSecurity

METHODS = ("api-key", "jwt", "certificate")

_TRUTH = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}

Add = Callable[[str, str | None, str, str], None]
"""Adds an option: its name, default, placeholder, and help."""


class IdentityError(Exception):
    """A file or an address that identity needs can't be used; the message says which, why, and by which option."""


@dataclass(frozen=True)
class JwtConfig:
    """Which JWTs are taken."""

    jwks: str  # a path, or a URL
    issuer: str | None
    audience: str | None
    claim: str

    @property
    def is_url(self) -> bool:
        return "://" in self.jwks


@dataclass(frozen=True)
class TlsConfig:
    """Where the certificates are."""

    cert: Path
    key: Path
    client_ca: Path | None


@dataclass(frozen=True)
class IdentityConfig:
    """Who may call."""

    methods: frozenset[str]  # of METHODS; none: everybody
    jwt: JwtConfig | None
    tls: TlsConfig | None
    insecure: bool
    row_security: RowSecurity


def add_options(option: Add, parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Add the options."""
    option(
        "auth",
        "none",
        "METHODS",
        f"how callers show who they are: one or more of {', '.join(METHODS)}, with commas between them; none takes "
        "every call.",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        default=environment.get("CHECKPOINTD_INSECURE", ""),
        help="listen beyond this machine without --auth: whoever reaches the port may do everything. "
        "[CHECKPOINTD_INSECURE]",
    )
    option("tls-cert", None, "FILE", "the server's certificate and those between it and the root, PEM.")
    option("tls-key", None, "FILE", "the private key of --tls-cert, PEM. Both are read again when they change.")
    option(
        "client-ca",
        None,
        "FILE",
        "certificates, PEM; every client must have one that these have signed (mutual TLS).",
    )
    option(
        "jwks",
        None,
        "SOURCE",
        "a file or an https URL with the public keys that JWTs are signed with, a JWKS. Read again when it changes.",
    )
    option("jwt-issuer", None, "TEXT", "the `iss` that JWTs must have.")
    option("jwt-audience", None, "TEXT", "the `aud` that JWTs must have.")
    option(
        "jwt-claim",
        "checkpointd",
        "NAME",
        "the claim that says what a JWT allows: an object with tenant, role and perhaps thread_id_prefixes.",
    )
    option(
        "row-security",
        "auto",
        "WHEN",
        "whether PostgreSQL keeps tenants apart too: on, off, or auto, which is on with --auth where the role may.",
    )


def from_options(options: argparse.Namespace, named: Callable[[str], str]) -> IdentityConfig:
    """The configuration from parsed options.

    Raises:
        ValueError: an option has a value that makes no sense; the message names it, or the variable it came from.
    """
    methods = _methods(options, named)
    tls = _tls(options, named)
    insecure = options.insecure if isinstance(options.insecure, bool) else _TRUTH.get(options.insecure.lower())
    if insecure is None:
        raise ValueError(f"CHECKPOINTD_INSECURE is {options.insecure!r}; give 1 or 0")
    if "certificate" in methods and (tls is None or tls.client_ca is None):
        raise ValueError(f"{named('auth')} has certificate; say who signs them with --client-ca")
    if not methods and not insecure and not is_loopback(options.listen):
        raise ValueError(
            f"{named('listen')} is {options.listen!r}, which others can reach, and the server would not ask who calls; "
            "let it ask with --auth, or say --insecure (CHECKPOINTD_INSECURE=1) if whoever reaches it may do all"
        )
    jwt = _jwt(options, named, methods)
    return IdentityConfig(methods, jwt, tls, insecure, _row_security(options, named, methods))


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _row_security(options: argparse.Namespace, named: Callable[[str], str], methods: frozenset[str]) -> RowSecurity:
    match options.row_security:
        case "on":
            return "on"
        case "off":
            return "off"
        case "auto":  # without identity a tenant is anyway what a caller says
            return "auto" if methods else "off"
    raise ValueError(f"{named('row-security')} is {options.row_security!r}; choose auto, on or off")


def _methods(options: argparse.Namespace, named: Callable[[str], str]) -> frozenset[str]:
    if options.auth in ("", "none"):
        return frozenset()
    methods = frozenset(method.strip() for method in options.auth.split(","))
    if not methods <= set(METHODS):
        raise ValueError(f"{named('auth')} is {options.auth!r}; choose none, or some of {', '.join(METHODS)}")
    return methods


def _tls(options: argparse.Namespace, named: Callable[[str], str]) -> TlsConfig | None:
    if not options.tls_cert and not options.tls_key:
        if options.client_ca:
            raise ValueError(f"{named('client-ca')} is for TLS; give --tls-cert and --tls-key too")
        return None
    if not options.tls_cert or not options.tls_key:
        given, other = ("tls-cert", "--tls-key") if options.tls_cert else ("tls-key", "--tls-cert")
        raise ValueError(f"{named(given)} is given alone; give {other} too")
    if options.listen.startswith("unix:"):
        raise ValueError(f"{named('listen')} is a Unix socket, which has no TLS; leave {named('tls-cert')} out")
    return TlsConfig(
        Path(options.tls_cert), Path(options.tls_key), Path(options.client_ca) if options.client_ca else None
    )


def _jwt(options: argparse.Namespace, named: Callable[[str], str], methods: frozenset[str]) -> JwtConfig | None:
    if "jwt" not in methods:
        for option in ("jwks", "jwt-issuer", "jwt-audience"):
            if getattr(options, option.replace("-", "_")):
                raise ValueError(f"{named(option)} is for JWTs; give --auth jwt too")
        return None
    if not options.jwks:
        raise ValueError(f"{named('auth')} has jwt; say which keys they are signed with by --jwks")
    if "://" in options.jwks:
        parts = urlsplit(options.jwks)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(f"{parts.hostname}:0")):
            raise ValueError(f"{named('jwks')} is no https URL; who is in between could put in keys of their own")
    return JwtConfig(options.jwks, options.jwt_issuer or None, options.jwt_audience or None, options.jwt_claim)
