-- name: quota_of
SELECT tenant, max_threads, max_bytes, max_ops_per_second, threads, bytes, counted_at
FROM checkpointd.quotas
WHERE tenant = %(tenant)s

-- name: quotas_after
-- The quotas of the next tenants by name.
SELECT tenant, max_threads, max_bytes, max_ops_per_second, threads, bytes, counted_at
FROM checkpointd.quotas
WHERE tenant > %(tenant)s
ORDER BY tenant
LIMIT %(size)s

-- name: set_quota
INSERT INTO checkpointd.quotas (tenant, max_threads, max_bytes, max_ops_per_second)
VALUES (%(tenant)s, %(max_threads)s, %(max_bytes)s, %(max_ops_per_second)s)
ON CONFLICT (tenant) DO UPDATE
SET max_threads = excluded.max_threads,
    max_bytes = excluded.max_bytes,
    max_ops_per_second = excluded.max_ops_per_second

-- name: remove_quota
-- With what was counted for it.
WITH forgotten AS (
    DELETE FROM checkpointd.thread_bytes WHERE tenant = %(tenant)s
)
DELETE FROM checkpointd.quotas WHERE tenant = %(tenant)s

-- name: thread_exists
SELECT EXISTS (SELECT FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s)

-- name: claim_count
-- The tenant whose count is due and oldest, which nobody else counts for a minute.
UPDATE checkpointd.quotas AS mine
SET claimed_until = now() + interval '1 minute'
FROM (
    SELECT tenant
    FROM checkpointd.quotas
    WHERE claimed_until < now()
        AND (counted_at IS NULL OR counted_at < now() - %(interval)s::float8 * interval '1 second')
    ORDER BY counted_at NULLS FIRST
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) AS due
WHERE mine.tenant = due.tenant
RETURNING mine.tenant

-- name: renew_claim
UPDATE checkpointd.quotas SET claimed_until = now() + interval '1 minute' WHERE tenant = %(tenant)s

-- name: uncounted_threads
-- The next threads of a tenant that have changed since they were counted.
SELECT thread.thread_id
FROM checkpointd.threads AS thread
LEFT JOIN checkpointd.thread_bytes AS counted ON counted.tenant = thread.tenant AND counted.thread_id = thread.thread_id
WHERE thread.tenant = %(tenant)s AND thread.thread_id > %(thread_id)s
    AND (counted.seq, counted.epoch) IS DISTINCT FROM (thread.seq, thread.epoch)
ORDER BY thread.thread_id
LIMIT %(size)s

-- name: count_threads
-- Counts the bytes of some threads, none of which is read: PostgreSQL knows the lengths. Nothing is left of a quota that
-- was removed meanwhile.
INSERT INTO checkpointd.thread_bytes (tenant, thread_id, seq, epoch, bytes)
SELECT thread.tenant, thread.thread_id, thread.seq, thread.epoch,
    (
        SELECT coalesce(sum(
            octet_length(body) + octet_length(metadata) + coalesce(octet_length(native_metadata), 0)
            + pg_column_size(channel_versions)
        ), 0)
        FROM checkpointd.checkpoints
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id
    ) + (
        SELECT coalesce(sum(coalesce(octet_length(data), 0) + coalesce(octet_length(pieces), 0)), 0)
        FROM checkpointd.channel_values
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id
    ) + (
        SELECT coalesce(sum(octet_length(data)), 0)
        FROM checkpointd.writes
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id
    )
FROM checkpointd.threads AS thread
WHERE thread.tenant = %(tenant)s AND thread.thread_id = ANY(%(thread_ids)s)
    AND EXISTS (SELECT 1 FROM checkpointd.quotas WHERE tenant = %(tenant)s)
ON CONFLICT (tenant, thread_id) DO UPDATE
SET seq = excluded.seq, epoch = excluded.epoch, bytes = excluded.bytes

-- name: forget_counts
-- Of threads that are gone.
DELETE FROM checkpointd.thread_bytes AS counted
WHERE counted.tenant = %(tenant)s AND NOT EXISTS (
    SELECT FROM checkpointd.threads AS thread
    WHERE thread.tenant = counted.tenant AND thread.thread_id = counted.thread_id
)

-- name: end_count
-- What the threads have together. Nobody counts again before ten times as long has passed as this count took, so that it is
-- never much of the database's work.
UPDATE checkpointd.quotas AS mine
SET threads = found.threads,
    bytes = found.bytes,
    counted_at = now(),
    claimed_until = now() + least(10 * %(took)s::float8, 3600) * interval '1 second'
FROM (
    SELECT count(*) AS threads, coalesce(sum(bytes), 0) AS bytes
    FROM checkpointd.thread_bytes
    WHERE tenant = %(tenant)s
) AS found
WHERE mine.tenant = %(tenant)s
