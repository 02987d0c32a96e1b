"""What the command says when it can't have what it was told to use, and what it keeps to itself."""

import socket
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.server_process import COMMAND, ServerProcess, environment

NOT_A_URL = (
    "is not a PostgreSQL URL; give postgresql://user:password@host:port/dbname, "
    "with special characters percent-encoded (%40 for @)"
)
FREE = "127.0.0.1:0"


def run(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the command, which is to end by itself."""
    return subprocess.run(
        [*COMMAND, *words], check=False, capture_output=True, text=True, env=environment(**settings), timeout=60
    )


def refusal(*words: str, code: int, **settings: str) -> str:
    """The one line that `serve` says before it ends with `code`."""
    done = run("serve", *words, **settings)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert done.returncode == code
    return line.removeprefix("checkpointd: ")


@pytest.fixture
def busy() -> Iterator[str]:
    """An address where somebody listens who is no server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_the_version() -> None:
    assert run("--version").stdout == f"checkpointd {version('checkpointd')}\n"


@pytest.mark.parametrize(
    "url",
    [
        "postgre://u:s3cret@h/x",
        "mysql://u:s3cret@h/x",
        "u:s3cret@h/x",
        "s3cret",
        "postgresql:/u:s3cret@h/x",
        "postgresql://u:s3%cret@h/x",
        "postgresql://u:12/s3cret@h/x",
        "postgresql://u:s3/cret@ret@h/x",
        "postgresql://u:p@s3cret@h/x",
        "postgresql://u:p@s/3cret@h/x",
        "postgresql://u:12/3?s3cret@h/x",
        "postgresql://u:s3cret",
        "postgresql://u:p@h:s3cret/x",
        "postgresql://u:p@h:99999/x",
        "postgresql://u:p@h/x?s3cret=1",
        "host=h password=p s3cret",
        "host=u:s3cret@h",
        "dbname=mysql://u:s3cret@h/x",
    ],
)
def test_a_wrong_database_url_is_not_quoted(url: str) -> None:
    assert refusal("--listen", FREE, "--database-url", url, code=2) == f"--database-url {NOT_A_URL}"
    variable = refusal("--listen", FREE, code=2, CHECKPOINTD_DATABASE_URL=url)
    assert variable == f"CHECKPOINTD_DATABASE_URL (--database-url) {NOT_A_URL}"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://u:p%40s3cret@127.0.0.1:1/x", "'x' at 127.0.0.1:1"),
        ("postgres://u:s3cret?#:!@127.0.0.1:1/x", "'x' at 127.0.0.1:1"),
        ("postgresql://127.0.0.1:1/x?user=a@b&password=s3cret", "'x' at 127.0.0.1:1"),
        ("postgresql://u:s3cret@[::1]:1/x", "'x' at ::1:1"),
        ("postgresql://u:s3cret@127.0.0.1:1,127.0.0.2:2/x", "'x' at 127.0.0.1,127.0.0.2:1,2"),
        ("postgresql://u:s3cret@/x?host=/nowhere", "'x' at /nowhere:5432"),
        ("host='/no where' dbname=x password=s3cret", "'x' at /no where:5432"),
        ("host=127.0.0.1 port=1 user=u password=s3cret", "'u' at 127.0.0.1:1"),
        ("service=s3", "of the service 's3'"),
    ],
)
def test_a_good_database_url_is_used_and_its_password_kept(url: str, named: str) -> None:
    said = refusal("--listen", FREE, "--database-url", url, code=1)
    assert said.startswith(f"can't connect to the database {named}: ")
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "u"}, "'u' at 127.0.0.1:1"),
        ({"PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "PGDATABASE": "d"}, "'d' at 127.0.0.1:1"),
        ({"PGHOST": "127.0.0.1", "PGPORT": "1", "PGDATABASE": "mysql:@"}, "'(not shown)' at 127.0.0.1:1"),
    ],
)
def test_the_database_of_libpqs_variables_is_named(settings: dict[str, str], named: str) -> None:
    said = refusal("--listen", FREE, code=1, **settings)
    assert said.startswith(f"can't connect to the database {named}: ")


