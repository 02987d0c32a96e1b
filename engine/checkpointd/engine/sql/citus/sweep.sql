-- name: sweep_thread
WITH due AS MATERIALIZED (
    SELECT thread.swept_seq,
        CASE WHEN thread.updated_at < now() - %(age)s::float8 * interval '1 second' THEN thread.seq ELSE (
            SELECT coalesce(max(there.seq), 0) FROM checkpointd.checkpoints AS there
            WHERE there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s
                AND there.committed_at < now() - %(age)s::float8 * interval '1 second'
        ) END AS old_seq
    FROM checkpointd.threads AS thread
    WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s
    FOR UPDATE OF thread SKIP LOCKED
),
gone AS (
    DELETE FROM checkpointd.writes AS stored
    USING due
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
        AND stored.seq > due.swept_seq AND stored.seq <= due.old_seq
        AND NOT EXISTS (
            SELECT FROM checkpointd.checkpoints AS there
            WHERE there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s
                AND there.checkpoint_ns = stored.checkpoint_ns AND there.checkpoint_id = stored.checkpoint_id
        )
    RETURNING stored.tenant
),
swept AS (
    UPDATE checkpointd.threads AS thread SET swept_seq = due.old_seq
    FROM due
    WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s AND due.old_seq > due.swept_seq
    RETURNING thread.tenant
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM swept)
