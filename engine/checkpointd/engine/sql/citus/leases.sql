-- name: acquire_lease
-- With a token and a time that were drawn once the lease's row was had: an UPDATE may not draw them there.
UPDATE checkpointd.leases AS lease SET
    token = CASE WHEN lease.holder = %(holder)s AND lease.expires_at > %(now)s THEN lease.token ELSE %(drawn)s END,
    holder = %(holder)s,
    expires_at = %(now)s::timestamptz + %(ttl)s::float8 * interval '1 second'
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
    AND (lease.holder = %(holder)s OR lease.expires_at <= %(now)s)
RETURNING token, holder, expires_at, extract(epoch FROM expires_at - %(now)s)::float8

-- name: renew_lease
UPDATE checkpointd.leases SET expires_at = now() + %(ttl)s::float8 * interval '1 second'
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND token = %(token)s AND holder = %(holder)s
    AND expires_at > now()
RETURNING token, holder, expires_at, %(ttl)s::float8
