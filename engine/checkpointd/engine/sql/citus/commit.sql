-- The commit of one thread, in steps: each goes to the thread's node, and the transaction with them. What a step stores is joined with
-- the thread's row, which the first one has locked: so Citus sees that it belongs on the same node.

-- name: lock_and_count
INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq, graph_hash)
VALUES (%(tenant)s, %(thread_id)s, %(commits)s, %(graph_hash)s)
{{one_commit_more}}

-- name: of_the_thread
FROM checkpointd.threads AS thread
CROSS JOIN

-- name: missing_bases
-- Bases of changes that are not there (see keep_values).
SELECT 1
FROM unnest(%(values)s) AS given
WHERE given.base_version IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM checkpointd.channel_values AS base
    WHERE base.tenant = %(tenant)s AND base.thread_id = %(thread_id)s
        AND base.checkpoint_ns = given.checkpoint_ns AND base.channel = given.channel
        AND base.version = given.base_version AND base.hash = given.base_hash
)
LIMIT 1

-- name: place_checkpoints
INSERT INTO checkpointd.checkpoints AS stored (
    tenant, thread_id, checkpoint_ns, checkpoint_id, seq, parent_id, run_id,
    channel_versions, metadata, native_metadata, body
)
SELECT
    thread.tenant, thread.thread_id, given.checkpoint_ns, given.checkpoint_id, thread.seq - given.seq_back, given.parent_id,
    given.run_id, given.channel_versions::jsonb, given.metadata, given.native_metadata, given.body
{{of_the_thread}} unnest(%(checkpoints)s) AS given
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s
{{keep_checkpoints}}

-- name: place_values
INSERT INTO checkpointd.channel_values (
    tenant, thread_id, checkpoint_ns, channel, version, encoding, data, base_version, pieces, links, hash
)
SELECT
    thread.tenant, thread.thread_id, given.checkpoint_ns, given.channel, given.version, given.encoding, given.data,
    given.base_version, given.pieces, given.links, given.hash
{{of_the_thread}} unnest(%(values)s) AS given
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s
ON CONFLICT (tenant, thread_id, checkpoint_ns, channel, version) DO NOTHING
RETURNING checkpoint_ns, channel, version, coalesce(octet_length(data) >= 2048, true) AS large

-- name: place_writes
INSERT INTO checkpointd.writes AS stored (
    tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel, encoding, data, hash
)
SELECT
    thread.tenant, thread.thread_id, given.checkpoint_ns, given.checkpoint_id, given.task_id, given.idx,
    thread.seq - given.seq_back, given.task_path, given.channel, given.encoding, given.data, given.hash
{{of_the_thread}} unnest(%(writes)s) AS given
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s
{{keep_writes}}

-- name: lock_threads
INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq)
VALUES (%(tenant)s, %(thread_id)s, 0)
ON CONFLICT (tenant, thread_id) DO UPDATE SET seq = thread.seq

-- name: lock_leases
SELECT token FROM checkpointd.leases WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s FOR SHARE

-- name: forget_empty
DELETE FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND seq = 0

-- name: check_condition
-- Why a commit may not be stored, or where it is stored already (see commit_checked); no row: it may. Runs after lock_threads and
-- lock_leases in the same transaction.
WITH vain AS MATERIALIZED (
    SELECT 1 AS found
    FROM unnest(%(writes)s) AS given
    JOIN checkpointd.writes AS there
        ON there.checkpoint_ns = given.checkpoint_ns AND there.checkpoint_id = given.checkpoint_id
        AND there.task_id = given.task_id AND there.idx = given.idx
    WHERE there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s AND given.idx >= 0
        AND (there.channel, there.encoding, there.data) <> (given.channel, given.encoding, given.data)
),
head AS MATERIALIZED (
    SELECT checkpoint_id FROM checkpointd.checkpoints
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND NOT hidden
        AND checkpoint_ns = (SELECT checkpoint_ns FROM unnest(%(conditions)s) AS given)
    ORDER BY seq DESC
    LIMIT 1
),
lease AS MATERIALIZED (
    SELECT token, holder FROM checkpointd.leases
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND expires_at > clock_timestamp()
),
unlike AS MATERIALIZED (
    -- What of the commit is not stored yet, or otherwise.
    SELECT 1 AS found FROM unnest(%(checkpoints)s) AS given
    WHERE NOT EXISTS (
        SELECT 1 FROM checkpointd.checkpoints AS there
        WHERE there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s
            AND there.checkpoint_ns = given.checkpoint_ns AND there.checkpoint_id = given.checkpoint_id
            AND (there.hidden OR (
                there.channel_versions = given.channel_versions::jsonb
                AND there.metadata = given.metadata
                AND there.native_metadata IS NOT DISTINCT FROM given.native_metadata
                AND there.body = given.body
            ))
    )
    UNION ALL
    SELECT 1 FROM unnest(%(values)s) AS given
    WHERE NOT EXISTS (
        SELECT 1 FROM checkpointd.channel_values AS there
        WHERE there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s
            AND there.checkpoint_ns = given.checkpoint_ns AND there.channel = given.channel
            AND there.version = given.version AND there.encoding = given.encoding
            AND (there.hash = given.hash OR (there.hash IS NULL AND there.data = given.data))
    )
    UNION ALL
    SELECT 1 FROM unnest(%(writes)s) AS given
    WHERE NOT EXISTS (
        SELECT 1 FROM checkpointd.writes AS there
        WHERE there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s
            AND there.checkpoint_ns = given.checkpoint_ns AND there.checkpoint_id = given.checkpoint_id
            AND there.task_id = given.task_id AND there.idx = given.idx
            AND there.task_path = given.task_path AND there.channel = given.channel
            AND there.encoding = given.encoding AND there.data = given.data
    )
),
condition AS MATERIALIZED (
    SELECT *,
        head <> coalesce(expected_head, head) AS moved,
        token IS NOT NULL AND (token = lease_token) IS NOT TRUE AS lost,
        expected_head IS NOT NULL AND EXISTS (SELECT 1 FROM vain) AS written
    FROM (
        SELECT
            given.checkpoint_ns, given.expected_head, given.token,
            coalesce((SELECT checkpoint_id FROM head), '') AS head,
            (SELECT token FROM lease) AS lease_token, (SELECT holder FROM lease) AS holder
        FROM unnest(%(conditions)s) AS given
    ) AS found
),
failed AS MATERIALIZED (
    SELECT *,
        (
            EXISTS (SELECT 1 FROM unnest(%(checkpoints)s) AS given)
            OR EXISTS (SELECT 1 FROM unnest(%(writes)s) AS given)
        ) AND NOT EXISTS (SELECT 1 FROM unlike) AS repeated
    FROM condition
    WHERE moved OR lost OR written
)
SELECT 0 AS kind, 1 AS no, there.checkpoint_ns, there.checkpoint_id AS name, '' AS version, there.seq AS number, NULL AS holder
FROM failed
CROSS JOIN checkpointd.checkpoints AS there
WHERE failed.repeated AND there.tenant = %(tenant)s AND there.thread_id = %(thread_id)s AND NOT there.hidden
    AND (there.checkpoint_ns, there.checkpoint_id) IN (
        SELECT given.checkpoint_ns, given.checkpoint_id FROM unnest(%(checkpoints)s) AS given
    )
UNION ALL
SELECT CASE WHEN lost THEN 3 WHEN moved THEN 2 ELSE 4 END, 1, checkpoint_ns, head, '', 0, holder
FROM failed
WHERE NOT repeated
UNION ALL
SELECT 5, 1, checkpoint_ns, head, '', 0, NULL
FROM failed
WHERE repeated
