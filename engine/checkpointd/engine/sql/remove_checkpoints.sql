-- name: keep_latest
-- What a prune keeps: the head of each namespace, but not of a subgraph call (its namespace ends in a task id, after ":")
-- whose root checkpoint is stored and goes. A call can be committed before its root checkpoint is; then it stays.
SELECT head.checkpoint_ns, head.checkpoint_id
FROM (
    SELECT DISTINCT ON (checkpoint_ns) checkpoint_ns, checkpoint_id, metadata
    FROM own WHERE NOT hidden ORDER BY checkpoint_ns, seq DESC
) AS head
WHERE position(':' IN head.checkpoint_ns) = 0 OR (
    head.metadata::jsonb -> 'parents' ->> '' IN (
        SELECT checkpoint_id FROM own
        WHERE checkpoint_ns = '' AND NOT hidden
            AND seq < (SELECT max(seq) FROM own WHERE checkpoint_ns = '' AND NOT hidden)
    )
) IS NOT TRUE

-- name: keep_other_runs
-- What deleting runs keeps.
SELECT checkpoint_ns, checkpoint_id FROM own
WHERE NOT hidden AND (run_id IS NULL OR run_id <> ALL(%(run_ids)s))

-- name: remove_all_but_kept
-- Removes the checkpoints of one thread that are not in `kept`, with their writes and with the values that nobody uses
-- any more. Runs after lock_target in the same transaction. Returns whether any checkpoint went, and how many listed
-- ones.
--
-- A channel that is stored as changes is rebuilt from ancestors (see the statement `history`). LangGraph names such
-- channels in metadata.counters_since_delta_snapshot of every checkpoint without a snapshot. `needed` follows each to the
-- nearest ancestor that holds a value; a checkpoint in it that is not kept is hidden and cut down to what walks may read.
-- UNION visits each (checkpoint, channel) once and ends loops.
--
-- A value that is used keeps those that it is built from (`used_values`). The thread gets a new epoch, since others may go.
--
-- `x IN (...) IS TRUE` and NOT IN stay hashed look-ups, and LATERAL with LIMIT one by primary key; as plain joins they
-- would be planned from row estimates that are worst for the large threads worth pruning, and go quadratic.
{{removal}},
hidden_now AS (
    UPDATE checkpointd.checkpoints AS stored
    SET hidden = true, run_id = NULL, metadata = '{}', native_metadata = NULL, body = '',
        channel_versions = (
            SELECT coalesce(jsonb_object_agg(entry.key, entry.value), '{}')
            FROM jsonb_each(stored.channel_versions) AS entry WHERE entry.key IN (SELECT channel FROM needed)
        )
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
        AND ((stored.checkpoint_ns, stored.checkpoint_id)
            IN (SELECT checkpoint_ns, checkpoint_id FROM going WHERE needed)) IS TRUE
),
gone_checkpoints AS (
    DELETE FROM checkpointd.checkpoints AS stored
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
        AND ((stored.checkpoint_ns, stored.checkpoint_id)
            IN (SELECT checkpoint_ns, checkpoint_id FROM going WHERE NOT needed)) IS TRUE
),
cut_off AS (
    UPDATE checkpointd.checkpoints AS stored
    SET parent_id = NULL,
        history_parent_id = CASE
            WHEN ((stored.checkpoint_ns, coalesce(stored.history_parent_id, stored.parent_id))
                IN (SELECT checkpoint_ns, checkpoint_id FROM going WHERE needed)) IS TRUE
            THEN coalesce(stored.history_parent_id, stored.parent_id)
        END
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
        AND ((stored.checkpoint_ns, stored.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM kept)) IS TRUE
        AND ((stored.checkpoint_ns, coalesce(stored.history_parent_id, stored.parent_id))
            IN (SELECT checkpoint_ns, checkpoint_id FROM going)) IS TRUE
),
gone_writes AS (
    DELETE FROM checkpointd.writes AS stored
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
        AND ((stored.checkpoint_ns, stored.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM going)) IS TRUE
        AND (stored.checkpoint_ns, stored.checkpoint_id, stored.channel) NOT IN (
            SELECT checkpoint_ns, checkpoint_id, channel FROM needed WHERE checkpoint_id IS NOT NULL
        )
),
renewed AS (
    UPDATE checkpointd.threads SET epoch = nextval('checkpointd.epochs')
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
),
gone_values AS (
    DELETE FROM checkpointd.channel_values AS stored
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
        AND (stored.checkpoint_ns, stored.channel, stored.version) NOT IN (
            SELECT checkpoint_ns, channel, version FROM used_values
        )
)
SELECT EXISTS (SELECT FROM going), (SELECT count(*) FROM going WHERE NOT hidden)

