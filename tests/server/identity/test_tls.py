"""TLS and mutual TLS with real certificates, which may be replaced while the server runs."""

import re
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from checkpointd.client import AccessDenied, Client, Credentials, Unavailable
from checkpointd.client.langgraph import RemoteSaver
from tests.server.command import run
from tests.server.identity.authority import Authority, Files
from tests.server_process import ServerProcess, eventually


def serving(tmp_path: Path, database_url: str, files: Files, *options: str) -> ServerProcess:
    return ServerProcess(
        tmp_path / "log",
        *("--database-url", database_url, "--tls-cert", str(files.cert), "--tls-key", str(files.key), *options),
    )


def _serial(address: str) -> int:
    """The serial number of the certificate that the server shows."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), timeout=30) as raw, context.wrap_socket(raw) as connected:
        shown = connected.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_a_saver_over_tls(tmp_path: Path, database_url: str, authority: Authority) -> None:
    with serving(tmp_path, database_url, authority.issue("server")) as server:
        with RemoteSaver(server.address, credentials=Credentials(ca_file=authority.ca)) as saver:
            config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
            assert saver.get_tuple(config) is None  # type: ignore[arg-type]
        with Client(server.address, timeout=2) as client, pytest.raises(Unavailable):
            list(client.list_threads())
        with (
            Client(server.address, timeout=2, credentials=Credentials(tls=True)) as client,
            pytest.raises(Unavailable),
        ):
            list(client.list_threads())  # nobody whom the system trusts has signed it


def test_a_certificate_is_replaced(tmp_path: Path, database_url: str, authority: Authority) -> None:
    files = authority.issue("replaced")
    with (
        serving(tmp_path, database_url, files) as server,
        Client(server.address, credentials=Credentials(ca_file=authority.ca)) as before,
    ):
        first = _serial(server.address)
        assert list(before.list_threads()) == []
        whole = files.key.read_bytes()
        files.key.write_bytes(whole[: len(whole) // 2])  # as it is while it is written
        assert _serial(server.address) == first
        authority.issue("replaced")
        assert _serial(server.address) != first
        assert list(before.list_threads()) == []  # on the connection that it has
        with Client(server.address, credentials=Credentials(ca_file=authority.ca)) as after:
            assert list(after.list_threads()) == []


def test_mutual_tls_says_who_calls(tmp_path: Path, database_url: str, authority: Authority) -> None:
    options = ("--client-ca", str(authority.ca), "--auth", "certificate")
    with serving(tmp_path, database_url, authority.issue("server"), *options) as server:

        def client(files: Files | None, **more: object) -> Client:
            shown = Credentials(ca_file=authority.ca, cert_file=files and files.cert, key_file=files and files.key)
            return Client(server.address, credentials=shown, timeout=5, **more)  # type: ignore[arg-type]

        with client(authority.issue("writer", "checkpointd://acme/write?thread_id_prefix=a-")) as writer:
            writer.delete_thread(thread_id="a-1")
            with pytest.raises(AccessDenied, match="not for the thread 'b-1'"):
                writer.delete_thread(thread_id="b-1")
        with (
            client(authority.issue("reader", "checkpointd://acme/read", "https://another/name")) as reader,
            pytest.raises(AccessDenied, match="needs the role write"),
        ):
            reader.delete_thread(thread_id="a-1")
        operator = authority.issue("operator", "checkpointd://*/operator")
        with client(operator, tenant="acme") as operating:
            assert list(operating.list_threads()) == []
        with client(authority.issue("nobody")) as nobody, pytest.raises(AccessDenied) as caught:
            list(nobody.list_threads())
        assert caught.value.reason == "CREDENTIAL_MISSING"
        for name, uris in {
            "two": ["checkpointd://a/read", "checkpointd://b/read"],
            "no-role": ["checkpointd://a"],
            "no-tenant": ["checkpointd:///read"],
            "every-tenant": ["checkpointd://*/admin"],
            "empty-prefix": ["checkpointd://a/read?thread_id_prefix="],
            "another-part": ["checkpointd://a/read?prefix=b"],
        }.items():
            with client(authority.issue(name, *uris)) as odd, pytest.raises(AccessDenied) as caught:
                list(odd.list_threads())
            assert caught.value.reason == "CREDENTIAL_INVALID", name
        with client(None) as without, pytest.raises(Unavailable):
            list(without.list_threads())
        stranger = Authority(tmp_path / "strangers").issue("stranger", "checkpointd://acme/admin")
        with client(stranger) as strange, pytest.raises(Unavailable):
            list(strange.list_threads())


@pytest.mark.parametrize(
    ("cert", "key", "problem"),
    [
        ("missing", "good", "No such file"),
        ("good", "missing", "No such file"),
        ("good", "other", "KEY_VALUES_MISMATCH"),
        ("garbage", "good", "NO_START_LINE|PEM lib|no start line"),
    ],
)
def test_files_that_can_not_serve(tmp_path: Path, authority: Authority, cert: str, key: str, problem: str) -> None:
    good, other = authority.issue("good"), authority.issue("other")
    (tmp_path / "garbage").write_text("garbage")
    certs = {"good": good.cert, "missing": tmp_path / "missing", "garbage": tmp_path / "garbage"}
    keys = {"good": good.key, "missing": tmp_path / "missing", "other": other.key}
    said = run(
        *("serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")),
        *("--tls-cert", str(certs[cert]), "--tls-key", str(keys[key])),
    )
    assert said.returncode == 1
    assert "(--tls-cert)" in said.stderr
    assert not (tmp_path / "data").exists()
    assert re.search(problem, said.stderr), said.stderr


def test_a_health_check_over_tls(tmp_path: Path, database_url: str, authority: Authority) -> None:
    with serving(tmp_path, database_url, authority.issue("server")) as server:
        said = run("health", "--server", server.address, CHECKPOINTD_CA_FILE=str(authority.ca))
        assert said.stdout == f"{server.address} SERVING\n"
        assert run("health", "--server", server.address).returncode == 1


def test_a_unix_socket(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "socket"
    target = f"unix:{path}"
    with ServerProcess(tmp_path / "log", "--database-url", database_url, listen=target) as server:
        assert server.address == target
        with RemoteSaver(target) as saver:
            saver.delete_thread("t")
        assert run("health", "--server", target).stdout == f"{target} SERVING\n"
        said = run("serve", "--listen", target, "--database-url", database_url)
        assert said.returncode == 1
        assert f"can't listen on {target}: is another server running there?" in said.stderr
        server.kill()
    with ServerProcess(tmp_path / "log", "--database-url", database_url, listen=target), Client(target) as client:
        eventually("it serves where a killed one has left its socket", lambda: list(client.list_threads()) == [])


@pytest.mark.parametrize("there", ["file", "nowhere"])
def test_where_no_unix_socket_can_be(tmp_path: Path, there: str) -> None:
    (tmp_path / "file").write_text("precious")
    path = tmp_path / "file" if there == "file" else tmp_path / "nowhere" / "socket"
    said = run("serve", "--listen", f"unix:{path}", "--data-dir", str(tmp_path / "data"))
    assert said.returncode == 1
    assert f"can't listen on unix:{path}: " in said.stderr
    assert (tmp_path / "file").read_text() == "precious"
