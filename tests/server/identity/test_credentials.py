"""What is no good credential is refused, with nothing said that helps to find one, and its secret is in no log."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from checkpointd.v1.threads_pb2 import GetThreadRequest, ListThreadsRequest
from tests.server.identity.conftest import Secured, bearer
from tests.server.wire import TENANT, Metadata, invalid, invoke, refused

Make = Callable[..., str]

INVALID = "the credential is not valid here; ask who runs this server for another one"


def unsigned(payload: dict[str, object]) -> str:
    """A token that is signed with `none`."""

    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(payload)}."


def claims_of(token: str) -> dict[str, object]:
    decoded: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def test_a_good_token_is_taken(channel: grpc.Channel, token: Make) -> None:
    assert not invoke(channel, "ListThreads", ListThreadsRequest(), bearer(token("read")))[0].threads


def test_none(channel: grpc.Channel) -> None:
    with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING") as found:
        invoke(channel, "ListThreads", ListThreadsRequest())
    assert found.message == (
        "this server wants a credential; send an API key or a JWT as metadata 'authorization: Bearer ...'"
    )


def _with_shared_secret(secured: Secured, good: str) -> str:
    """Signed by the public key, as if that were a shared secret: PyJWT makes none such, so by hand."""
    public = secured.issuer.keys["one"].public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    body = f"{head}.{good.split('.')[1]}"
    signature = base64.urlsafe_b64encode(hmac.digest(secret, body.encode(), hashlib.sha256)).rstrip(b"=").decode()
    return f"{body}.{signature}"


_BAD: dict[str, Callable[[Secured, Make], str]] = {
    "nothing": lambda secured, token: "",
    "no token": lambda secured, token: "x",
    "an API key of nobody": lambda secured, token: f"cpd_{'a' * 12}_{'b' * 31}",
    "an API key without a secret": lambda secured, token: "cpd_abc",
    "an API key with another secret": lambda secured, token: secured.operator_key[:-3] + "zzz",
    "an API key that is too short": lambda secured, token: secured.operator_key[:-1],
    "signed with none": lambda secured, token: unsigned(claims_of(token("admin"))),
    "signed by nobody": lambda secured, token: token("admin").rpartition(".")[0] + ".",
    "signed with a shared secret": lambda secured, token: _with_shared_secret(secured, token("admin")),
    "signed by another": lambda secured, token: jwt.encode(
        claims_of(token("admin")), ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "one"}
    ),
    "changed": lambda secured, token: ".".join(
        [token("read").split(".")[0], token("admin").split(".")[1], token("read").split(".")[2]]
    ),
    "of an unknown key": lambda secured, token: jwt.encode(
        claims_of(token("admin")), secured.issuer.keys["one"], "ES256", {"kid": "two"}
    ),
    "without an end": lambda secured, token: jwt.encode(
        {key: value for key, value in claims_of(token("read")).items() if key != "exp"},
        secured.issuer.keys["one"],
        "ES256",
        {"kid": "one"},
    ),
    "for others": lambda secured, token: jwt.encode(
        claims_of(token("read")) | {"aud": "another"}, secured.issuer.keys["one"], "ES256", {"kid": "one"}
    ),
    "by others": lambda secured, token: jwt.encode(
        claims_of(token("read")) | {"iss": "another"}, secured.issuer.keys["one"], "ES256", {"kid": "one"}
    ),
    "not good yet": lambda secured, token: jwt.encode(
        claims_of(token("read")) | {"nbf": time.time() + 600}, secured.issuer.keys["one"], "ES256", {"kid": "one"}
    ),
    "with no claim for us": lambda secured, token: token("read", claim="another"),
    "of no role": lambda secured, token: token("owner"),
    "of no tenant": lambda secured, token: token("read", tenant=None),
    "of every tenant": lambda secured, token: token("write", tenant="*"),
    "of an impossible tenant": lambda secured, token: token("write", tenant="a/b"),
    "for a prefix that is all": lambda secured, token: token("read", thread_id_prefixes=["a", ""]),
    "for prefixes that are none": lambda secured, token: token("read", thread_id_prefixes="a"),
    "too long": lambda secured, token: token("read", tenant="x" * 20_000),
}


@pytest.mark.parametrize("bad", _BAD.values(), ids=_BAD)
def test_bad_credentials_get_one_answer(
    secured: Secured, channel: grpc.Channel, token: Make, bad: Callable[[Secured, Make], str]
) -> None:
    shown = bad(secured, token)
    # gRPC takes so much in headers; what is longer does not come through.
    longest = 8000
    with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID") as found:
        invoke(channel, "ListThreads", ListThreadsRequest(), bearer(shown[:longest]))
    assert found.message == INVALID
    assert found.metadata == {}
    secret = shown.rpartition("_" if shown.startswith("cpd_") else ".")[2]
    assert len(secret) < 8 or secret not in secured.server.log.read_text()


@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", "Basic eDp5"),),
        (("authorization", "Bearer"),),
        (("authorization", "cpd_a_b"),),
    ],
    ids=["another scheme", "nothing", "no scheme"],
)
def test_other_headers(channel: grpc.Channel, metadata: Metadata) -> None:
    with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"):
        invoke(channel, "ListThreads", ListThreadsRequest(), metadata)


def test_two_credentials(channel: grpc.Channel, token: Make) -> None:
    with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"):
        invoke(channel, "ListThreads", ListThreadsRequest(), bearer(token("read")) * 2)


def test_one_that_has_ended(channel: grpc.Channel, token: Make) -> None:
    with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED") as found:
        invoke(channel, "ListThreads", ListThreadsRequest(), bearer(token("read", ends_in=-3600)))
    assert found.metadata["expired_at"] in found.message


def test_clocks_may_differ_a_little(channel: grpc.Channel, token: Make) -> None:
    invoke(channel, "ListThreads", ListThreadsRequest(), bearer(token("read", ends_in=-5)))


def test_the_tenant_of_the_metadata_must_be_the_credentials(channel: grpc.Channel, token: Make, tenant: str) -> None:
    shown = bearer(token("admin"))
    invoke(channel, "ListThreads", ListThreadsRequest(), (*shown, (TENANT, tenant)))
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED") as found:
        invoke(channel, "ListThreads", ListThreadsRequest(), (*shown, (TENANT, "another")))
    assert found.metadata == {"tenant": "another"}
    with invalid(TENANT):
        invoke(channel, "ListThreads", ListThreadsRequest(), (*shown, (f"{TENANT}-bin", tenant.encode())))


def test_an_operator_chooses_the_tenant(secured: Secured, channel: grpc.Channel, token: Make, tenant: str) -> None:
    for shown in (bearer(secured.operator_key), bearer(token("operator", tenant="*"))):
        with refused(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"):
            invoke(channel, "GetThread", GetThreadRequest(thread_id="t"), (*shown, (TENANT, tenant)))
        invoke(channel, "ListThreads", ListThreadsRequest(), shown)


def test_nothing_is_parsed_for_somebody_unknown(channel: grpc.Channel) -> None:
    with refused(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"):
        invoke(channel, "PutCheckpoint", b"\xff\xff")


def test_keys_that_are_published_later_are_known(secured: Secured, channel: grpc.Channel, token: Make) -> None:
    secured.issuer.keys["new"] = ec.generate_private_key(ec.SECP256R1())
    secured.issuer.publish()
    shown = bearer(token("read", key="new"))
    end = time.monotonic() + 30
    while True:
        try:
            invoke(channel, "ListThreads", ListThreadsRequest(), shown)
            return
        except grpc.RpcError:
            assert time.monotonic() < end