-- name: removal
-- What goes (`going`), and what that leaves in use.
, counted AS (
    SELECT own.checkpoint_ns, coalesce(own.history_parent_id, own.parent_id) AS parent_id, own.channel_versions,
        own.metadata::jsonb -> 'counters_since_delta_snapshot' AS counters
    FROM own
    WHERE ((own.checkpoint_ns, own.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM kept)) IS TRUE
        AND position('counters_since_delta_snapshot' IN own.metadata) > 0
),
needed AS (
    SELECT counted.checkpoint_ns, counted.parent_id AS checkpoint_id, counter.key AS channel
    FROM counted
    CROSS JOIN LATERAL jsonb_each(
        CASE jsonb_typeof(counted.counters) WHEN 'object' THEN counted.counters ELSE '{}' END
    ) AS counter
    LEFT JOIN LATERAL (
        SELECT version FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = counted.checkpoint_ns
            AND channel = counter.key AND version = counted.channel_versions ->> counter.key
        LIMIT 1
    ) AS stored ON true
    WHERE stored.version IS NULL
    UNION
    SELECT needed.checkpoint_ns, coalesce(ancestor.history_parent_id, ancestor.parent_id), needed.channel
    FROM needed
    CROSS JOIN LATERAL (
        SELECT * FROM checkpointd.checkpoints
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = needed.checkpoint_ns
            AND checkpoint_id = needed.checkpoint_id
        LIMIT 1
    ) AS ancestor
    LEFT JOIN LATERAL (
        SELECT version FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = needed.checkpoint_ns
            AND channel = needed.channel AND version = ancestor.channel_versions ->> needed.channel
        LIMIT 1
    ) AS stored ON true
    WHERE stored.version IS NULL
),
going AS MATERIALIZED (
    SELECT own.checkpoint_ns, own.checkpoint_id, own.hidden,
        ((own.checkpoint_ns, own.checkpoint_id)
            IN (SELECT checkpoint_ns, checkpoint_id FROM needed)) IS TRUE AS needed
    FROM own
    WHERE (own.checkpoint_ns, own.checkpoint_id) NOT IN (SELECT checkpoint_ns, checkpoint_id FROM kept)
),
used_values AS (
    SELECT * FROM used_itself
    UNION
    SELECT used_values.checkpoint_ns, used_values.channel, stored.base_version
    FROM used_values
    CROSS JOIN LATERAL (
        SELECT base_version FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = used_values.checkpoint_ns
            AND channel = used_values.channel AND version = used_values.version
        LIMIT 1
    ) AS stored
    WHERE stored.base_version IS NOT NULL
),
used_itself AS MATERIALIZED (
    SELECT own.checkpoint_ns, entry.key COLLATE "C" AS channel, entry.value COLLATE "C" AS version
    FROM own CROSS JOIN LATERAL jsonb_each_text(own.channel_versions) AS entry
    WHERE ((own.checkpoint_ns, own.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM kept)) IS TRUE
    UNION
    SELECT needed.checkpoint_ns, needed.channel COLLATE "C", (own.channel_versions ->> needed.channel) COLLATE "C"
    FROM needed
    JOIN own ON own.checkpoint_ns = needed.checkpoint_ns AND own.checkpoint_id = needed.checkpoint_id
    WHERE own.channel_versions ? needed.channel
)

-- name: own
-- All checkpoints of the thread, hidden ones too.
SELECT
    checkpoint_ns, checkpoint_id, seq, hidden, committed_at, parent_id, history_parent_id, run_id, channel_versions,
    metadata
FROM checkpointd.checkpoints
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s

-- name: prune_thread
WITH RECURSIVE own AS MATERIALIZED ({{own}}), kept AS MATERIALIZED ({{keep_latest}}) {{remove_all_but_kept}}

-- name: delete_runs_of_thread
WITH RECURSIVE own AS MATERIALIZED ({{own}}), kept AS MATERIALIZED ({{keep_other_runs}}) {{remove_all_but_kept}}
