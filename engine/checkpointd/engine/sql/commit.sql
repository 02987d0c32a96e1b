-- name: commit
-- Stores what a group of commits holds, for any number of threads, in one statement and so in one transaction. The rows
-- of a group name each checkpoint and each write once.
--
-- Threads are locked in the order of their keys, so that two servers with overlapping groups wait for each other and do
-- not deadlock; everything else is reached through those locks. A checkpoint that is stored keeps its seq, its parent and
-- its values; a hidden one stays hidden and is not returned. A write with idx >= 0 stays as first stored.
WITH locked AS (
    INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq, graph_hash)
    SELECT given.tenant, given.thread_id, given.commits, given.graph_hash
    FROM unnest(%(threads)s) AS given
    ORDER BY given.tenant COLLATE "C", given.thread_id COLLATE "C"
    ON CONFLICT (tenant, thread_id) DO UPDATE SET
        seq = thread.seq + excluded.seq,
        updated_at = now(),
        graph_hash = coalesce(excluded.graph_hash, thread.graph_hash)
    RETURNING tenant, thread_id, seq
),
thread AS MATERIALIZED (
    SELECT given.no, locked.tenant, locked.thread_id, locked.seq
    FROM unnest(%(threads)s) WITH ORDINALITY AS given (tenant, thread_id, commits, graph_hash, no)
    JOIN locked ON locked.tenant = given.tenant AND locked.thread_id = given.thread_id
),
stored_checkpoints AS (
    INSERT INTO checkpointd.checkpoints AS stored (
        tenant, thread_id, checkpoint_ns, checkpoint_id, seq, parent_id, run_id,
        channel_versions, metadata, native_metadata, body
    )
    SELECT
        thread.tenant, thread.thread_id, given.checkpoint_ns, given.checkpoint_id, thread.seq - given.seq_back, given.parent_id,
        given.run_id, given.channel_versions::jsonb, given.metadata, given.native_metadata, given.body
    FROM unnest(%(checkpoints)s) AS given
    JOIN thread ON thread.no = given.thread_no
    ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
        run_id = excluded.run_id,
        channel_versions = excluded.channel_versions,
        metadata = excluded.metadata,
        native_metadata = excluded.native_metadata,
        body = excluded.body
    WHERE NOT stored.hidden
    RETURNING tenant, thread_id, checkpoint_ns, checkpoint_id, seq
),
stored_values AS (
    INSERT INTO checkpointd.channel_values (
        tenant, thread_id, checkpoint_ns, channel, version, encoding, data
    )
    SELECT
        thread.tenant, thread.thread_id, given.checkpoint_ns, given.channel, given.version, given.encoding, given.data
    FROM unnest(%(values)s) AS given
    JOIN thread ON thread.no = given.thread_no
    ON CONFLICT (tenant, thread_id, checkpoint_ns, channel, version) DO NOTHING
),
stored_writes AS (
    INSERT INTO checkpointd.writes AS stored (
        tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel, encoding, data
    )
    SELECT
        thread.tenant, thread.thread_id, given.checkpoint_ns, given.checkpoint_id, given.task_id, given.idx,
        thread.seq - given.seq_back, given.task_path, given.channel, given.encoding, given.data
    FROM unnest(%(writes)s) AS given
    JOIN thread ON thread.no = given.thread_no
    ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
        seq = excluded.seq,
        task_path = excluded.task_path,
        channel = excluded.channel,
        encoding = excluded.encoding,
        data = excluded.data
    WHERE stored.idx < 0
)
SELECT tenant, thread_id, checkpoint_ns, checkpoint_id, seq FROM stored_checkpoints
