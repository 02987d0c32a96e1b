"""API keys: made, listed, rotated and revoked, by command and by rpc, and heeded by every server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from checkpointd.client import AccessDenied, Client, Credentials, FailedPrecondition, InvalidRequest, NotFound
from checkpointd.v1.access_pb2 import Role
from checkpointd.v1.core_pb2 import Checkpoint
from tests.postgres import TestPostgres
from tests.server.command import run
from tests.server.identity.conftest import Secured
from tests.server_process import ServerProcess, eventually


@pytest.fixture
def admin(secured: Secured, tenant: str) -> Iterator[Client]:
    """An administrator of the test's tenant."""
    with Client(secured.server.address, tenant=tenant, credentials=Credentials(token=secured.operator_key)) as client:
        made = client.create_api_key(role=Role.ROLE_ADMIN, name="the administrator")
    with Client(secured.server.address, credentials=Credentials(token=made.secret)) as client:
        yield client


def client_of(secured: Secured, token: str) -> Client:
    return Client(secured.server.address, credentials=Credentials(token=token))


def test_a_key_allows_what_it_says(secured: Secured, admin: Client) -> None:
    made = admin.create_api_key(role=Role.ROLE_READ, name="a reader", thread_id_prefixes=["a-"], ttl=3600)
    assert made.secret.startswith(f"cpd_{made.api_key.key_id}_")
    assert (made.api_key.name, made.api_key.role, list(made.api_key.thread_id_prefixes)) == (
        "a reader",
        Role.ROLE_READ,
        ["a-"],
    )
    assert (made.api_key.expires_at.ToDatetime() - made.api_key.created_at.ToDatetime()).total_seconds() == 3600
    with client_of(secured, made.secret) as reader:
        assert list(reader.list_threads(thread_id_prefix="a-")) == []
        with pytest.raises(AccessDenied, match="needs the role write"):
            reader.delete_thread(thread_id="a-1")
        with pytest.raises(AccessDenied, match="is about all threads here"):
            list(reader.list_threads())
        with pytest.raises(AccessDenied, match="needs the role admin"):
            reader.list_api_keys()


def test_the_database_does_not_have_it(secured: Secured, admin: Client) -> None:
    secret = admin.create_api_key(role=Role.ROLE_READ).secret.rpartition("_")[2]
    with psycopg.connect(secured.database_url) as connection:
        rows = connection.execute("SELECT api_key::text FROM checkpointd.api_keys AS api_key").fetchall()
    assert rows
    assert secret not in str(rows)
    assert secret not in secured.server.log.read_text()


def test_no_key_allows_more_than_its_makers(admin: Client) -> None:
    with pytest.raises(InvalidRequest, match="role is more than the caller's own"):
        admin.create_api_key(role=Role.ROLE_OPERATOR)
    with pytest.raises(InvalidRequest, match="role is none of the contract's"):
        admin.create_api_key(role=Role.ROLE_UNSPECIFIED)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "x" * 256}, "name"),
        ({"thread_id_prefixes": [""]}, "thread_id_prefixes"),
        ({"thread_id_prefixes": [f"{number}" for number in range(101)]}, "thread_id_prefixes"),
        ({"ttl": 0.5}, "ttl"),
        ({"ttl": 1e10}, "ttl"),
    ],
)
def test_a_key_that_can_not_be(admin: Client, wrong: dict[str, object], field: str) -> None:
    keys = admin.list_api_keys()
    with pytest.raises(InvalidRequest) as caught:
        admin.create_api_key(**{"role": Role.ROLE_READ} | wrong)  # type: ignore[arg-type]
    assert caught.value.metadata["field"] == field
    assert admin.list_api_keys() == keys


def test_a_list_has_the_last_one_first(admin: Client) -> None:
    for number in range(3):
        admin.create_api_key(role=Role.ROLE_READ, name=f"{number}")
    assert [key.name for key in admin.list_api_keys()] == ["2", "1", "0", "the administrator"]


def test_a_key_that_has_ended(secured: Secured, admin: Client) -> None:
    made = admin.create_api_key(role=Role.ROLE_READ, ttl=1)
    with client_of(secured, made.secret) as reader:

        def has_ended() -> bool:
            try:
                list(reader.list_threads())
            except AccessDenied as error:
                return error.reason == "CREDENTIAL_EXPIRED"
            return False

        eventually("the key ends", has_ended)


def test_a_revoked_key_ends_its_sessions(secured: Secured, admin: Client) -> None:
    made = admin.create_api_key(role=Role.ROLE_READ)
    with client_of(secured, made.secret) as reader:
        with pytest.raises(NotFound):
            reader.get_checkpoint(thread_id="t")  # in a session
        admin.revoke_api_key(key_id=made.api_key.key_id)
        admin.revoke_api_key(key_id=made.api_key.key_id)

        def is_refused() -> bool:
            try:
                reader.get_checkpoint(thread_id="t")
            except AccessDenied as error:
                return error.reason == "CREDENTIAL_EXPIRED"
            except NotFound:
                return False
            raise AssertionError

        eventually("the revoked key is refused", is_refused)


