-- name: lock_lease
-- Makes sure that there is a row, and keeps it from others until the transaction ends. A new one is nobody's. Returns the token so
-- far.
INSERT INTO checkpointd.leases AS lease (tenant, thread_id, token, holder, expires_at)
VALUES (%(tenant)s, %(thread_id)s, 0, '', '-infinity')
ON CONFLICT (tenant, thread_id) DO UPDATE SET token = lease.token
RETURNING token

-- name: acquire_lease
-- Takes the lease of a thread that nobody holds, or lasts one's own longer. No row: somebody else holds it. Runs after
-- lock_lease in the same transaction: a token that was drawn before the row was had could be smaller than one which was
-- given meanwhile.
UPDATE checkpointd.leases AS lease SET
    token = CASE WHEN lease.holder = %(holder)s AND lease.expires_at > clock_timestamp()
        THEN lease.token ELSE nextval('checkpointd.fencing_tokens') END,
    holder = %(holder)s,
    expires_at = clock_timestamp() + %(ttl)s::float8 * interval '1 second'
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
    AND (lease.holder = %(holder)s OR lease.expires_at <= clock_timestamp())
RETURNING token, holder, expires_at, extract(epoch FROM expires_at - clock_timestamp())::float8

-- name: draw_token
SELECT nextval('checkpointd.fencing_tokens'), clock_timestamp()

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

-- name: release_lease_noted
-- As release_lease, with an event. That comes after what was committed under the lease, for which this waits.
WITH released AS ({{release_lease}} RETURNING tenant, thread_id)
INSERT INTO checkpointd.events (tenant, thread_id, seq, body) SELECT tenant, thread_id, 0, %(body)s FROM released

-- name: release_lease
DELETE FROM checkpointd.leases
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND token = %(token)s AND holder = %(holder)s

-- name: keep_lease
-- A lease that lasts, kept as it is until the transaction ends (see lock_leases).
SELECT token, holder FROM checkpointd.leases
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND expires_at > clock_timestamp()
FOR SHARE
