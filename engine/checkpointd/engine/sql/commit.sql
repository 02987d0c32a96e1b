-- name: commit
-- Stores what a group of commits holds, for any number of threads, in one statement and so in one transaction. The rows
-- of a group name each checkpoint and each write once.
--
-- Threads are locked in the order of their keys, so that two servers with overlapping groups wait for each other and do
-- not deadlock; everything else is reached through those locks. A checkpoint that is stored keeps its seq, its parent and
-- its values; a hidden one stays hidden and is not returned. A write with idx >= 0 stays as first stored.
WITH {{locked}},
{{stored}}
{{told}}

-- name: commit_noted
-- As commit, with events for those who watch; so are all that are called so.
WITH {{locked}},
{{stored}},
{{noted}}
{{told}}

-- name: commit_writes
-- As commit, for a group without checkpoints: to start what has nothing to do would cost a good part of the whole.
WITH {{locked}},
{{thread}}
{{store_writes}}

-- name: commit_writes_noted
WITH {{locked}},
{{thread}},
{{noted}}
{{store_writes}}

-- name: commit_of_one
-- As commit, for one thread: nothing is to be ordered, and nothing to be joined. A small commit costs PostgreSQL little but
-- to start the parts of its plan, so it has as few as may be.
WITH {{only_thread}},
{{stored_checkpoints_of_one}},
stored_writes AS (
    {{store_writes_of_one}}
)
{{told_of_one}}

-- name: commit_of_one_noted
WITH {{only_thread}},
{{stored_checkpoints_of_one}},
stored_writes AS (
    {{store_writes_of_one}}
),
{{noted_of_one}}
{{told_of_one}}

-- name: commit_checkpoints_of_one
-- As commit_of_one, for a group without writes.
WITH {{only_thread}},
{{stored_checkpoints_of_one}}
{{told_of_one}}

-- name: commit_checkpoints_of_one_noted
WITH {{only_thread}},
{{stored_checkpoints_of_one}},
{{noted_of_one}}
{{told_of_one}}

-- name: commit_writes_of_one
-- As commit_of_one, for a group without checkpoints.
WITH {{only_thread}}
{{store_writes_of_one}}

-- name: commit_writes_of_one_noted
WITH {{only_thread}},
{{noted_of_one}}
{{store_writes_of_one}}

-- name: locked
locked AS (
    INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq, graph_hash)
    {{given_commits}}
    ORDER BY given.tenant COLLATE "C", given.thread_id COLLATE "C"
    {{one_commit_more}}
)

-- name: given_commits
SELECT given.tenant, given.thread_id, given.commits, given.graph_hash
FROM unnest(%(threads)s) AS given

-- name: only_thread
-- As locked and thread, for one. The base of a change is looked at where the thread is locked.
thread AS (
    INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq, graph_hash)
    {{given_commits}}
    {{one_commit_more}},
        CASE WHEN (%(threads)s)[1].epoch <> epoch THEN checkpointd.refuse_base_v1() ELSE true END AS base_is_there
)

-- name: one_commit_more
ON CONFLICT (tenant, thread_id) DO UPDATE SET
        seq = thread.seq + excluded.seq,
        updated_at = excluded.updated_at,
        graph_hash = coalesce(excluded.graph_hash, thread.graph_hash)
    RETURNING tenant, thread_id, seq, epoch

-- name: noted
-- An event gets its place in the order where the thread is locked (see the table).
noted AS (
    INSERT INTO checkpointd.events (tenant, thread_id, seq, body)
    SELECT tenant, thread_id, seq - commits, events FROM thread
)

-- name: noted_of_one
noted AS (
    INSERT INTO checkpointd.events (tenant, thread_id, seq, body)
    SELECT tenant, thread_id, seq - (%(threads)s)[1].commits, (%(threads)s)[1].events FROM thread
)

-- name: told
-- The sequences of checkpoints, and the epochs in which large values were stored, which may be bases of changes then.
SELECT 0 AS kind, no::integer, checkpoint_ns, checkpoint_id AS name, '' AS version, stored.seq AS number
FROM stored_checkpoints AS stored JOIN thread USING (tenant, thread_id)
UNION ALL
SELECT 1, no::integer, checkpoint_ns, channel, version, thread.epoch
FROM stored_values AS stored JOIN thread USING (tenant, thread_id)
WHERE stored.large

