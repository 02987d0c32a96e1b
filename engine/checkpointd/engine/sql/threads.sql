-- name: get_thread
-- A thread, and the head and size of each of its namespaces (none: one row without a namespace).
{{thread_as_told}},
    namespace.checkpoint_ns, head.checkpoint_id, namespace.head_seq, namespace.count
FROM checkpointd.threads AS thread
{{with_status}}
LEFT JOIN LATERAL (
    SELECT checkpoint_ns, max(seq) AS head_seq, count(*) AS count
    FROM checkpointd.checkpoints
    WHERE tenant = thread.tenant AND thread_id = thread.thread_id AND NOT hidden
    GROUP BY checkpoint_ns
) AS namespace ON true
LEFT JOIN checkpointd.checkpoints AS head
    ON head.tenant = thread.tenant AND head.thread_id = thread.thread_id
    AND head.checkpoint_ns = namespace.checkpoint_ns AND head.seq = namespace.head_seq AND NOT head.hidden
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s
ORDER BY namespace.checkpoint_ns

-- name: thread_size
-- What a thread takes, hidden checkpoints included: how many of each, and the bytes of their rows.
SELECT checkpoints.count, writes.count, stored.count, checkpoints.bytes + writes.bytes + stored.bytes
FROM (
    SELECT count(*) AS count, coalesce(sum(pg_column_size(row.*)), 0)::bigint AS bytes
    FROM checkpointd.checkpoints AS row WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
) AS checkpoints
CROSS JOIN (
    SELECT count(*) AS count, coalesce(sum(pg_column_size(row.*)), 0)::bigint AS bytes
    FROM checkpointd.writes AS row WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
) AS writes
CROSS JOIN (
    SELECT count(*) AS count, coalesce(sum(pg_column_size(row.*)), 0)::bigint AS bytes
    FROM checkpointd.channel_values AS row WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
) AS stored

-- name: thread_status
-- The contract's ThreadStatus. LATERAL and LIMIT keep each part one look-up by index.
SELECT CASE
    WHEN EXISTS (
        SELECT FROM checkpointd.leases
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id AND expires_at > clock_timestamp()
    ) THEN 2
    WHEN marks.failed THEN 4
    WHEN marks.interrupted THEN 3
    ELSE 1
END AS status
FROM (
    SELECT bool_or(channel = '__error__') AS failed, bool_or(channel = '__interrupt__') AS interrupted
    FROM checkpointd.writes
    WHERE tenant = thread.tenant AND thread_id = thread.thread_id AND checkpoint_ns = '' AND checkpoint_id = (
        SELECT checkpoint_id FROM checkpointd.checkpoints
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id AND checkpoint_ns = '' AND NOT hidden
        ORDER BY seq DESC LIMIT 1
    )
) AS marks

-- name: thread_as_told
-- A thread as the contract's message Thread has it.
SELECT
    thread.thread_id, thread.created_at, thread.updated_at, thread.seq, thread.owner,
    (
        SELECT jsonb_object_agg(key, value) FROM checkpointd.thread_labels
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id
    ) AS labels,
    state.status

-- name: with_status
CROSS JOIN LATERAL ({{thread_status}}) AS state

-- name: one_thread
{{thread_as_told}}
FROM checkpointd.threads AS thread
{{with_status}}
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s

-- name: asked_for
-- What a list of threads may ask of each.
(%(owner)s = '' OR thread.owner = %(owner)s)
    AND (%(status)s = 0 OR state.status = %(status)s)
    AND thread.updated_at >= %(updated_from)s AND thread.updated_at < %(updated_before)s
    AND thread.seq >= %(min_sequence)s
    AND {{has_labels}}

-- name: from_here
-- Bounded on both sides, so that a prefix reads its own part of the index: no id is long enough for 64 more of the
-- greatest character.
tenant = %(tenant)s AND thread_id > %(after_id)s AND thread_id >= %(prefix)s
    AND thread_id <= %(prefix)s || repeat(chr(1114111), 64)
    AND starts_with(thread_id, %(prefix)s)

-- name: list_candidates
-- The candidates in order, as far as they are what is asked for.
JOIN checkpointd.threads AS thread ON thread.tenant = %(tenant)s AND thread.thread_id = candidate.thread_id
{{with_status}}
WHERE {{asked_for}}
ORDER BY candidate.thread_id
LIMIT %(size)s

