"""What a server can be told, from the command line or the environment. Read once, at the start."""

import argparse
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from checkpointd.server import database_url as urls
from checkpointd.server.identity import config as identity_config
from checkpointd.server.identity.config import IdentityConfig

LOG_FORMATS = ("text", "json")

# libpq's variables that name a database; PGUSER, PGPASSWORD and the like only say how to reach it.
_LIBPQ = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")

_LOG_LEVELS = ("debug", "info", "warning", "error")
_TRACES = ("none", "otlp")

MIB = 1 << 20

# Bytes. What a Unix socket's name can have on every system.
_LONGEST_UNIX_PATH = 103


@dataclass(frozen=True)
class Config:
    """The settings of `checkpointd serve`."""

    listen: str
    session_port: int | None  # None: sessions are carried by gRPC only
    data_dir: Path
    database_url: str | None  # None: an embedded PostgreSQL in data_dir; "": what libpq's variables say
    max_message_size: int  # bytes
    max_in_flight: int
    max_queue: int
    max_request_bytes: int
    max_streams: int
    value_cache: int  # bytes
    database_connections: int
    watch: bool
    watch_retention: float  # seconds
    drain_timeout: float  # seconds
    identity: IdentityConfig
    retention_interval: float  # seconds; 0: never
    metrics_listen: str | None
    traces: str  # one of _TRACES
    log_format: str
    log_level: str

    @property
    def is_unix(self) -> bool:
        return self.listen.startswith("unix:")

    @property
    def session_address(self) -> str:
        return f"{self.listen.rpartition(':')[0]}:{self.session_port or 0}"

    @property
    def write_connections(self) -> int:
        return max(1, self.database_connections // 4)

    @property
    def read_connections(self) -> int:
        return self.database_connections - self.write_connections


def add_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Add the options to a parser. Each takes its default from CHECKPOINTD_ and its name, in capitals with _ for -."""
    option = _adder(parser, environment)
    option(
        "listen",
        "127.0.0.1:50051",
        "ADDRESS",
        "where to listen: HOST:PORT, where port 0 takes a free one, or unix:PATH for a Unix socket.",
    )
    option(
        "session-port",
        "0",
        "PORT",
        "where clients' sessions are carried without gRPC, which is faster: a port beside that of --listen, which "
        "clients are told of, and do without if they can't reach it; 0 takes a free one, none has none. There is none "
        "with --auth or TLS, nor beside a Unix socket.",
    )
    identity_config.add_options(option, parser, environment)
    add_database_options(parser, environment)
    option(
        "max-message-size",
        "64MiB",
        "SIZE",
        "the largest request taken: bytes, or a number with KiB or MiB (at most 256MiB).",
    )
    option(
        "max-in-flight",
        "10000",
        "N",
        "requests under way at once, of all clients: calls, and ops of sessions. What is over it is refused, with a "
        "delay after which clients try again. 1 to 1000000.",
    )
    option("max-queue", "5000", "N", "commits that wait for the database at once; as --max-in-flight. 1 to 1000000.")
    option(
        "max-request-bytes",
        "512MiB",
        "SIZE",
        "memory for requests under way, at least --max-message-size; as --max-in-flight. Bytes, or a number with KiB "
        "or MiB (at most 65536MiB).",
    )
    option(
        "max-streams",
        "10000",
        "N",
        "sessions, lists and calls that wait for a lease at once; as --max-in-flight. 1 to 1000000.",
    )
    option(
        "value-cache",
        "128MiB",
        "SIZE",
        "memory for the last large values of threads, with which new ones are compared; 0 stores all of them whole. "
        "Bytes, or a number with KiB or MiB (at most 65536MiB).",
    )
    option(
        "database-connections",
        "8",
        "N",
        "connections to PostgreSQL, however many clients there are; a quarter of them write. 2 to 100.",
    )
    option(
        "watch",
        "on",
        "SWITCH",
        "on or off: whether what is committed is noted for those who watch; off saves a few percent of a commit. All "
        "servers of a database should have the same.",
    )
    option(
        "watch-retention",
        "86400",
        "SECONDS",
        "how long it is kept, and so how long a watch may break off and go on without a gap. 60 to 2592000.",
    )
    option(
        "drain-timeout",
        "30",
        "SECONDS",
        "how long a stopping server lets running calls finish before it cuts them off.",
    )
    option(
        "retention-interval",
        "600",
        "SECONDS",
        "how long after a round of retention the next one begins, by one of the servers; 0: not by this one.",
    )
    option(
        "metrics-listen",
        "none",
        "ADDRESS",
        "HOST:PORT for HTTP: /metrics for Prometheus, /healthz, /readyz; port 0 takes a free one.",
    )
    option(
        "traces",
        "none",
        "WHERE",
        "otlp sends OpenTelemetry traces where its OTEL_* variables say; needs the extra checkpointd[telemetry].",
    )
    option("log-format", "text", "FORMAT", f"how to log: {' or '.join(LOG_FORMATS)}.")
    option("log-level", "info", "LEVEL", f"how much to log on stderr: {', '.join(_LOG_LEVELS)}.")


def add_database_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Add the options that say which database it is."""
    option = _adder(parser, environment)
    option(
        "data-dir",
        str(_default_data_dir(environment)),
        "DIR",
        "where the embedded PostgreSQL keeps its data; `serve` makes it if it is missing.",
    )
    option(
        "database-url",
        None,
        "URL",
        "use this PostgreSQL (14 or newer) instead of an embedded one: postgresql://user:password@host:port/dbname. "
        "Without it, libpq's PGHOST, PGDATABASE or PGSERVICE choose a database too, unless --data-dir is given.",
    )


def _adder(
    parser: argparse.ArgumentParser, environment: Mapping[str, str]
) -> Callable[[str, str | None, str, str], None]:
    def option(name: str, default: str | None, metavar: str, text: str) -> None:
        variable = variable_of(name)
        shown = f" Default: {default}." if default is not None else ""
        parser.add_argument(
            f"--{name}",
            default=environment.get(variable, default),
            metavar=metavar,
            help=f"{text}{shown} [{variable}]".replace("%", "%%"),
        )

    return option


def variable_of(option: str) -> str:
    """The environment variable of an option."""
    return f"CHECKPOINTD_{option.upper().replace('-', '_')}"


def from_options(options: argparse.Namespace, arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The configuration from parsed options.

    Raises:
        ValueError: an option has a value that makes no sense; the message names it, or the variable it came from.
    """

    named = _namer(arguments, environment)
    database_url, data_dir = database_of(options, arguments, environment)
    if options.log_level not in _LOG_LEVELS:
        raise ValueError(f"{named('log-level')} is {options.log_level!r}; choose {', '.join(_LOG_LEVELS)}")
    if options.log_format not in LOG_FORMATS:
        raise ValueError(f"{named('log-format')} is {options.log_format!r}; choose {' or '.join(LOG_FORMATS)}")
    port = _port(named("listen"), options.listen)
    identity = identity_config.from_options(options, named)
    session_port = _session_port(named("session-port"), options.session_port, port)
    max_message_size = _size(named("max-message-size"), options.max_message_size, 1, 256 * MIB)
    max_request_bytes = _size(named("max-request-bytes"), options.max_request_bytes, 1, 65536 * MIB)
    if max_request_bytes < max_message_size:
        raise ValueError(
            f"{named('max-request-bytes')} is {options.max_request_bytes!r}, into which no request of "
            "--max-message-size fits; give more, or a smaller --max-message-size"
        )
    return Config(
        listen=options.listen,
        session_port=None if port is None or identity.methods or identity.tls else session_port,
        data_dir=data_dir,
        database_url=database_url,
        max_message_size=max_message_size,
        max_in_flight=_count(named("max-in-flight"), options.max_in_flight),
        max_queue=_count(named("max-queue"), options.max_queue),
        max_request_bytes=max_request_bytes,
        max_streams=_count(named("max-streams"), options.max_streams),
        value_cache=_size(named("value-cache"), options.value_cache, 0, 65536 * MIB),
        database_connections=int(
            _number(named("database-connections"), options.database_connections, 2, 100, whole=True)
        ),
        watch=_on_or_off(named("watch"), options.watch),
        watch_retention=_number(named("watch-retention"), options.watch_retention, 60, 2592000),
        drain_timeout=_number(named("drain-timeout"), options.drain_timeout, 0, 3600),
        identity=identity,
        retention_interval=_number(named("retention-interval"), options.retention_interval, 0, 86400),
        metrics_listen=_metrics_listen(named("metrics-listen"), options.metrics_listen),
        traces=_traces(named("traces"), options.traces),
        log_format=options.log_format,
        log_level=options.log_level,
    )


def database_of(
    options: argparse.Namespace, arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[str | None, Path]:
    """The database that parsed options choose: its URL, and where the embedded one's data is (see Config).

    Raises:
        ValueError: an option has a value that makes no sense; the message names it, or the variable it came from.
    """
    named = _namer(arguments, environment)
    given_data_dir = variable_of("data-dir") in environment or _is_among(arguments, "data-dir")
    database_url = options.database_url
    if not database_url:
        database_url = None
        if not given_data_dir and any(environment.get(name) for name in _LIBPQ):
            database_url = ""
    elif _is_among(arguments, "data-dir"):
        raise ValueError(
            f"--data-dir is for the embedded PostgreSQL and {named('database-url')} for another; give one of them"
        )
    elif not urls.is_valid(database_url):
        raise ValueError(
            f"{named('database-url')} is not a PostgreSQL URL; give postgresql://user:password@host:port/dbname, "
            "with special characters percent-encoded (%40 for @)"
        )
    return database_url, _directory(named("data-dir"), options.data_dir)


def _namer(arguments: Sequence[str], environment: Mapping[str, str]) -> Callable[[str], str]:
    def named(option: str) -> str:
        from_environment = variable_of(option) in environment and not _is_among(arguments, option)
        return f"{variable_of(option)} (--{option})" if from_environment else f"--{option}"

    return named


def _is_among(arguments: Sequence[str], option: str) -> bool:
    return any(word.partition("=")[0] == f"--{option}" for word in arguments)


def _directory(name: str, text: str) -> Path:
    try:
        if not text:
            raise ValueError("it would be the current directory")
        return Path(text).expanduser()
    except (ValueError, RuntimeError) as problem:  # the latter for ~somebody whom the system doesn't know
        raise ValueError(f"{name} is {text!r}; give a directory ({problem})") from None


def _number(name: str, text: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        value = float(text)
        if not least <= value <= most or (whole and not value.is_integer()):
            raise ValueError
    except ValueError:
        kind = "whole number" if whole else "number"
        raise ValueError(f"{name} is {text!r}; give a {kind} from {least:g} to {most:g}") from None
    return value


def _count(name: str, text: str) -> int:
    return int(_number(name, text, 1, 1_000_000, whole=True))


def _port(name: str, listen: str) -> int | None:
    """The port of an address to listen on; None for a Unix socket, which has none."""
    if listen.startswith("unix:"):
        path = listen.removeprefix("unix:")
        if not path or len(os.fsencode(path)) > _LONGEST_UNIX_PATH:
            raise ValueError(f"{name} is {listen!r}; give unix: and a path of 1 to {_LONGEST_UNIX_PATH} bytes")
        return None
    host, colon, port = listen.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{name} is {listen!r}; give HOST:PORT, such as 127.0.0.1:50051 or [::]:50051, or unix:PATH")
    return int(port)


def _metrics_listen(name: str, listen: str) -> str | None:
    if listen == "none":
        return None
    if _port(name, listen) is None:
        raise ValueError(f"{name} is {listen!r}; give HOST:PORT, or none")
    return listen


def _on_or_off(name: str, given: str) -> bool:
    if given not in ("on", "off"):
        raise ValueError(f"{name} is {given!r}; choose on or off")
    return given == "on"


def _traces(name: str, given: str) -> str:
    if given not in _TRACES:
        raise ValueError(f"{name} is {given!r}; choose {' or '.join(_TRACES)}")
    if given == "otlp" and importlib.util.find_spec("opentelemetry.exporter.otlp") is None:
        raise ValueError(f"{name} is otlp, which needs pip install 'checkpointd[server,telemetry]'")
    return given


def _session_port(name: str, text: str, other: int | None) -> int | None:
    if text == "none":
        return None
    if not (text.isascii() and text.isdecimal() and int(text) < 65536):
        raise ValueError(f"{name} is {text!r}; give a port, 0 for a free one, or none")
    if other and int(text) == other:
        raise ValueError(f"{name} is {text!r}, which is the port of --listen; give another one")
    return int(text)


def _size(name: str, text: str, least: int, most: int) -> int:
    number, factor = text, 1
    for unit, bytes_of_unit in (("KiB", 1 << 10), ("MiB", MIB)):
        if text.endswith(unit):
            number, factor = text.removesuffix(unit), bytes_of_unit
    # More digits than any size has, and Python refuses to look at them.
    value = int(number) * factor if number.isdecimal() and len(number) < 20 else -1
    if not least <= value <= most:
        raise ValueError(f"{name} is {text!r}; give bytes, or a number with KiB or MiB, up to {most // MIB}MiB")
    return value


def _default_data_dir(environment: Mapping[str, str]) -> Path:
    """Where a user's programs keep their data, by the XDG base directory specification."""
    base = environment.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
    return Path(base) / "checkpointd"


def describe(config: Config) -> list[str]:
    """The settings, one a line, for the log. A database URL may hold a password, so it is not among them."""
    return [f"{field.name}={getattr(config, field.name)}" for field in fields(config) if field.name != "database_url"]
