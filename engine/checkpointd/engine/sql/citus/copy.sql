-- The copy of a thread, in steps: source and target may be on different nodes. All run after lock_target in one transaction, in
-- which the source can't change under them either (source_of_copy).

-- name: source_of_copy
SELECT seq, graph_hash, owner FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(source)s FOR SHARE

-- name: places_of_copy
-- The checkpoints of the source with their places, and its values with their content.
SELECT
    (SELECT coalesce(jsonb_agg(jsonb_build_array(checkpoint_ns, checkpoint_id, seq)), '[]')
        FROM checkpointd.checkpoints WHERE tenant = %(tenant)s AND thread_id = %(source)s),
    (SELECT coalesce(
            jsonb_agg(jsonb_build_array(checkpoint_ns, channel, version, encoding, coalesce(hash::text, md5(data)))), '[]'
        )
        FROM checkpointd.channel_values WHERE tenant = %(tenant)s AND thread_id = %(source)s)

-- name: target_has_own
-- Whether the target has a history of its own (see copy_thread).
SELECT EXISTS (
    SELECT 1 FROM checkpointd.checkpoints AS there
    WHERE there.tenant = %(tenant)s AND there.thread_id = %(target)s
        AND (there.checkpoint_ns, there.checkpoint_id, there.seq) NOT IN (
            SELECT one ->> 0, one ->> 1, (one ->> 2)::bigint FROM jsonb_array_elements(%(places)s::jsonb) AS one
        )
) OR EXISTS (
    SELECT 1 FROM checkpointd.channel_values AS there
    JOIN jsonb_array_elements(%(contents)s::jsonb) AS one
        ON there.checkpoint_ns = one ->> 0 AND there.channel = one ->> 1 AND there.version = one ->> 2
    WHERE there.tenant = %(tenant)s AND there.thread_id = %(target)s
        AND (there.encoding <> one ->> 3 OR coalesce(there.hash::text, md5(there.data)) <> one ->> 4)
)

-- name: begin_copy
UPDATE checkpointd.threads AS thread
SET seq = greatest(thread.seq, %(seq)s),
    updated_at = now(),
    graph_hash = coalesce(%(graph_hash)s, thread.graph_hash),
    owner = coalesce(thread.owner, %(owner)s)
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(target)s

-- name: copy_labels
INSERT INTO checkpointd.thread_labels (tenant, thread_id, key, value)
SELECT tenant, %(target)s, key, value
FROM checkpointd.thread_labels
WHERE tenant = %(tenant)s AND thread_id = %(source)s
ON CONFLICT (tenant, thread_id, key) DO NOTHING

-- name: copy_checkpoints
INSERT INTO checkpointd.checkpoints (
    tenant, thread_id, checkpoint_ns, checkpoint_id, seq, hidden, parent_id, history_parent_id, run_id, channel_versions,
    metadata, native_metadata, body
)
SELECT
    tenant, %(target)s, checkpoint_ns, checkpoint_id, seq, hidden, parent_id, history_parent_id, run_id, channel_versions,
    metadata, native_metadata, body
FROM checkpointd.checkpoints
WHERE tenant = %(tenant)s AND thread_id = %(source)s
ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id) DO NOTHING

-- name: copy_values
INSERT INTO checkpointd.channel_values (
    tenant, thread_id, checkpoint_ns, channel, version, encoding, data, base_version, pieces, links, hash
)
SELECT tenant, %(target)s, checkpoint_ns, channel, version, encoding, data, base_version, pieces, links, hash
FROM checkpointd.channel_values
WHERE tenant = %(tenant)s AND thread_id = %(source)s
ON CONFLICT (tenant, thread_id, checkpoint_ns, channel, version) DO NOTHING

-- name: copy_writes
INSERT INTO checkpointd.writes (
    tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel, encoding, data, hash
)
SELECT tenant, %(target)s, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel, encoding, data, hash
FROM checkpointd.writes
WHERE tenant = %(tenant)s AND thread_id = %(source)s
ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING
