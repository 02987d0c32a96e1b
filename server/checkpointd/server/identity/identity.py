"""Who makes a call."""

import logging
from typing import Any, TypeAlias

import grpc

from checkpointd.engine.api_keys import PREFIX, ApiKeys
from checkpointd.engine.row_security import EVERY_TENANT
from checkpointd.server.identity import access, certificates
from checkpointd.server.identity.access import Access, Credential
from checkpointd.server.identity.api_keys import KeyRing
from checkpointd.server.identity.config import IdentityConfig
from checkpointd.server.identity.tokens import Tokens
from checkpointd.server.tenancy import DEFAULT, named_tenant

_log = logging.getLogger(__name__)

_KEY = "authorization"

# Quoted: it takes parameters in its type stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Identity:
    """Finds the credential of each call."""

    def __init__(self, config: IdentityConfig, api_keys: ApiKeys) -> None:
        self._config = config
        self._keys = KeyRing(api_keys) if "api-key" in config.methods else None
        self._tokens = Tokens(config.jwt) if config.jwt is not None else None
        self._certificates = "certificate" in config.methods

    async def start(self) -> None:
        """Read what is needed. Raises IdentityError for what can't be read."""
        if self._tokens is not None:
            await self._tokens.start()

    async def access(self, context: Context) -> Access:
        """With which access a call is made. Costs next to nothing when the credential was seen lately.

        Raises:
            Refusal: there is no good credential, or it is of another tenant than the call's metadata names.
            EngineError: the database, which has the API keys, is not to be had.
        """
        credential = await self._credential(context)
        tenant = named_tenant(context)
        if credential.tenant == EVERY_TENANT:
            return Access(credential, tenant or DEFAULT)
        if tenant is not None and tenant != credential.tenant:
            raise access.other_tenant(tenant)
        return Access(credential, credential.tenant)

    async def _credential(self, context: Context) -> Credential:
        shown = [value for key, value in context.invocation_metadata() or () if key == _KEY]
        try:
            if shown:
                return await self._shown(shown)
            if self._certificates and (found := _certificate(context)) is not None:
                found.check_time()
                return found
        except ValueError as problem:
            _log.info("refused a credential of %s: %s", context.peer(), problem)
            raise access.invalid() from None
        raise access.missing(self._how)

    async def _shown(self, shown: list[str | bytes]) -> Credential:
        kind, _, secret = str(shown[0]).partition(" ")
        if len(shown) > 1 or kind.lower() != "bearer":
            raise ValueError("it is not one 'Bearer ...'")
        if secret.startswith(PREFIX):
            if self._keys is None:
                raise ValueError("it is an API key, which --auth does not allow")
            return await self._keys.credential(secret)
        if self._tokens is None:
            raise ValueError("it is no API key, and --auth does not allow JWTs")
        return await self._tokens.credential(secret)

    @property
    def _how(self) -> str:
        kinds = [name for kind, name in (("api-key", "an API key"), ("jwt", "a JWT")) if kind in self._config.methods]
        if not kinds:
            return "connect with a certificate that has a name checkpointd://TENANT/ROLE"
        return f"send {' or '.join(kinds)} as metadata 'authorization: Bearer ...'"


def _certificate(context: Context) -> Credential | None:
    found = list(context.auth_context().get("x509_pem_cert", ()))
    return certificates.credential(found[0]) if found else None
