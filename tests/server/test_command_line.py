"""The command line: options, their environment variables, and what is said of values that make no sense."""

import os
import re
from pathlib import Path

import pytest

from tests.server.command import run
from tests.server.wire import health
from tests.server_process import ServerProcess

_OPTIONS = {
    "--listen": "CHECKPOINTD_LISTEN",
    "--session-port": "CHECKPOINTD_SESSION_PORT",
    "--data-dir": "CHECKPOINTD_DATA_DIR",
    "--database-url": "CHECKPOINTD_DATABASE_URL",
    "--max-message-size": "CHECKPOINTD_MAX_MESSAGE_SIZE",
    "--max-in-flight": "CHECKPOINTD_MAX_IN_FLIGHT",
    "--max-queue": "CHECKPOINTD_MAX_QUEUE",
    "--max-request-bytes": "CHECKPOINTD_MAX_REQUEST_BYTES",
    "--max-streams": "CHECKPOINTD_MAX_STREAMS",
    "--value-cache": "CHECKPOINTD_VALUE_CACHE",
    "--database-connections": "CHECKPOINTD_DATABASE_CONNECTIONS",
    "--watch": "CHECKPOINTD_WATCH",
    "--watch-retention": "CHECKPOINTD_WATCH_RETENTION",
    "--drain-timeout": "CHECKPOINTD_DRAIN_TIMEOUT",
    "--log-level": "CHECKPOINTD_LOG_LEVEL",
    "--auth": "CHECKPOINTD_AUTH",
    "--insecure": "CHECKPOINTD_INSECURE",
    "--tls-cert": "CHECKPOINTD_TLS_CERT",
    "--tls-key": "CHECKPOINTD_TLS_KEY",
    "--client-ca": "CHECKPOINTD_CLIENT_CA",
    "--jwks": "CHECKPOINTD_JWKS",
    "--jwt-issuer": "CHECKPOINTD_JWT_ISSUER",
    "--jwt-audience": "CHECKPOINTD_JWT_AUDIENCE",
    "--jwt-claim": "CHECKPOINTD_JWT_CLAIM",
    "--row-security": "CHECKPOINTD_ROW_SECURITY",
    "--retention-interval": "CHECKPOINTD_RETENTION_INTERVAL",
    "--metrics-listen": "CHECKPOINTD_METRICS_LISTEN",
    "--traces": "CHECKPOINTD_TRACES",
    "--log-format": "CHECKPOINTD_LOG_FORMAT",
}


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_help_explains_every_option() -> None:
    answer = run("serve", "--help", COLUMNS="200")
    assert answer.returncode == 0
    for option, variable in _OPTIONS.items():
        assert re.search(rf"^  {option}( [A-Z:|]+)?", answer.stdout, re.MULTILINE), option
        assert f"[{variable}]" in answer.stdout
    named = set(re.findall(r"^  (--[a-z-]+)", answer.stdout, re.MULTILINE))
    assert named - {"--help"} == _OPTIONS.keys()


def test_help_of_the_whole() -> None:
    answer = run("--help")
    assert answer.returncode == 0
    for command in (
        "serve",
        "health",
        "verify",
        "threads",
        "state",
        "history",
        "diff",
        "update",
        "delete",
        "copy",
        "prune",
        "watch",
        "wait",
        "quotas",
    ):
        assert re.search(rf"^    {command} ", answer.stdout, re.MULTILINE)


_BAD_VALUES = [
    ("--listen", ""),
    ("--listen", "50051"),
    ("--listen", ":50051"),
    ("--listen", "localhost:"),
    ("--listen", "localhost:http"),
    ("--listen", "localhost:-1"),
    ("--listen", "localhost:65536"),
    ("--session-port", ""),
    ("--session-port", "some"),
    ("--session-port", "-1"),
    ("--session-port", "65536"),
    ("--session-port", "50051"),
    ("--data-dir", ""),
    ("--data-dir", "~there-is-no-such-user/data"),
    ("--max-message-size", ""),
    ("--max-message-size", "0"),
    ("--max-message-size", "-1"),
    ("--max-message-size", "1.5MiB"),
    ("--max-message-size", "64MB"),
    ("--max-message-size", "2GiB"),
    ("--max-message-size", "9" * 5000),
    ("--max-in-flight", "0"),
    ("--max-in-flight", "1000001"),
    ("--max-queue", "1.5"),
    ("--max-streams", "many"),
    ("--watch", "sometimes"),
    ("--watch-retention", "1"),
    ("--max-request-bytes", ""),
    ("--max-request-bytes", "63MiB"),
    ("--value-cache", ""),
    ("--value-cache", "-1"),
    ("--value-cache", "1GiB"),
    ("--value-cache", "65537MiB"),
    ("--database-connections", ""),
    ("--database-connections", "1"),
    ("--database-connections", "101"),
    ("--database-connections", "2.5"),
    ("--database-connections", "nan"),
    ("--drain-timeout", "-1"),
    ("--drain-timeout", "inf"),
    ("--drain-timeout", "nan"),
    ("--drain-timeout", "soon"),
    ("--log-level", "loud"),
    ("--log-level", ""),
]