def test_a_revoked_key_ends_its_watches(secured: Secured, admin: Client) -> None:
    made = admin.create_api_key(role=Role.ROLE_READ)
    with client_of(secured, made.secret) as reader:
        events = reader.watch(token=reader.watch_token())
        admin.put_checkpoint(thread_id="watched", checkpoint=Checkpoint(id="c"))
        assert next(events).thread_id == "watched"
        admin.revoke_api_key(key_id=made.api_key.key_id)

        def until_it_is_noticed() -> None:
            while True:
                admin.put_checkpoint(thread_id="watched", checkpoint=Checkpoint(id="c"))
                next(events)

        with pytest.raises(AccessDenied) as refused:
            until_it_is_noticed()
        assert refused.value.reason == "CREDENTIAL_EXPIRED"


def test_a_rotated_key_and_its_new_one(secured: Secured, admin: Client) -> None:
    old = admin.create_api_key(role=Role.ROLE_WRITE, name="a writer", thread_id_prefixes=["a-"], ttl=3600)
    new = admin.rotate_api_key(key_id=old.api_key.key_id, grace=600)
    assert new.api_key.key_id != old.api_key.key_id
    assert (new.api_key.name, new.api_key.role, list(new.api_key.thread_id_prefixes)) == (
        "a writer",
        Role.ROLE_WRITE,
        ["a-"],
    )
    assert (new.api_key.expires_at.ToDatetime() - new.api_key.created_at.ToDatetime()).total_seconds() == 3600
    for token in (old.secret, new.secret):
        with client_of(secured, token) as writer:
            writer.delete_thread(thread_id="a-1")
    ends = {key.key_id: key.expires_at.ToDatetime() for key in admin.list_api_keys()}
    assert ends[old.api_key.key_id] < old.api_key.expires_at.ToDatetime()
    admin.rotate_api_key(key_id=new.api_key.key_id)
    with pytest.raises(NotFound, match="there is no API key"):
        admin.rotate_api_key(key_id=new.api_key.key_id)


def test_keys_of_others_are_nothing(secured: Secured, admin: Client) -> None:
    operators = secured.operator_key.split("_")[1]
    for act in (
        lambda: admin.revoke_api_key(key_id=operators),
        lambda: admin.rotate_api_key(key_id=operators),
        lambda: admin.revoke_api_key(key_id="nobodys"),
    ):
        with pytest.raises(NotFound):
            act()
    assert operators not in [key.key_id for key in admin.list_api_keys()]
    with client_of(secured, secured.operator_key) as operator:
        assert operators in [key.key_id for key in operator.list_api_keys()]


def test_a_server_that_takes_none(server: ServerProcess) -> None:
    with Client(server.address) as client:
        with pytest.raises(FailedPrecondition, match="start it with --auth api-key") as caught:
            client.create_api_key(role=Role.ROLE_READ)
        assert caught.value.reason == "API_KEYS_OFF"


def _keys(secured: Secured, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run("keys", *words, "--server", secured.server.address, COLUMNS="200", **settings)


def test_the_command(secured: Secured, tenant: str, tmp_path: Path) -> None:
    operator = {"CHECKPOINTD_TOKEN": secured.operator_key, "CHECKPOINTD_TENANT": tenant}
    made = _keys(secured, "create", "an administrator", "--role", "admin", "--ttl", "90d", **operator)
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert "this is the only time that the key" in made.stderr
    (tmp_path / "token").write_text(f"{key}\n")
    shown = ("--token-file", str(tmp_path / "token"))
    created = _keys(secured, "create", "--role", "read", "--prefix", "a-", "--prefix", "b-", "--json", *shown)
    reader = json.loads(created.stdout)
    assert reader["thread_id_prefixes"] == ["a-", "b-"]
    assert reader["secret"].startswith(f"cpd_{reader['key_id']}_")
    listed = _keys(secured, "list", *shown).stdout
    assert reader["key_id"] in listed
    assert "a-*, b-*" in listed
    assert "an administrator" in listed
    assert key.rpartition("_")[2] not in listed
    rotated = _keys(secured, "rotate", reader["key_id"], "--grace", "1h", "--json", *shown)
    assert json.loads(rotated.stdout)["key_id"] != reader["key_id"]
    assert _keys(secured, "revoke", reader["key_id"], *shown).stdout == f"revoked {reader['key_id']}\n"
    missing = _keys(secured, "revoke", "nobodys", *shown)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "there is no API key 'nobodys'" in missing.stderr
    nobody = _keys(secured, "list")
    assert nobody.returncode == 1
    assert "this server wants a credential" in nobody.stderr


def test_the_first_key_of_a_tenant(secured: Secured, tenant: str) -> None:
    made = run("admin-key", "--database-url", secured.database_url, "--tenant", tenant)
    assert made.returncode == 0, made.stderr
    with client_of(secured, made.stdout.strip()) as client:
        assert [key.role for key in client.list_api_keys()] == [Role.ROLE_ADMIN]
    wrong = run("admin-key", "--database-url", secured.database_url, "--tenant", "a/b")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "is not a tenant's name" in wrong.stderr


def test_the_first_key_of_an_embedded_database(server: ServerProcess) -> None:
    made = run("admin-key", "--data-dir", str(server.log.parent / "data"))
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("cpd_")


def test_a_database_that_went_away_makes_no_key_wrong(postgres: TestPostgres, tmp_path: Path) -> None:
    url = postgres.create_database()
    key = run("admin-key", "--database-url", url).stdout.strip()
    with (
        ServerProcess(tmp_path / "log", "--database-url", url, "--auth", "api-key") as server,
        Client(server.address, credentials=Credentials(token=key), timeout=30) as client,
    ):
        assert list(client.list_threads()) == []
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert list(client.list_threads()) == []
    postgres.drop_database(url)