-- name: list_threads_by_id
{{thread_as_told}}
FROM (
    SELECT thread_id FROM checkpointd.threads WHERE {{from_here}} ORDER BY thread_id
) AS candidate
{{list_candidates}}

-- name: list_threads_of_owner
{{thread_as_told}}
FROM (
    SELECT thread_id FROM checkpointd.threads WHERE owner = %(owner)s AND {{from_here}} ORDER BY thread_id
) AS candidate
{{list_candidates}}

-- name: list_threads_with_label
{{thread_as_told}}
FROM (
    SELECT thread_id FROM checkpointd.thread_labels
    WHERE key = %(label_key)s AND value = %(label_value)s AND {{from_here}}
    ORDER BY thread_id
) AS candidate
{{list_candidates}}

-- name: list_busy_threads
{{thread_as_told}}
FROM (
    SELECT thread_id FROM checkpointd.leases WHERE expires_at > clock_timestamp() AND {{from_here}} ORDER BY thread_id
) AS candidate
{{list_candidates}}

-- name: list_marked_threads
-- Interrupted or failed ones.
{{thread_as_told}}
FROM (
    SELECT DISTINCT thread_id FROM checkpointd.writes
    WHERE channel = %(mark)s AND channel IN ('__interrupt__', '__error__') AND {{from_here}}
    ORDER BY thread_id
) AS candidate
{{list_candidates}}

-- name: list_threads_by_update
{{thread_as_told}}
FROM checkpointd.threads AS thread
{{with_status}}
WHERE thread.tenant = %(tenant)s AND starts_with(thread.thread_id, %(prefix)s)
    AND (%(after_id)s = '' OR (thread.updated_at, thread.thread_id) < (%(after_time)s, %(after_id)s))
    AND {{asked_for}}
ORDER BY thread.updated_at DESC, thread.thread_id DESC
LIMIT %(size)s

-- name: update_thread
-- Changes what people say of a thread. Its row is locked, so that labels are counted as they will be. Returns how many labels it
-- has then; no row: there is no such thread.
WITH changed AS (
    UPDATE checkpointd.threads SET owner = CASE WHEN %(owner)s::text IS NULL THEN owner ELSE nullif(%(owner)s, '') END
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND seq > 0
    RETURNING tenant, thread_id
),
removed AS (
    DELETE FROM checkpointd.thread_labels AS label USING changed
    WHERE label.tenant = changed.tenant AND label.thread_id = changed.thread_id AND label.key = ANY(%(remove_labels)s)
),
added AS (
    INSERT INTO checkpointd.thread_labels AS label (tenant, thread_id, key, value)
    SELECT changed.tenant, changed.thread_id, given.key, given.value
    FROM changed CROSS JOIN jsonb_each_text(%(set_labels)s) AS given
    ON CONFLICT (tenant, thread_id, key) DO UPDATE SET value = excluded.value
)
SELECT FROM changed

-- name: count_labels
SELECT count(*) FROM checkpointd.thread_labels WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s

-- name: lock_target
-- Waits for the thread's running commits and holds later ones until the transaction ends. Also of a thread that does not
-- exist: a change that went on unlocked would meet its first commit half-way. A new row stays only if the change makes the
-- thread.
INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq)
VALUES (%(tenant)s, %(target)s, 0)
ON CONFLICT (tenant, thread_id) DO UPDATE SET seq = thread.seq

-- name: forget_unwritten
-- Takes the row away again that was made for its lock only.
DELETE FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND seq = 0

-- name: delete_thread
-- Returns whether there was something, and how many listed checkpoints went.
WITH gone_thread AS (
    DELETE FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s RETURNING seq
),
gone_lease AS (
    DELETE FROM checkpointd.leases WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s RETURNING token
),
gone_values AS (
    DELETE FROM checkpointd.channel_values WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
),
gone_writes AS (
    DELETE FROM checkpointd.writes WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
),
gone_checkpoints AS (
    DELETE FROM checkpointd.checkpoints WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s RETURNING hidden
)
SELECT
    EXISTS (SELECT FROM gone_thread WHERE seq > 0) OR EXISTS (SELECT FROM gone_lease),
    (SELECT count(*) FROM gone_checkpoints WHERE NOT hidden)