-- name: told_of_one
SELECT 0 AS kind, 1 AS no, checkpoint_ns, checkpoint_id AS name, '' AS version, seq AS number
FROM stored_checkpoints
UNION ALL
SELECT 1, 1, checkpoint_ns, channel, version, thread.epoch
FROM stored_values AS stored CROSS JOIN thread
WHERE stored.large

-- name: given_threads
unnest(%(threads)s) WITH ORDINALITY AS target (tenant, thread_id, commits, graph_hash, epoch, events, no)

-- name: stored
{{thread}},
{{stored_checkpoints}},
stored_writes AS (
    {{store_writes}}
)

-- name: thread
-- The threads that were locked. One in which the base of a change may be gone ends the statement.
thread AS MATERIALIZED (
    SELECT target.no, locked.tenant, locked.thread_id, locked.seq, locked.epoch, target.commits, target.events
    FROM {{given_threads}}
    JOIN locked ON locked.tenant = target.tenant AND locked.thread_id = target.thread_id
    WHERE {{base_is_there}}
)

-- name: base_is_there
CASE WHEN target.epoch <> locked.epoch THEN checkpointd.refuse_base_v1() ELSE true END

-- name: stored_checkpoints
-- With the values that they are stored with.
stored_checkpoints AS (
    {{insert_checkpoints}}
    JOIN thread ON thread.no = given.thread_no
    {{keep_checkpoints}}
),
stored_values AS (
    {{insert_values}}
    JOIN thread ON thread.no = given.thread_no
    {{keep_values}}
)

-- name: stored_checkpoints_of_one
stored_checkpoints AS (
    {{insert_checkpoints}}
    CROSS JOIN thread
    {{keep_checkpoints}}
),
stored_values AS (
    {{insert_values}}
    CROSS JOIN thread
    {{keep_values}}
)

-- name: store_writes
{{insert_writes}}
JOIN thread ON thread.no = given.thread_no
{{keep_writes}}

-- name: store_writes_of_one
{{insert_writes}}
CROSS JOIN thread
{{keep_writes}}

-- name: insert_checkpoints
INSERT INTO checkpointd.checkpoints AS stored (
    tenant, thread_id, checkpoint_ns, checkpoint_id, seq, parent_id, run_id,
    channel_versions, metadata, native_metadata, body
)
SELECT
    thread.tenant, thread.thread_id, given.checkpoint_ns, given.checkpoint_id, thread.seq - given.seq_back, given.parent_id,
    given.run_id, given.channel_versions::jsonb, given.metadata, given.native_metadata, given.body
FROM unnest(%(checkpoints)s) AS given

-- name: keep_checkpoints
ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
    run_id = excluded.run_id,
    channel_versions = excluded.channel_versions,
    metadata = excluded.metadata,
    native_metadata = excluded.native_metadata,
    body = excluded.body
WHERE NOT stored.hidden
RETURNING tenant, thread_id, checkpoint_ns, checkpoint_id, seq

-- name: insert_values
INSERT INTO checkpointd.channel_values (
    tenant, thread_id, checkpoint_ns, channel, version, encoding, data, base_version, pieces, links, hash
)
SELECT
    thread.tenant, thread.thread_id, given.checkpoint_ns, given.channel, given.version, given.encoding, given.data,
    given.base_version, given.pieces, given.links, given.hash
FROM unnest(%(values)s) AS given

-- name: keep_values
-- A database that was set back, by a failover or a restore, has lost the base and its epoch together.
WHERE CASE WHEN given.base_version IS NOT NULL AND NOT EXISTS (
    SELECT FROM checkpointd.channel_values AS base
    WHERE base.tenant = thread.tenant AND base.thread_id = thread.thread_id
        AND base.checkpoint_ns = given.checkpoint_ns AND base.channel = given.channel
        AND base.version = given.base_version AND base.hash = given.base_hash
) THEN checkpointd.refuse_base_v1() ELSE true END
ON CONFLICT (tenant, thread_id, checkpoint_ns, channel, version) DO NOTHING
RETURNING tenant, thread_id, checkpoint_ns, channel, version, coalesce(octet_length(data) >= 2048, true) AS large

