"""Certificates of TLS connections as credentials.

One has a name of the kind URI, `checkpointd://TENANT/ROLE`, and if it is for some threads only
`?thread_id_prefix=PREFIX` for each prefix. An operator's is `checkpointd://*/operator`.
"""

from functools import lru_cache
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509

from checkpointd.server.identity import claims
from checkpointd.server.identity.access import Credential

_SCHEME = "checkpointd://"


@lru_cache(maxsize=10_000)
def credential(pem: bytes) -> Credential | None:
    """What a certificate allows, which gRPC has verified; None when it has no name for us.

    Raises:
        ValueError: it has one that makes no sense, or several; the message, which is for the log, says so.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    ours = [name for name in names.get_values_for_type(x509.UniformResourceIdentifier) if name.startswith(_SCHEME)]
    if not ours:
        return None
    if len(ours) > 1:
        raise ValueError("the certificate has several names for us")
    parts = urlsplit(ours[0])
    given: dict[str, object] = {
        "tenant": unquote(parts.netloc),
        "role": parts.path.removeprefix("/"),
        "thread_id_prefixes": parse_qs(parts.query, keep_blank_values=True).get("thread_id_prefix", []),
    }
    if set(parse_qs(parts.query, keep_blank_values=True)) - {"thread_id_prefix"}:
        raise ValueError("the certificate's name for us has a part that is not known")
    name = f"certificate {certificate.serial_number:x}"
    return claims.credential(given, name, certificate.not_valid_after_utc.timestamp())