@pytest.mark.parametrize(("option", "value"), _BAD_VALUES, ids=[f"{name}-{value[:20]}" for name, value in _BAD_VALUES])
def test_values_that_make_no_sense(option: str, value: str, tmp_path: Path) -> None:
    elsewhere = {} if option == "--data-dir" else {"CHECKPOINTD_DATA_DIR": str(tmp_path / "data")}
    for answer in (
        run("serve", f"{option}={value}", **elsewhere),
        run("serve", **elsewhere | {_OPTIONS[option]: value}),
    ):
        assert answer.returncode == 2
        assert answer.stdout == ""
        assert option in _last_line(answer.stderr)
        assert len(answer.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments",
    [(), ("serve", "--nothing"), ("nothing",), ("serve", "more"), ("serve", "--listen"), ("health", "--nothing")],
)
def test_words_that_make_no_sense(arguments: tuple[str, ...]) -> None:
    answer = run(*arguments)
    assert answer.returncode == 2
    assert _last_line(answer.stderr).startswith("checkpointd")
    assert "Traceback" not in answer.stderr


def test_two_databases_are_one_too_many(tmp_path: Path) -> None:
    answer = run("serve", "--data-dir", str(tmp_path), "--database-url", "postgresql://localhost/x")
    assert answer.returncode == 2
    assert "--data-dir" in answer.stderr
    assert "--database-url" in answer.stderr


def test_options_from_the_environment(tmp_path: Path) -> None:
    settings = {
        "CHECKPOINTD_DATA_DIR": str(tmp_path / "data"),
        "CHECKPOINTD_MAX_MESSAGE_SIZE": "100KiB",
        "CHECKPOINTD_VALUE_CACHE": "1MiB",
        "CHECKPOINTD_DATABASE_CONNECTIONS": "3",
        "CHECKPOINTD_DRAIN_TIMEOUT": "7.5",
        "CHECKPOINTD_LOG_LEVEL": "debug",
    }
    with ServerProcess(tmp_path / "log", **settings) as server:
        assert health(server.address) == "SERVING"
        said = server.log.read_text()
    for setting in (
        f"data_dir={tmp_path / 'data'}",
        "max_message_size=102400",
        "value_cache=1048576",
        "database_connections=3",
        "drain_timeout=7.5",
        "log_level=debug",
    ):
        assert setting in said
    assert (tmp_path / "data" / "postgres").is_dir()


def test_the_command_line_wins_over_the_environment(tmp_path: Path, database_url: str) -> None:
    options = ("--database-url", database_url, "--log-level", "debug", "--drain-timeout", "3")
    wrong = {"CHECKPOINTD_DRAIN_TIMEOUT": "4", "CHECKPOINTD_DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"}
    with ServerProcess(tmp_path / "log", *options, **wrong) as server:
        assert "drain_timeout=3" in server.log.read_text()


def test_health(server: ServerProcess) -> None:
    answer = run("health", "--server", server.address)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{server.address} SERVING\n", "")
    assert run("health", CHECKPOINTD_SERVER=server.address).stdout == answer.stdout


@pytest.mark.parametrize("address", ["127.0.0.1:1", "host.invalid:1"])
def test_health_of_nobody(address: str) -> None:
    answer = run("health", "--server", address)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert address in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_the_first_line_says_where(tmp_path: Path, database_url: str) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        if host == "[::1]" and not os.path.exists("/proc/net/if_inet6"):
            continue
        with ServerProcess(tmp_path / "log", "--database-url", database_url, listen=f"{host}:0") as server:
            assert re.fullmatch(rf"{re.escape(host)}:\d+", server.address)
            assert health(server.address) == "SERVING"