def test_the_database_of_a_service_is_named(tmp_path: Path) -> None:
    file = tmp_path / "services"
    file.write_text("[ours]\nhost=127.0.0.1\nport=1\ndbname=d\n")
    said = refusal("--listen", FREE, code=1, PGSERVICE="ours", PGSERVICEFILE=str(file))
    assert said.startswith("can't connect to the database 'd' at 127.0.0.1:1: ")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("listen", "foo"),
        ("session-port", "some"),
        ("data-dir", ""),
        ("log-level", "loud"),
        ("max-message-size", "1GB"),
        ("value-cache", "1GB"),
        ("database-connections", "1"),
        ("drain-timeout", "long"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_given(option: str, value: str) -> None:
    variable = f"CHECKPOINTD_{option.upper().replace('-', '_')}"
    assert refusal(f"--{option}", value, code=2).startswith(f"--{option} is '{value}'; ")
    assert refusal(f"--{option}={value}", code=2, **{variable: "other"}).startswith(f"--{option} is '{value}'; ")
    assert refusal(code=2, **{variable: value}).startswith(f"{variable} (--{option}) is '{value}'; ")


def test_an_address_in_use_is_told_before_anything_is_made(busy: str, tmp_path: Path) -> None:
    said = refusal("--listen", busy, "--data-dir", str(tmp_path / "data"), code=1)
    assert said == (
        f"can't listen on {busy}: is another server running there? Stop it, or choose another address with "
        "--listen (CHECKPOINTD_LISTEN)"
    )
    assert not (tmp_path / "data").exists()


def test_a_session_port_in_use_is_told_before_anything_is_made(busy: str, tmp_path: Path) -> None:
    port = busy.rpartition(":")[2]
    said = refusal("--listen", FREE, "--session-port", port, "--data-dir", str(tmp_path / "data"), code=1)
    assert said == (
        f"can't listen on {busy}: is another server running there? Stop it, or choose another --session-port "
        "(CHECKPOINTD_SESSION_PORT); 0 takes a free one"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["nohost.invalid", "192.0.2.1", "[2001:db8::1]", "a..b"])
def test_an_address_of_another_machine(host: str, tmp_path: Path) -> None:
    said = refusal("--listen", f"{host}:50051", "--insecure", "--data-dir", str(tmp_path / "data"), code=1)
    assert f"{host.strip('[]')} is not an address of this machine; " in said
    assert "--listen (CHECKPOINTD_LISTEN)" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("listen", ["localhost:0", "0.0.0.0:0"])
def test_an_address_that_can_be_had(listen: str, tmp_path: Path, database_url: str) -> None:
    with ServerProcess(tmp_path / "log", "--database-url", database_url, "--insecure", listen=listen) as running:
        host, _, port = running.address.rpartition(":")
        assert host == listen.rpartition(":")[0]
        assert run("health", "--server", f"127.0.0.1:{port}").stdout == f"127.0.0.1:{port} SERVING\n"


def test_a_data_directory_in_use(server: ServerProcess) -> None:
    data = server.log.parent / "data"
    said = refusal("--listen", FREE, "--data-dir", str(data), code=1)
    assert f"the data directory {data} is in use by another checkpointd (pid {server.process.pid})" in said
    assert "--data-dir (CHECKPOINTD_DATA_DIR)" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listn", "x"], "no such option: --listn"),
        (["--database-ur=postgresql://u:s3cret@h/x"], "no such option: --database-ur"),
        (["--database-ur", "postgresql://u:s3cret@h/x"], "no such option: --database-ur"),
        (["postgresql://u:s3cret@h/x", "y"], "more words than there are options for"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "health"])
def test_what_is_not_understood_gets_the_commands_usage(command: str, words: list[str], said: str) -> None:
    done = run(command, *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: checkpointd {command} ")
    assert done.stderr.endswith(f"checkpointd {command}: error: {said}\n")
    assert "s3cret" not in done.stderr
