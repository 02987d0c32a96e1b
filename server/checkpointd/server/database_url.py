"""Is a database URL one? Mistakes are told without quoting it: what stands in the wrong place may be a password."""

import ipaddress
import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

_SCHEME = re.compile(r"postgres(ql)?://")


def is_valid(url: str) -> bool:
    """Whether libpq takes this URL or connection string, and finds in it what its author meant.

    libpq finds a host and a database also in a URL whose password has an @ or a / that is not percent-encoded, and
    names both, each with a part of the password, in what it says of them.
    """
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        return False
    scheme = _SCHEME.match(url)
    if scheme and "@" in _after_the_user(url[scheme.end() :]):
        return False
    if not scheme and "://" in str(parts.get("dbname", "")):
        return False
    hosts, ports = (str(parts.get(name, "")).split(",") for name in ("host", "port"))
    return all(map(_may_be_host, hosts)) and all(map(_may_be_port, ports))


def _after_the_user(rest: str) -> str:
    """Host, port and database as they stand in a URL without its scheme, which libpq reads in this order."""
    end = re.search("[@/]", rest)
    if end and end[0] == "@":
        rest = rest[end.end() :]
    return rest.partition("?")[0]


def _may_be_host(host: str) -> bool:
    if host.startswith(("/", "@")):  # a directory of unix sockets, or a socket in Linux's abstract namespace
        return True
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
    return "@" not in host


def _may_be_port(port: str) -> bool:
    return not port or (port.isascii() and port.isdecimal() and 0 < int(port) < 65536)
