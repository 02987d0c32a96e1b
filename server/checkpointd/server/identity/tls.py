"""The server's own certificate, which may be replaced while it runs."""

import logging
import ssl
from typing import Any, NamedTuple

import grpc

from checkpointd.server.identity.config import IdentityError, TlsConfig

_log = logging.getLogger(__name__)


class _Files(NamedTuple):
    """What is in the files."""

    key: bytes
    certificates: bytes
    client_ca: bytes | None


class Certificates:
    """Reads the files, and again for each new connection when they have changed."""

    def __init__(self, config: TlsConfig) -> None:
        """Raises IdentityError for files that can't serve."""
        self._config = config
        self._files = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port of gRPC's is opened with. Connections that are there stay when the files change."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._files), self._changed, require_client_authentication=self._config.client_ca is not None
        )

    def _changed(self) -> Any:
        """Called by gRPC, in a thread of its own, for each new connection; None when nothing has changed."""
        try:
            files = self._read()
        except IdentityError as problem:
            # Most likely one of them is written and the other one is not yet.
            _log.warning("the certificate stays as it was: %s", problem)
            return None
        if files == self._files:
            return None
        self._files = files
        _log.info("the certificate was replaced")
        return _configuration(files)

    def _read(self) -> _Files:
        config = self._config
        try:
            # gRPC would only say that the port can't be opened; and later, it would refuse each connection.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.cert, config.key, _no_password)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            raise IdentityError(
                f"can't use {config.cert} (--tls-cert) with {config.key} (--tls-key): {error}"
            ) from None
        client_ca = None
        if config.client_ca is not None:
            try:
                ssl.create_default_context(cafile=config.client_ca)
                client_ca = config.client_ca.read_bytes()
            except OSError as error:
                raise IdentityError(f"{config.client_ca} (--client-ca) can't be used: {error}") from None
        return _Files(config.key.read_bytes(), config.cert.read_bytes(), client_ca)


def _no_password() -> str:
    raise ValueError("the key has a password, which nobody is there to type")


def _configuration(files: _Files) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(files.key, files.certificates)], files.client_ca)