-- name: insert_writes
INSERT INTO checkpointd.writes AS stored (
    tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx, seq, task_path, channel, encoding, data, hash
)
SELECT
    thread.tenant, thread.thread_id, given.checkpoint_ns, given.checkpoint_id, given.task_id, given.idx,
    thread.seq - given.seq_back, given.task_path, given.channel, given.encoding, given.data, given.hash
FROM unnest(%(writes)s) AS given

-- name: keep_writes
ON CONFLICT (tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
    seq = excluded.seq,
    task_path = excluded.task_path,
    channel = excluded.channel,
    encoding = excluded.encoding,
    data = excluded.data,
    hash = excluded.hash
WHERE stored.idx < 0

-- name: lock_threads
-- Locks the threads of a group whose conditions are to be checked, in the order in which all commits do. Who is new gets a
-- row, which `forget_empty` takes away again when nothing was stored.
INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq)
SELECT given.tenant, given.thread_id, 0
FROM unnest(%(threads)s) AS given
ORDER BY given.tenant COLLATE "C", given.thread_id COLLATE "C"
ON CONFLICT (tenant, thread_id) DO UPDATE SET seq = thread.seq

-- name: lock_leases
-- Keeps the leases that commits name as they are until these are stored: who takes one over meanwhile waits, and then sees
-- what was committed under it.
SELECT FROM checkpointd.leases AS lease
WHERE (tenant, thread_id) IN (
    SELECT target.tenant, target.thread_id
    FROM unnest(%(conditions)s) AS given
    JOIN {{given_threads}}
        ON target.no = given.thread_no
    WHERE given.token IS NOT NULL
)
ORDER BY tenant, thread_id
FOR SHARE

-- name: commit_checked
-- As commit, but for the threads whose condition does not hold: nothing is stored of theirs, and a row says why. A thread
-- with a condition has one commit in the group. Runs after lock_threads and lock_leases in the same transaction, so that
-- what it reads is the present.
--
-- A commit whose rows are all stored, with the same content, is a request that was sent again, whose condition held when it
-- came first: it is answered as it was then, and nothing is stored of it either.
{{checked}},
{{stored}}
{{told_or_refused}}

-- name: commit_checked_noted
{{checked}},
{{stored}},
{{noted}}
{{told_or_refused}}

