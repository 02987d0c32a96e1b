"""What others than the server issue: certificates and JWTs, made here for tests."""

import datetime
import ipaddress
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_PEM = serialization.Encoding.PEM


class Files(NamedTuple):
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority; its own certificate is the file `ca`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        own = self._builder(self._name, self._key, days=2).add_extension(x509.BasicConstraints(True, None), True)
        home.mkdir(exist_ok=True)
        self.ca = home / "ca.pem"
        self.ca.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    def issue(self, name: str, *uris: str, days: float = 1) -> Files:
        """A certificate for this machine, with names of the kind URI."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            *(x509.UniformResourceIdentifier(uri) for uri in uris),
        ]
        builder = self._builder(subject, key, days).add_extension(x509.SubjectAlternativeName(names), False)
        files = Files(self._home / f"{name}.pem", self._home / f"{name}.key")
        files.key.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        files.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM))
        return files

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + days * _DAY)
        )


class Issuer:
    """Issues JWTs; its public keys are the file `jwks`."""

    def __init__(self, jwks: Path) -> None:
        self.jwks = jwks
        self.keys = {"one": ec.generate_private_key(ec.SECP256R1())}
        self.publish()

    def publish(self) -> None:
        """Write the public keys."""
        published = []
        for name, key in self.keys.items():
            published.append(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": name})
        self.jwks.write_text(json.dumps({"keys": published}))

    def token(self, *, key: str = "one", ends_in: float = 3600, claim: str = "checkpointd", **claims: Any) -> str:
        """A token with these claims for checkpointd."""
        payload = {"sub": "somebody", "iss": "tests", "aud": "checkpoints", "exp": time.time() + ends_in, claim: claims}
        return jwt.encode(payload, self.keys[key], algorithm="ES256", headers={"kid": key})
