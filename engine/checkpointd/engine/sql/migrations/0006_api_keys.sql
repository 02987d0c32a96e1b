-- Credentials that the server makes and keeps.

-- One row a key. secret_hash is the SHA-256 of its secret, which is nowhere. An operator's key is of the tenant '*', which no
-- tenant can be called. One that was revoked has expired. It is found by its id alone, since only the key tells the tenant.
CREATE TABLE checkpointd.api_keys (
    tenant text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL,
    name text NOT NULL,
    role smallint NOT NULL,
    thread_id_prefixes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (key_id)
);

CREATE INDEX api_keys_of_tenant ON checkpointd.api_keys (tenant, created_at);