-- name: copy_thread
-- Runs after lock_target in the same transaction; one statement, so that the copy is of one moment. Returns whether the
-- source exists, and whether the target has a history of its own: checkpoints that the source does not have, or not at the
-- same place, or another value under a version of the source's, of which copied values would be no changes. Nothing is
-- copied unless the first is so and the second is not.
WITH source AS (
    SELECT * FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(source)s
),
foreign_rows AS MATERIALIZED (
    (
        SELECT 1 FROM checkpointd.checkpoints AS there
        WHERE there.tenant = %(tenant)s AND there.thread_id = %(target)s AND NOT EXISTS (
            -- LIMIT keeps this a look-up by primary key.
            SELECT FROM (
                SELECT seq FROM checkpointd.checkpoints
                WHERE tenant = %(tenant)s AND thread_id = %(source)s
                    AND checkpoint_ns = there.checkpoint_ns AND checkpoint_id = there.checkpoint_id
                LIMIT 1
            ) AS original
            WHERE original.seq = there.seq
        )
        LIMIT 1
    )
    UNION ALL
    (
        SELECT 1 FROM checkpointd.channel_values AS there
        CROSS JOIN LATERAL (
            SELECT encoding, data, hash FROM checkpointd.channel_values
            WHERE tenant = %(tenant)s AND thread_id = %(source)s AND checkpoint_ns = there.checkpoint_ns
                AND channel = there.channel AND version = there.version
            LIMIT 1
        ) AS original
        WHERE there.tenant = %(tenant)s AND there.thread_id = %(target)s AND (
            original.encoding <> there.encoding
            OR coalesce(original.hash <> there.hash, original.data IS DISTINCT FROM there.data)
        )
        LIMIT 1
    )
),
copying AS (
    UPDATE checkpointd.threads AS thread
    SET seq = greatest(thread.seq, source.seq),
        updated_at = now(),
        graph_hash = coalesce(source.graph_hash, thread.graph_hash),
        owner = coalesce(thread.owner, source.owner)
    FROM source
    WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(target)s AND NOT EXISTS (SELECT FROM foreign_rows)
    RETURNING thread.tenant, thread.thread_id
),
copied_labels AS (
    INSERT INTO checkpointd.thread_labels (tenant, thread_id, key, value)
    SELECT copying.tenant, copying.thread_id, key, value
    FROM copying JOIN checkpointd.thread_labels AS original
        ON original.tenant = copying.tenant AND original.thread_id = %(source)s
    ON CONFLICT (tenant, thread_id, key) DO NOTHING
),
copied_checkpoints AS (
    INSERT INTO checkpointd.checkpoints (
        tenant, thread_id, checkpoint_ns, checkpoint_id, seq, hidden, parent_id, history_parent_id, run_id,
        channel_versions, metadata, native_metadata, body
    )
    SELECT
        copying.tenant, copying.thread_id, checkpoint_ns, checkpoint_id, seq, hidden, parent_id, history_parent_id,
        run_id, channel_versions, metadata, native_metadata, body
    FROM copying JOIN checkpointd.checkpoints AS original
        ON original.tenant = copying.tenant AND original.thread_id = %(source)s
    ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id) DO NOTHING
),
copied_values AS (
    INSERT INTO checkpointd.channel_values (
        tenant, thread_id, checkpoint_ns, channel, version, encoding, data, base_version, pieces, links, hash
    )
    SELECT
        copying.tenant, copying.thread_id, checkpoint_ns, channel, version, encoding, data, base_version, pieces, links,
        hash
    FROM copying JOIN checkpointd.channel_values AS original
        ON original.tenant = copying.tenant AND original.thread_id = %(source)s
    ON CONFLICT (tenant, thread_id, checkpoint_ns, channel, version) DO NOTHING
),
copied_writes AS (
    INSERT INTO checkpointd.writes (
        tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel, encoding, data, hash
    )
    SELECT
        copying.tenant, copying.thread_id, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel,
        encoding, data, hash
    FROM copying JOIN checkpointd.writes AS original
        ON original.tenant = copying.tenant AND original.thread_id = %(source)s
    ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING
)
SELECT EXISTS (SELECT FROM source), EXISTS (SELECT FROM foreign_rows)

-- name: threads_of_runs
-- MATERIALIZED, so that the order is asked for outside, where it can't choose the index of all of the tenant's checkpoints.
WITH found AS MATERIALIZED (
    SELECT DISTINCT thread_id FROM checkpointd.checkpoints
    WHERE tenant = %(tenant)s AND run_id = ANY(%(run_ids)s) AND NOT hidden
)
SELECT thread_id FROM found ORDER BY thread_id
