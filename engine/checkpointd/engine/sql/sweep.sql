-- name: threads_after
-- The next threads in the order of their keys, and whether each has commits that no sweep has looked at and that may be old
-- enough. Bounded by the rows that it reads, so that a walk over millions of threads is many small statements.
SELECT tenant, thread_id, seq > swept_seq AND created_at < now() - %(age)s::float8 * interval '1 second' AS due
FROM checkpointd.threads
WHERE (tenant, thread_id) > (%(tenant)s, %(thread_id)s)
ORDER BY tenant, thread_id
LIMIT %(size)s

-- name: sweep_thread
-- Removes the writes of a thread which are older than the age given and whose checkpoint never came; returns how many.
-- Writes have a seq and no time: one is old when its whole thread is, or a checkpoint that was committed after it. A
-- thread that is being written is left for the next time.
WITH due AS MATERIALIZED (
    SELECT tenant, thread_id, swept_seq,
        CASE WHEN updated_at < now() - %(age)s::float8 * interval '1 second' THEN seq ELSE (
            SELECT coalesce(max(seq), 0) FROM checkpointd.checkpoints
            WHERE tenant = thread.tenant AND thread_id = thread.thread_id
                AND committed_at < now() - %(age)s::float8 * interval '1 second'
        ) END AS old_seq
    FROM checkpointd.threads AS thread
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM checkpointd.writes AS stored
    USING due
    WHERE stored.tenant = due.tenant AND stored.thread_id = due.thread_id
        AND stored.seq > due.swept_seq AND stored.seq <= due.old_seq
        AND NOT EXISTS (
            SELECT FROM checkpointd.checkpoints AS there
            WHERE there.tenant = stored.tenant AND there.thread_id = stored.thread_id
                AND there.checkpoint_ns = stored.checkpoint_ns AND there.checkpoint_id = stored.checkpoint_id
        )
    RETURNING stored.tenant
),
swept AS (
    UPDATE checkpointd.threads AS thread SET swept_seq = due.old_seq
    FROM due
    WHERE thread.tenant = due.tenant AND thread.thread_id = due.thread_id AND due.old_seq > due.swept_seq
)
SELECT count(*) FROM gone

-- name: forget_answers
DELETE FROM checkpointd.requests WHERE answered_at < now() - %(age)s::float8 * interval '1 second'

-- name: forget_leases
-- Leases that ended long ago. One that ended just now may be wanted for its message.
DELETE FROM checkpointd.leases WHERE expires_at < now() - %(age)s::float8 * interval '1 second'
