-- name: acquire_lease
-- Takes the lease of a thread that nobody holds, or lasts one's own longer. No row: somebody else holds it.
INSERT INTO checkpointd.leases AS lease (tenant, thread_id, token, holder, expires_at)
VALUES (
    %(tenant)s, %(thread_id)s, nextval('checkpointd.fencing_tokens'), %(holder)s,
    clock_timestamp() + %(ttl)s::float8 * interval '1 second'
)
ON CONFLICT (tenant, thread_id) DO UPDATE SET
    token = CASE WHEN lease.holder = excluded.holder AND lease.expires_at > clock_timestamp()
        THEN lease.token ELSE excluded.token END,
    holder = excluded.holder,
    expires_at = clock_timestamp() + %(ttl)s::float8 * interval '1 second'
WHERE lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
RETURNING token, holder, expires_at, extract(epoch FROM expires_at - clock_timestamp())::float8

-- name: read_lease
-- A lease that lasts.
SELECT token, holder, expires_at, extract(epoch FROM expires_at - clock_timestamp())::float8
FROM checkpointd.leases
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND expires_at > clock_timestamp()

-- name: renew_lease
UPDATE checkpointd.leases SET expires_at = clock_timestamp() + %(ttl)s::float8 * interval '1 second'
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND token = %(token)s AND holder = %(holder)s
    AND expires_at > clock_timestamp()
RETURNING token, holder, expires_at, extract(epoch FROM expires_at - clock_timestamp())::float8

-- name: release_lease
DELETE FROM checkpointd.leases
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND token = %(token)s AND holder = %(holder)s

-- name: keep_lease
-- A lease that lasts, kept as it is until the transaction ends (see lock_leases).
SELECT token, holder FROM checkpointd.leases
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND expires_at > clock_timestamp()
FOR SHARE