-- name: checked
WITH vain AS MATERIALIZED (
    -- Threads with a write that would stay without effect: who sends it believes that the next checkpoint is made of it.
    SELECT DISTINCT given.thread_no
    FROM unnest(%(writes)s) AS given
    JOIN {{given_threads}}
        ON target.no = given.thread_no
    CROSS JOIN LATERAL (
        SELECT * FROM checkpointd.writes
        WHERE tenant = target.tenant AND thread_id = target.thread_id AND checkpoint_ns = given.checkpoint_ns
            AND checkpoint_id = given.checkpoint_id AND task_id = given.task_id AND idx = given.idx
        LIMIT 1
    ) AS there
    WHERE given.idx >= 0 AND (there.channel, there.encoding, there.data) <> (given.channel, given.encoding, given.data)
),
condition AS MATERIALIZED (
    SELECT *,
        head <> coalesce(expected_head, head) AS moved,
        token IS NOT NULL AND (token = lease_token) IS NOT TRUE AS lost,
        expected_head IS NOT NULL AND thread_no IN (SELECT thread_no FROM vain) AS written
    FROM (
        SELECT
            given.thread_no, target.tenant, target.thread_id, given.checkpoint_ns, given.expected_head, given.token,
            coalesce(head.checkpoint_id, '') AS head, lease.token AS lease_token, lease.holder
        FROM unnest(%(conditions)s) AS given
        JOIN {{given_threads}}
            ON target.no = given.thread_no
        LEFT JOIN LATERAL (
            SELECT checkpoint_id FROM checkpointd.checkpoints
            WHERE tenant = target.tenant AND thread_id = target.thread_id AND checkpoint_ns = given.checkpoint_ns
                AND NOT hidden
            ORDER BY seq DESC
            LIMIT 1
        ) AS head ON true
        LEFT JOIN LATERAL (
            SELECT * FROM checkpointd.leases
            WHERE tenant = target.tenant AND thread_id = target.thread_id AND expires_at > clock_timestamp()
            LIMIT 1
        ) AS lease ON true
    ) AS found
),
failed AS MATERIALIZED (
    SELECT *,
        (
            EXISTS (SELECT FROM unnest(%(checkpoints)s) AS given WHERE given.thread_no = condition.thread_no)
            OR EXISTS (SELECT FROM unnest(%(writes)s) AS given WHERE given.thread_no = condition.thread_no)
        )
        AND NOT EXISTS (
            SELECT FROM unnest(%(checkpoints)s) AS given
            WHERE given.thread_no = condition.thread_no AND NOT EXISTS (
                SELECT FROM checkpointd.checkpoints AS there
                WHERE there.tenant = condition.tenant AND there.thread_id = condition.thread_id
                    AND there.checkpoint_ns = given.checkpoint_ns AND there.checkpoint_id = given.checkpoint_id
                    AND (there.hidden OR (
                        there.channel_versions = given.channel_versions::jsonb
                        AND there.metadata = given.metadata
                        AND there.native_metadata IS NOT DISTINCT FROM given.native_metadata
                        AND there.body = given.body
                    ))
            )
        )
        AND NOT EXISTS (
            SELECT FROM unnest(%(values)s) AS given
            WHERE given.thread_no = condition.thread_no AND NOT EXISTS (
                SELECT FROM checkpointd.channel_values AS there
                WHERE there.tenant = condition.tenant AND there.thread_id = condition.thread_id
                    AND there.checkpoint_ns = given.checkpoint_ns AND there.channel = given.channel
                    AND there.version = given.version AND there.encoding = given.encoding
                    AND (there.hash = given.hash OR (there.hash IS NULL AND there.data = given.data))
            )
        )
        AND NOT EXISTS (
            SELECT FROM unnest(%(writes)s) AS given
            WHERE given.thread_no = condition.thread_no AND NOT EXISTS (
                SELECT FROM checkpointd.writes AS there
                WHERE there.tenant = condition.tenant AND there.thread_id = condition.thread_id
                    AND there.checkpoint_ns = given.checkpoint_ns AND there.checkpoint_id = given.checkpoint_id
                    AND there.task_id = given.task_id AND there.idx = given.idx
                    AND there.task_path = given.task_path AND there.channel = given.channel
                    AND there.encoding = given.encoding AND there.data = given.data
            )
        ) AS repeated
    FROM condition
    WHERE moved OR lost OR written
),
locked AS (
    INSERT INTO checkpointd.threads AS thread (tenant, thread_id, seq, graph_hash)
    SELECT given.tenant, given.thread_id, given.commits, given.graph_hash
    FROM unnest(%(threads)s) WITH ORDINALITY AS given (tenant, thread_id, commits, graph_hash, epoch, events, no)
    -- Of one that only asks whether its condition holds nothing is stored.
    WHERE given.commits > 0 AND given.no NOT IN (SELECT thread_no FROM failed)
    {{one_commit_more}}
)

-- name: told_or_refused
SELECT told.*, NULL AS holder FROM ({{told}}) AS told
UNION ALL
SELECT 0, failed.thread_no, there.checkpoint_ns, there.checkpoint_id, '', there.seq, NULL
FROM failed
JOIN unnest(%(checkpoints)s) AS given ON given.thread_no = failed.thread_no
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.checkpoints
    WHERE tenant = failed.tenant AND thread_id = failed.thread_id AND checkpoint_ns = given.checkpoint_ns
        AND checkpoint_id = given.checkpoint_id
    LIMIT 1
) AS there
WHERE failed.repeated AND NOT there.hidden
UNION ALL
SELECT CASE WHEN lost THEN 3 WHEN moved THEN 2 ELSE 4 END, thread_no, checkpoint_ns, head, '', 0, holder
FROM failed
WHERE NOT repeated

-- name: forget_empty
DELETE FROM checkpointd.threads
WHERE seq = 0 AND (tenant, thread_id) IN (SELECT given.tenant, given.thread_id FROM unnest(%(threads)s) AS given)
