-- name: make_api_key
INSERT INTO checkpointd.api_keys (tenant, key_id, secret_hash, name, role, thread_id_prefixes, expires_at)
VALUES (
    %(tenant)s, %(key_id)s, %(secret_hash)s, %(name)s, %(role)s, %(thread_id_prefixes)s,
    now() + %(ttl)s::float8 * interval '1 second'
)
RETURNING key_id, name, role, thread_id_prefixes, created_at, expires_at

-- name: find_api_key
-- A key by its id, which any key may have, so its secret has to be looked at. The last column is for how many seconds it is
-- good yet, by the database's clock; NULL for ever.
SELECT tenant, secret_hash, name, role, thread_id_prefixes,
    extract(epoch FROM expires_at - clock_timestamp())::float8
FROM checkpointd.api_keys
WHERE key_id = %(key_id)s

-- name: list_api_keys
SELECT key_id, name, role, thread_id_prefixes, created_at, expires_at
FROM checkpointd.api_keys
WHERE tenant = ANY(%(tenants)s)
ORDER BY created_at DESC, key_id
LIMIT %(limit)s

-- name: rotate_api_key
-- Makes a key that allows what another one does, and lets that one end. No row: there is none, or it has ended.
WITH old AS (
    UPDATE checkpointd.api_keys SET
        expires_at = least(expires_at, now() + %(grace)s::float8 * interval '1 second')
    WHERE key_id = %(old_key_id)s AND tenant = ANY(%(tenants)s) AND (expires_at IS NULL OR expires_at > now())
    RETURNING tenant
),
before AS (
    -- As it was before the update, which a statement does not see of itself.
    SELECT api_key.* FROM checkpointd.api_keys AS api_key JOIN old ON old.tenant = api_key.tenant
    WHERE api_key.key_id = %(old_key_id)s
)
INSERT INTO checkpointd.api_keys (tenant, key_id, secret_hash, name, role, thread_id_prefixes, expires_at)
SELECT tenant, %(key_id)s, %(secret_hash)s, name, role, thread_id_prefixes, now() + (expires_at - created_at)
FROM before
RETURNING key_id, name, role, thread_id_prefixes, created_at, expires_at

-- name: revoke_api_key
UPDATE checkpointd.api_keys SET expires_at = least(expires_at, now())
WHERE key_id = %(key_id)s AND tenant = ANY(%(tenants)s)
RETURNING key_id

-- name: forget_api_keys
DELETE FROM checkpointd.api_keys WHERE expires_at < now() - %(age)s::float8 * interval '1 second'
